"""The client and the gateway agree: real HTTP, the gateway's own reading of events, and its problem documents."""

from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from fastapi import Request

from deploy.embedded.ports import free_ports
from libs.chassis.errors import (
    DomainError,
    NotAllowedError,
    NotAuthenticatedError,
    TooManyRequestsError,
    UnavailableError,
)
from libs.chassis.http import create_app
from libs.contracts.client import NotAcceptedError, Refusal, SetUpError, UsageClient, UsageNotAcceptedError
from libs.contracts.client.http import HttpTransport
from libs.contracts.client.reports import Report, write_report
from libs.contracts.envelope import CloudEvent
from libs.contracts.ids import new_id, show
from services.gateway.domain.principals import KeyHolder
from services.gateway.domain.usage import read_reports
from tests.support.serving import served

ACCOUNT = new_id()
LARGEST_BODY = 40_000


@dataclass
class Gateway:
    """The gateway's route for usage, that keeps what it takes; `problems` are answered first."""

    url: str = ""
    taken: list[str] = field(default_factory=list)
    problems: deque[DomainError] = field(default_factory=deque)
    keys: list[str] = field(default_factory=list)

    async def take(self, request: Request) -> dict[str, int]:
        self.keys.append(request.headers["authorization"])
        if self.problems:
            raise self.problems.popleft()
        reporter = KeyHolder(new_id(), ACCOUNT, frozenset({"usage:write"}))
        form = request.headers["content-type"]
        reports = read_reports(await request.body(), form, reporter=reporter, traceparent=None)
        self.taken += [CloudEvent.decode(report.payload).id for report in reports]
        return {"accepted": len(reports)}


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    gateway = Gateway()
    app = create_app("gateway", largest_body=LARGEST_BODY, checks={})
    app.add_api_route("/v1/events", gateway.take, methods=["POST"], status_code=202)
    async with served(app) as gateway.url:
        yield gateway


@pytest.fixture
async def transport(gateway: Gateway) -> AsyncIterator[HttpTransport]:
    transport = HttpTransport(gateway.url + "/", "scrip_sk_test")
    yield transport
    await transport.close()


def reports(*ids: str, account: UUID = ACCOUNT, text: str = "") -> list[Report]:
    return [write_report(account, "video", 1, {"text": text}, source="/test", id=id, time=None) for id in ids]


def numbered(last: int) -> list[str]:
    return [str(number) for number in range(last)]


def refused(refusals: Sequence[Refusal]) -> list[str]:
    return [refusal.event.id for refusal in refusals]


async def test_what_the_client_reports_the_gateway_takes(gateway: Gateway) -> None:
    async with UsageClient.http(gateway.url, "scrip_sk_test", source="/test") as client:
        for id in numbered(100):
            await client.usage(show("account", ACCOUNT), "video", "1.5", {"hd": True}, id=id)
    assert gateway.taken == numbered(100)
    assert set(gateway.keys) == {"Bearer scrip_sk_test"}


async def test_the_events_that_the_gateway_refuses_are_told_and_the_others_taken(gateway: Gateway) -> None:
    stranger = new_id()
    async with UsageClient.http(gateway.url, "scrip_sk_test", source="/test") as client:
        for number, account in enumerate([ACCOUNT, stranger, ACCOUNT, stranger]):
            await client.usage(account, "video", id=str(number))
        with pytest.raises(UsageNotAcceptedError, match="its own account only") as told:
            await client.flush()
    assert (refused(told.value.refusals), gateway.taken) == (["1", "3"], ["0", "2"])


async def test_more_refusals_than_one_problem_tells_are_all_found(gateway: Gateway, transport: HttpTransport) -> None:
    batch = [*reports(*numbered(150), account=new_id()), *reports("good")]
    assert refused(await transport.send(batch)) == numbered(150)
    assert gateway.taken == ["good"]


async def test_a_batch_that_is_too_large_goes_in_parts(gateway: Gateway, transport: HttpTransport) -> None:
    assert await transport.send(reports(*numbered(200), text="x" * 400)) == []
    assert gateway.taken == numbered(200)


async def test_an_event_that_is_too_large_by_itself_is_refused(gateway: Gateway, transport: HttpTransport) -> None:
    properties = {f"p{number}": "x" * 500 for number in range(50)}
    huge = write_report(ACCOUNT, "video" * 50, 1, properties, source="/" * 255, id="huge", time=None)
    padded = Report(huge.key, huge.payload + b" " * LARGEST_BODY)
    (refusal,) = await transport.send([padded])
    assert refusal.event.id == "huge"
    assert refusal.reason.startswith("PAY025 ")
    assert gateway.taken == []


@pytest.mark.parametrize("problem", [UnavailableError(), TooManyRequestsError()])
async def test_what_the_gateway_cannot_take_now_is_sent_again(gateway: Gateway, problem: DomainError) -> None:
    gateway.problems.extend([problem] * 2)
    async with UsageClient.http(gateway.url, "scrip_sk_test", source="/test") as client:
        await client.usage(ACCOUNT, "video", id="1")
    assert gateway.taken == ["1"]
    assert len(gateway.keys) == 3


async def test_the_client_waits_as_long_as_the_gateway_says(gateway: Gateway, transport: HttpTransport) -> None:
    gateway.problems.append(TooManyRequestsError(headers={"Retry-After": "7"}))
    with pytest.raises(NotAcceptedError, match="cannot take usage now") as told:
        await transport.send(reports("1"))
    assert told.value.retry_after == 7


@pytest.mark.parametrize("problem", [NotAuthenticatedError(), NotAllowedError()])
async def test_a_key_that_is_not_accepted_is_told_with_what_to_do(gateway: Gateway, problem: DomainError) -> None:
    gateway.problems.extend([problem] * 100)
    with pytest.raises(UsageNotAcceptedError, match="make one with the scope usage:write") as told:
        async with UsageClient.http(gateway.url, "scrip_sk_test", source="/test") as client:
            await client.usage(ACCOUNT, "video", id="1")
    assert [event.id for event in told.value.undelivered] == ["1"]


async def test_an_address_that_is_no_gateways_is_told(gateway: Gateway) -> None:
    transport = HttpTransport(gateway.url + "/somewhere", "scrip_sk_test")
    with pytest.raises(SetUpError, match="is this the address of Scrip's gateway"):
        await transport.send(reports("1"))
    await transport.close()


async def test_an_address_that_is_none_is_told_at_once() -> None:
    with pytest.raises(ValueError, match="begin with http"):
        UsageClient.http("gateway:8000", "scrip_sk_test", source="/test")


async def test_a_gateway_that_does_not_answer_is_tried_again_and_told(gateway: Gateway) -> None:
    (nobody,) = free_ports(1)
    client = UsageClient.http(f"http://127.0.0.1:{nobody}", "scrip_sk_test", source="/test", patience_seconds=0.3)
    with pytest.raises(UsageNotAcceptedError, match="does not answer"):
        async with client:
            await client.usage(ACCOUNT, "video", id="1")
