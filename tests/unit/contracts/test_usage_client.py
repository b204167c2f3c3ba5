"""The client's buffer: what goes in comes out in order, in batches, until it is accepted or told of."""

import asyncio
from collections.abc import Sequence

import pytest

from libs.contracts.client import (
    InvalidUsageError,
    NotAcceptedError,
    Refusal,
    SetUpError,
    UsageClient,
    UsageClientError,
    UsageNotAcceptedError,
)
from libs.contracts.client.reports import Report
from libs.contracts.ids import new_id

ACCOUNT = new_id()


class Scripted:
    """A transport that does as it is told, batch after batch, and takes everything when there is nothing more to do."""

    def __init__(self, *orders: Exception | set[str]) -> None:
        self.orders = list(orders)
        self.batches: list[list[str]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.accepted = asyncio.Event()
        self.closed = False

    async def send(self, reports: Sequence[Report]) -> Sequence[Refusal]:
        """Fail with an order that is an error; refuse the ids of one that is a set."""
        await self.open.wait()
        order = self.orders.pop(0) if self.orders else set()
        if isinstance(order, Exception):
            raise order
        self.batches.append([report.event.id for report in reports])
        self.accepted.set()
        return [Refusal(report.event, "no such meter") for report in reports if report.event.id in order]

    async def close(self) -> None:
        self.closed = True

    @property
    def sent(self) -> list[str]:
        return [id for batch in self.batches for id in batch]


def away(number: int = 1) -> list[Exception]:
    return [NotAcceptedError("nobody is there", retry_after=0.001) for _ in range(number)]


async def report(client: UsageClient, *ids: str) -> None:
    for id in ids:
        await client.usage(ACCOUNT, "video.generation", id=id)


async def recovered(client: UsageClient) -> None:
    while client._trouble is not None:  # noqa: ASYNC110 - the background task brings it about
        await asyncio.sleep(0)


def numbered(first: int, last: int) -> list[str]:
    return [str(number) for number in range(first, last)]


async def test_everything_is_sent_in_order_and_in_few_batches() -> None:
    transport = Scripted()
    async with UsageClient(transport, source="/test") as client:
        await report(client, *numbered(0, 1200))
    assert transport.sent == numbered(0, 1200)
    assert [len(batch) for batch in transport.batches] == [500, 500, 200]
    assert transport.closed


async def test_a_batch_is_bounded_in_bytes_too() -> None:
    transport = Scripted()
    async with UsageClient(transport, source="/test") as client:
        for number in range(60):
            await client.usage(ACCOUNT, "video", properties={f"p{n}": "x" * 500 for n in range(40)}, id=str(number))
    assert transport.sent == numbered(0, 60)
    assert len(transport.batches) == 3


async def test_what_is_reported_goes_out_without_anybody_asking() -> None:
    transport = Scripted()
    async with UsageClient(transport, source="/test") as client:
        await report(client, "1")
        await transport.accepted.wait()
        assert transport.sent == ["1"]


async def test_flush_returns_once_all_that_was_reported_is_accepted() -> None:
    transport = Scripted(*away(3))
    async with UsageClient(transport, source="/test") as client:
        await report(client, "1", "2")
        await client.flush()
        assert transport.sent == ["1", "2"]
        await client.flush()


async def test_a_full_buffer_makes_the_reporter_wait() -> None:
    transport = Scripted()
    transport.open.clear()
    async with UsageClient(transport, source="/test", largest_buffer=10) as client:
        await report(client, *numbered(0, 10))
        eleventh = asyncio.create_task(report(client, "10"))
        await asyncio.sleep(0.02)
        assert not eleventh.done()
        transport.open.set()
        await eleventh
    assert transport.sent == numbered(0, 11)


async def test_a_refused_event_is_raised_by_flush_once_and_the_others_are_accepted() -> None:
    transport = Scripted({"2"})
    async with UsageClient(transport, source="/test") as client:
        await report(client, "1", "2", "3")
        with pytest.raises(UsageNotAcceptedError, match=r"1 usage events were refused \(2: no such meter\)") as told:
            await client.flush()
        assert [refusal.event.id for refusal in told.value.refusals] == ["2"]
        assert told.value.undelivered == ()
        await client.flush()


async def test_a_refused_event_is_raised_on_leaving_if_nobody_flushed() -> None:
    with pytest.raises(UsageNotAcceptedError, match="no such meter"):
        async with UsageClient(Scripted({"1"}), source="/test") as client:
            await report(client, "1")


async def test_a_refused_event_goes_to_the_callback_if_there_is_one() -> None:
    refused: list[Refusal] = []
    async with UsageClient(Scripted({"1"}), source="/test", on_refused=refused.append) as client:
        await report(client, "1", "2")
    assert [(refusal.event.id, refusal.reason) for refusal in refused] == [("1", "no such meter")]


async def test_a_callback_that_fails_does_not_swallow_the_refusal() -> None:
    def fails(refusal: Refusal) -> None:
        raise RuntimeError("full disk")

    with pytest.raises(UsageNotAcceptedError, match="no such meter"):
        async with UsageClient(Scripted({"1"}), source="/test", on_refused=fails) as client:
            await report(client, "1")


async def test_what_nobody_accepts_is_handed_back_on_leaving() -> None:
    transport = Scripted(*away(100_000))
    with pytest.raises(UsageNotAcceptedError, match=r"2 were not delivered \(1, 2\), because: nobody is there") as told:
        async with UsageClient(transport, source="/test", patience_seconds=0.05) as client:
            await report(client, "1", "2")
    assert [event.id for event in told.value.undelivered] == ["1", "2"]
    assert isinstance(told.value.__cause__, NotAcceptedError)
    assert transport.closed


async def test_what_flush_could_not_deliver_stays_and_is_delivered_later() -> None:
    transport = Scripted()
    transport.open.clear()
    async with UsageClient(transport, source="/test", patience_seconds=0.05) as client:
        await report(client, "1")
        with pytest.raises(UsageNotAcceptedError, match="1 were not delivered"):
            await client.flush()
        transport.open.set()
    assert transport.sent == ["1"]


async def test_an_error_on_its_way_is_not_replaced_but_told_what_was_lost() -> None:
    async def work() -> None:
        async with UsageClient(Scripted(*away(100_000)), source="/test", patience_seconds=0.05) as client:
            await report(client, "1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as error:
        await work()
    assert "1 were not delivered (1)" in error.value.__notes__[0]


async def test_a_wrong_set_up_is_told_at_once_and_forgotten_when_it_is_mended() -> None:
    transport = Scripted(*[SetUpError("this is no gateway", retry_after=0.001)] * 20)
    async with UsageClient(transport, source="/test") as client:
        await report(client, "1")
        with pytest.raises(UsageNotAcceptedError, match="this is no gateway"):
            await client.flush()
        with pytest.raises(SetUpError, match="this is no gateway"):
            await report(client, "2")
        transport.orders.clear()
        await recovered(client)
        await report(client, "3")
    assert transport.sent == ["1", "3"]


async def test_a_reporter_who_waits_for_room_is_told_of_a_wrong_set_up() -> None:
    transport = Scripted(*[SetUpError("this is no gateway", retry_after=0.001)] * 100_000)
    async with UsageClient(transport, source="/test", largest_buffer=1) as client:
        await report(client, "1")
        with pytest.raises(SetUpError):
            await report(client, "2")
        transport.orders.clear()
        await recovered(client)
    assert transport.sent == ["1"]


async def test_a_bug_in_a_transport_loses_nothing() -> None:
    transport = Scripted(KeyError("?"))
    async with UsageClient(transport, source="/test") as client:
        await report(client, "1")
    assert transport.sent == ["1"]


async def test_what_can_be_no_usage_event_is_never_sent() -> None:
    transport = Scripted()
    async with UsageClient(transport, source="/test") as client:
        with pytest.raises(InvalidUsageError):
            await client.usage(ACCOUNT, "video.generation", -1)
    assert transport.batches == []


async def test_a_client_is_used_inside_its_context() -> None:
    client = UsageClient(Scripted(), source="/test")
    with pytest.raises(UsageClientError, match="async with"):
        await report(client, "1")
    async with client:
        await report(client, "1")
    with pytest.raises(UsageClientError, match="async with"):
        await report(client, "2")
