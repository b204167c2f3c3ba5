"""Group commit: what joins a batch, what becomes of it when something in it, or the database, fails."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import asyncpg
import pytest

from libs.chassis import idempotency
from libs.chassis.errors import IdempotencyKeyReusedError, UnavailableError
from libs.chassis.idempotency import Answer, Key
from libs.chassis.service_client import deadline
from libs.contracts import ids
from services.credits.domain.postings import Cause, Charge, Hold, Posting, Release
from services.credits.operations import answers, writer
from services.credits.operations.writer import Writer
from tests.support.ledger import Credits, used


@pytest.fixture
async def written(credits: Credits) -> AsyncIterator[Writer]:
    """A writer on the test's ledger."""
    async with writing(credits) as running:
        yield running


@asynccontextmanager
async def writing(credits: Credits) -> AsyncIterator[Writer]:
    running = Writer(credits.pool, credits.ledger, credits.clock)
    await running.start()
    yield running
    await running.stop()


def a_charge(account: UUID, amount: int = 1_000_000, *, description: str | None = None) -> Charge:
    id = ids.new_id()
    cause = Cause("charge", None, None, description)
    return Charge(account=account, key=id, fingerprint=id, amount=amount, cause=cause, id=id)


def a_hold(credits: Credits, account: UUID, amount: int) -> Hold:
    id, at = ids.new_id(), credits.clock.now().replace(year=2100)
    cause = Cause("hold")
    return Hold(account=account, key=id, fingerprint=id, amount=amount, cause=cause, id=id, expires_at=at, ends_by=at)


def a_release(hold: Hold) -> Release:
    id = ids.new_id()
    return Release(account=hold.account, key=id, fingerprint=id, amount=0, cause=Cause("release"), hold=hold.id)


def a_key(name: str | None = None, *, body: str = "") -> Key:
    return Key.of(caller="tests", key=name or uuid4().hex, operation="spend", body=body)


async def write(running: Writer, posting: Posting, key: Key | None = None) -> Answer:
    """Write a posting; answers 201 with its id, or the refusal."""
    return await running.write(
        [posting],
        key=key or a_key(),
        shape=lambda results, _: (
            answers.good({"id": results[0].posting.key.hex})
            if results[0].outcome == "accepted"
            else answers.refused(results[0])
        ),
    )


@asynccontextmanager
async def locked(credits: Credits, account: UUID) -> AsyncIterator[None]:
    """Hold an account's row, so that whoever wants to write waits."""
    async with credits.pool.transaction() as conn:
        await conn.execute("SELECT FROM account WHERE id = $1 FOR NO KEY UPDATE", account)
        yield


async def until_it_waits_for_a_lock(credits: Credits) -> int:
    """Wait until a connection of the service waits for a lock; gives its process id."""
    while True:
        async with credits.pool.connection() as conn:
            found: int | None = await conn.fetchval(
                """SELECT pid FROM pg_stat_activity
                    WHERE datname = current_database() AND wait_event_type = 'Lock' LIMIT 1"""
            )
        if found is not None:
            return found
        await asyncio.sleep(0.01)


async def batches(credits: Credits) -> int:
    async with credits.pool.connection() as conn:
        count: int = await conn.fetchval("SELECT count(*) FROM batch")
    return count


async def test_what_comes_while_a_batch_is_applied_is_the_next_batch(credits: Credits, written: Writer) -> None:
    account = await credits.open_with("50")
    before = await batches(credits)
    async with locked(credits, account):
        first = asyncio.create_task(write(written, a_charge(account)))
        await until_it_waits_for_a_lock(credits)
        others = [asyncio.create_task(write(written, a_charge(account))) for _ in range(20)]
        await asyncio.sleep(0)
    said = await asyncio.gather(first, *others)
    assert {answer.status for answer in said} == {201}
    assert await batches(credits) - before == 2


