"""The spool: what was taken is on disk, is sent by whoever opens it next, and stays for a while once it is accepted."""

import asyncio
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from libs.contracts.client import (
    NotAcceptedError,
    Refusal,
    SetUpError,
    SpoolError,
    SpoolFullError,
    SpoolInUseError,
    UsageClient,
    UsageClientError,
    UsageNotAcceptedError,
)
from libs.contracts.envelope import CloudEvent
from tests.unit.contracts.test_usage_client import ACCOUNT, Scripted, away, numbered, report

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
NEVER = 100_000


def client(transport: Scripted, folder: Path) -> UsageClient:
    return UsageClient(transport, source="/test", spool=folder, patience_seconds=0.05, largest_spool_bytes=100_000)


async def spool(folder: Path, *ids: str) -> None:
    """Report to nobody, so that all stays in the spool."""
    async with client(Scripted(*away(NEVER)), folder) as unheard:
        await report(unheard, *ids)


async def sent_by_the_next(folder: Path) -> list[str]:
    transport = Scripted()
    async with client(transport, folder):
        pass
    return transport.sent


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"))


def on_disk(folder: Path) -> list[str]:
    return [CloudEvent.decode(line).id for file in files(folder) for line in file.read_bytes().splitlines()]


def age(file: Path, *, days: float) -> None:
    then = time.time() - days * 24 * 60 * 60
    os.utime(file, (then, then))


async def test_what_is_reported_is_on_disk_when_usage_returns(tmp_path: Path) -> None:
    async with client(Scripted(*away(NEVER)), tmp_path) as unheard:
        for number in range(3):
            await unheard.usage(ACCOUNT, "video", id=str(number))
            assert on_disk(tmp_path) == numbered(0, number + 1)


async def test_what_nobody_accepted_is_no_error_on_leaving_and_is_sent_by_the_next_client(tmp_path: Path) -> None:
    await spool(tmp_path, "1", "2")
    assert await sent_by_the_next(tmp_path) == ["1", "2"]


async def test_leaving_does_not_wait_for_somebody_who_is_not_there(tmp_path: Path) -> None:
    transport = Scripted(*[NotAcceptedError("nobody is there", retry_after=NEVER)] * 2)
    async with UsageClient(transport, source="/test", spool=tmp_path, patience_seconds=NEVER) as unheard:
        await report(unheard, "1")
    assert await sent_by_the_next(tmp_path) == ["1"]


async def test_what_was_accepted_is_not_sent_again(tmp_path: Path) -> None:
    transport = Scripted()
    async with client(transport, tmp_path) as heard:
        await report(heard, "1", "2")
    assert transport.sent == ["1", "2"]
    assert await sent_by_the_next(tmp_path) == []


async def test_events_of_many_reporters_at_once_are_written_in_groups_and_sent_in_order(tmp_path: Path) -> None:
    transport = Scripted()
    async with client(transport, tmp_path) as heard:
        await asyncio.gather(*(report(heard, id) for id in numbered(0, 250)))
    assert transport.sent == on_disk(tmp_path) == numbered(0, 250)


async def test_flush_says_how_many_wait_and_why(tmp_path: Path) -> None:
    async with client(Scripted(*away(NEVER)), tmp_path) as unheard:
        await report(unheard, "1", "2")
        with pytest.raises(NotAcceptedError, match=r"2 usage events wait in .*: nobody is there"):
            await unheard.flush()


async def test_flush_waits_for_what_was_there_before_too(tmp_path: Path) -> None:
    await spool(tmp_path, "1")
    transport = Scripted()
    async with client(transport, tmp_path) as next_one:
        await next_one.flush()
        assert transport.sent == ["1"]


async def test_a_refused_event_is_told_and_not_sent_again(tmp_path: Path) -> None:
    with pytest.raises(UsageNotAcceptedError, match="no such meter"):
        async with client(Scripted({"1"}), tmp_path) as heard:
            await report(heard, "1", "2")
    assert await sent_by_the_next(tmp_path) == []


async def test_a_wrong_set_up_does_not_keep_usage_from_being_taken(tmp_path: Path) -> None:
    async with client(Scripted(*[SetUpError("no such key", retry_after=0.001)] * NEVER), tmp_path) as unheard:
        await report(unheard, "1")
        with pytest.raises(NotAcceptedError, match="no such key"):
            await unheard.flush()
        await report(unheard, "2")
    assert await sent_by_the_next(tmp_path) == ["1", "2"]


async def test_a_torn_last_line_is_dropped_and_writing_goes_on_behind_the_others(tmp_path: Path) -> None:
    await spool(tmp_path, "1", "2")
    (file,) = files(tmp_path)
    with file.open("ab") as torn:
        torn.write(b'{"specversion":"1.0","id":"3","sou')
    await spool(tmp_path, "4")
    assert on_disk(tmp_path) == ["1", "2", "4"]
    assert await sent_by_the_next(tmp_path) == ["1", "2", "4"]


async def test_a_line_that_a_disk_damaged_holds_up_no_other(tmp_path: Path) -> None:
    await spool(tmp_path, "1", "2", "3")
    (file,) = files(tmp_path)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + b"\x00" * (len(lines[1]) - 1) + b"\n" + lines[2])
    assert await sent_by_the_next(tmp_path) == ["1", "3"]
    assert await sent_by_the_next(tmp_path) == []


@pytest.mark.parametrize("nonsense", [b"", b"nonsense\n", b"\xff\xfe"])
async def test_if_it_is_not_known_what_was_accepted_all_is_sent_again(tmp_path: Path, nonsense: bytes) -> None:
    async with client(Scripted(), tmp_path) as heard:
        await report(heard, "1", "2")
    (tmp_path / "settled").write_bytes(nonsense)
    assert await sent_by_the_next(tmp_path) == ["1", "2"]


async def test_events_after_lost_files_are_sent_though_their_numbers_were_accepted_before(tmp_path: Path) -> None:
    async with client(Scripted(), tmp_path) as heard:
        await report(heard, *numbered(0, 5))
    for file in files(tmp_path):
        file.unlink()
    await spool(tmp_path, "new")
    assert await sent_by_the_next(tmp_path) == ["new"]


async def test_a_folder_belongs_to_one_client_at_a_time(tmp_path: Path) -> None:
    async with client(Scripted(), tmp_path):
        with pytest.raises(SpoolInUseError, match="give each process a folder of its own"):
            async with client(Scripted(), tmp_path):
                pass
    async with client(Scripted(), tmp_path):
        pass


async def test_a_folder_that_cannot_be_one_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SpoolError, match="cannot be opened"):
        async with client(Scripted(), tmp_path / "file"):
            pass


async def test_a_full_spool_refuses_more_and_takes_it_again_once_some_is_accepted(tmp_path: Path) -> None:
    transport = Scripted(*away(NEVER))
    async with client(transport, tmp_path) as unheard:
        with pytest.raises(SpoolFullError, match=r"usage events wait in .* no more than 100000 bytes"):
            await report(unheard, *numbered(0, 1000))
        taken = len(on_disk(tmp_path))
        transport.orders.clear()
        while len(transport.sent) < taken:  # noqa: ASYNC110 - the background task brings it about
            await asyncio.sleep(0.01)
        await report(unheard, "more")
    assert sum(file.stat().st_size for file in files(tmp_path)) <= 100_000
    assert transport.sent == [*numbered(0, taken), "more"]


async def test_what_was_accepted_stays_for_seven_days_and_goes_by_files(tmp_path: Path) -> None:
    await fill_files(tmp_path)
    first, second, *others = files(tmp_path)
    age(first, days=7.1)
    age(second, days=6.9)
    await sent_by_the_next(tmp_path)
    assert files(tmp_path) == [second, *others]


async def test_what_waits_stays_however_old_it_is(tmp_path: Path) -> None:
    await spool(tmp_path, *numbered(0, 200))
    for file in files(tmp_path):
        age(file, days=30)
    assert await sent_by_the_next(tmp_path) == numbered(0, 200)


async def fill_files(folder: Path) -> None:
    async with client(Scripted(), folder) as heard:
        await report(heard, *numbered(0, 400))
    assert len(files(folder)) >= 3


async def test_what_was_accepted_can_be_published_again(tmp_path: Path) -> None:
    await fill_files(tmp_path)
    transport = Scripted()
    async with client(transport, tmp_path) as heard:
        kept = on_disk(tmp_path)
        assert await heard.republish(LONG_AGO) == len(kept)
        assert transport.sent == kept
        await report(heard, "new")
    assert transport.sent == [*kept, "new"]