async def test_a_batch_is_no_larger_than_its_cap_and_nothing_is_left_over(
    credits: Credits, written: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LARGEST_BATCH", 8)
    account = await credits.open_with("50")
    before = await batches(credits)
    said = await asyncio.gather(*(write(written, a_charge(account)) for _ in range(20)))
    assert {answer.status for answer in said} == {201}
    assert await batches(credits) - before == 3


async def test_twins_in_one_batch_have_one_effect_and_the_same_answer(credits: Credits, written: Writer) -> None:
    account = await credits.open()
    said = await asyncio.gather(*(write(written, a_charge(account), a_key("once")) for _ in range(8)))
    assert len({answer.body for answer in said}) == 1
    assert [answer.replayed for answer in said].count(False) == 1
    assert await credits.available(account) == 9_000_000


async def test_another_request_under_the_key_of_one_in_the_same_batch_is_refused_alone(
    credits: Credits, written: Writer
) -> None:
    account = await credits.open()
    said = await asyncio.gather(
        write(written, a_charge(account), a_key("once")),
        write(written, a_charge(account), a_key("once", body="other")),
        write(written, a_charge(account)),
        return_exceptions=True,
    )
    assert [type(answer) for answer in said] == [Answer, IdempotencyKeyReusedError, Answer]
    assert await credits.available(account) == 8_000_000


async def test_twins_in_two_processes_have_one_effect_and_the_same_answer(credits: Credits, written: Writer) -> None:
    account = await credits.open_with("90")
    async with writing(credits) as other:
        for turn in range(50):
            key = a_key(f"turn-{turn}")
            one, two = await asyncio.gather(*(write(w, a_charge(account), key) for w in (written, other)))
            assert one.body == two.body
    assert await credits.available(account) == 50_000_000


async def test_if_a_twin_elsewhere_was_faster_its_answer_is_given_and_ours_never_happens(
    credits: Credits, written: Writer
) -> None:
    account, key = await credits.open(), a_key("once")
    theirs = answers.good({"id": "theirs"})
    async with credits.pool.transaction() as conn:
        assert await idempotency.give(conn, [(key, theirs)], at=credits.clock.now())
        ours = asyncio.create_task(write(written, a_charge(account), key))
        other = asyncio.create_task(write(written, a_charge(account)))
        await until_it_waits_for_a_lock(credits)
    assert (await ours) == theirs._replace(replayed=True)
    assert (await other).status == 201
    assert await credits.available(account) == 9_000_000


async def test_what_frees_credits_goes_before_what_needs_some(credits: Credits, written: Writer) -> None:
    account = await credits.open()
    held = a_hold(credits, account, 10_000_000)
    await write(written, held)
    async with locked(credits, account):
        first = asyncio.create_task(write(written, a_charge(account)))
        await until_it_waits_for_a_lock(credits)
        charge = asyncio.create_task(write(written, a_charge(account, 10_000_000)))
        await asyncio.sleep(0)
        release = asyncio.create_task(write(written, a_release(held)))
        await asyncio.sleep(0)
    assert [answer.status for answer in await asyncio.gather(first, charge, release)] == [402, 201, 201]


async def test_only_the_culprit_of_a_batch_fails(credits: Credits, written: Writer) -> None:
    account = await credits.open_with("50")
    postings = [a_charge(account) for _ in range(20)]
    postings[7] = a_charge(account, description="\x00 is nothing that a text may hold")
    said = await asyncio.gather(*(write(written, posting) for posting in postings), return_exceptions=True)
    wrong = [index for index, answer in enumerate(said) if isinstance(answer, BaseException)]
    assert wrong == [7]
    assert isinstance(said[7], asyncpg.PostgresError)
    assert await credits.available(account) == 41_000_000


async def test_when_the_connection_is_lost_all_waiters_hear_so_and_may_retry(credits: Credits, written: Writer) -> None:
    account = await credits.open()
    keys = [a_key() for _ in range(5)]
    async with locked(credits, account):
        tasks = [asyncio.create_task(write(written, a_charge(account), key)) for key in keys]
        waiting = await until_it_waits_for_a_lock(credits)
        async with credits.pool.connection() as conn:
            await conn.execute("SELECT pg_terminate_backend($1)", waiting)
        said = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(answer) for answer in said} == {UnavailableError}
    retried = await asyncio.gather(*(write(written, a_charge(account), key) for key in keys))
    assert {answer.status for answer in retried} == {201}
    assert await credits.available(account) == 5_000_000


async def test_a_caller_that_goes_away_drops_its_wait_and_not_its_posting(credits: Credits, written: Writer) -> None:
    account, key = await credits.open(), a_key()
    async with locked(credits, account):
        gone = asyncio.create_task(write(written, a_charge(account), key))
        stays = asyncio.create_task(write(written, a_charge(account)))
        await until_it_waits_for_a_lock(credits)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
    assert (await stays).status == 201
    assert await credits.available(account) == 8_000_000
    assert (await write(written, a_charge(account), key)).replayed


async def test_who_has_no_time_left_is_told_to_come_again(credits: Credits, written: Writer) -> None:
    account, key = await credits.open(), a_key()

    async def impatiently() -> Answer:
        deadline.set(asyncio.get_running_loop().time() + 0.05)
        return await write(written, a_charge(account), key)

    async with locked(credits, account):
        with pytest.raises(UnavailableError):
            await asyncio.create_task(impatiently())
    assert (await write(written, a_charge(account), key)).status == 201
    assert await credits.available(account) == 9_000_000


async def test_stopping_finishes_what_is_queued_and_takes_no_more(credits: Credits) -> None:
    account = await credits.open()
    async with writing(credits) as running:
        tasks = [asyncio.create_task(write(running, a_charge(account))) for _ in range(5)]
        await asyncio.sleep(0)
        await running.stop()
        assert {answer.status for answer in await asyncio.gather(*tasks)} == {201}
        with pytest.raises(UnavailableError):
            await write(running, a_charge(account))
    assert await credits.available(account) == 5_000_000


async def test_a_queue_that_is_too_long_is_not_joined(
    credits: Credits, written: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LONGEST_QUEUE", 3)
    account = await credits.open()
    said = await asyncio.gather(*(write(written, a_charge(account)) for _ in range(5)), return_exceptions=True)
    assert [type(answer) for answer in said] == [Answer] * 3 + [UnavailableError] * 2


async def test_charges_and_usage_together_never_spend_more_than_there_is(credits: Credits, written: Writer) -> None:
    account = await credits.open()

    async def use() -> bool:
        return await credits.use(used(account)) == ["burnt"]

    async def charge() -> bool:
        return (await write(written, a_charge(account))).status == 201

    said = await asyncio.gather(*(random.choice((use, charge))() for _ in range(50)))
    assert said.count(True) == 10
    assert await credits.available(account) == 0


async def test_writers_over_the_same_accounts_never_wait_for_each_other_in_a_circle(credits: Credits) -> None:
    accounts = [await credits.open_with("1000") for _ in range(12)]

    async def use() -> None:
        for _ in range(10):
            assert set(await credits.use(*(used(random.choice(accounts)) for _ in range(20)))) == {"burnt"}

    async with writing(credits) as one, writing(credits) as two:
        charges = [write(random.choice((one, two)), a_charge(random.choice(accounts))) for _ in range(400)]
        said = await asyncio.gather(*charges, use(), use())
    assert {answer.status for answer in said if answer} == {201}
    left = sum([await credits.available(account) for account in accounts])
    assert left == (12 * 1010 - 800) * 1_000_000