async def test_files_that_were_not_written_to_since_then_are_not_published_again(tmp_path: Path) -> None:
    await fill_files(tmp_path)
    first = files(tmp_path)[0]
    age(first, days=2)
    transport = Scripted()
    async with client(transport, tmp_path) as heard:
        await heard.republish(datetime.now(UTC) - timedelta(days=1))
    assert transport.sent == on_disk(tmp_path)[len(first.read_bytes().splitlines()) :]


async def test_what_waits_still_is_not_published_again(tmp_path: Path) -> None:
    transport = Scripted()
    async with client(transport, tmp_path) as heard:
        await report(heard, "1")
        await heard.flush()
        transport.open.clear()
        await report(heard, "2")
        again = asyncio.create_task(heard.republish(LONG_AGO))
        await asyncio.sleep(0)
        transport.open.set()
        assert await again == 1
    assert sorted(transport.sent) == ["1", "1", "2"]


async def test_without_a_spool_nothing_can_be_published_again() -> None:
    async with UsageClient(Scripted(), source="/test") as heard:
        with pytest.raises(UsageClientError, match="only an open client with a spool"):
            await heard.republish(LONG_AGO)


async def test_a_disk_that_fails_is_told_and_what_it_was_told_of_is_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: int) -> None:
        raise OSError(28, "No space left on device")

    transport = Scripted()
    async with client(transport, tmp_path) as heard:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", fails)
            with pytest.raises(SpoolError, match="No space left"):
                await report(heard, "1")
        await report(heard, "2")
    assert transport.sent == on_disk(tmp_path) == ["2"]


async def test_if_it_cannot_be_noted_what_was_accepted_it_is_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    transport = Scripted()
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", fails)
        async with client(transport, tmp_path) as heard:
            await report(heard, "1", "2")
    assert transport.sent == ["1", "2"]
    assert await sent_by_the_next(tmp_path) == ["1", "2"]


async def test_a_file_is_written_to_for_an_hour_though_its_writers_change(tmp_path: Path) -> None:
    await spool(tmp_path, "1")
    await spool(tmp_path, "2")
    assert len(files(tmp_path)) == 1
    async with client(Scripted(*away(NEVER)), tmp_path / "old") as unheard:
        await unheard.usage(ACCOUNT, "video", id="1", time=datetime.now(UTC) - timedelta(minutes=61))
    await spool(tmp_path / "old", "2")
    assert len(files(tmp_path / "old")) == 2
    assert await sent_by_the_next(tmp_path / "old") == ["1", "2"]


async def test_more_at_once_than_a_spool_may_take_does_not_stop_it_for_good(tmp_path: Path) -> None:
    transport = Scripted(*away(NEVER))
    async with client(transport, tmp_path) as unheard:
        reports = [report(unheard, id) for id in numbered(0, 1000)]
        told = await asyncio.gather(*reports, return_exceptions=True)
        assert {type(each) for each in told} == {type(None), SpoolFullError}
        transport.orders.clear()
        while unheard._waiting():  # noqa: ASYNC110 - the background task brings it about
            await asyncio.sleep(0.01)
        await report(unheard, "more")
    assert transport.sent == [*numbered(0, told.count(None)), "more"]


async def test_a_reporter_who_goes_away_takes_no_other_with_him(tmp_path: Path) -> None:
    transport = Scripted()
    async with client(transport, tmp_path) as heard:
        reporters = [asyncio.create_task(report(heard, str(number))) for number in range(3)]
        await asyncio.sleep(0)
        reporters[1].cancel()
        await asyncio.gather(*reporters, return_exceptions=True)
    assert {"0", "2"} <= set(transport.sent)


async def test_the_kept_refusals_of_what_is_published_again_are_told(tmp_path: Path) -> None:
    told: list[Refusal] = []
    async with client(Scripted(), tmp_path) as heard:
        await report(heard, "1")
    transport = Scripted({"1"})
    heard_again = UsageClient(transport, source="/test", spool=tmp_path, on_refused=told.append)
    async with heard_again:
        await heard_again.republish(LONG_AGO)
    assert [refusal.event.id for refusal in told] == ["1"]
