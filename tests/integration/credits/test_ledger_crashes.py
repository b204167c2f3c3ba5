"""Whatever dies, the ledger's books are what they would be without: workers, PostgreSQL, Kafka with all it knew.

Everything here is real: the servers, the processes of credits, the signals that kill them.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count, cycle, islice
from uuid import UUID

import asyncpg
import httpx2
import psutil
import pytest

from deploy.cli.customer import wait_for
from deploy.embedded.postgres import Postgres
from libs.chassis.broker import topics
from libs.chassis.pool import Connection
from libs.contracts import ids
from libs.contracts.credits import MICRO
from libs.contracts.envelope import CloudEvent
from libs.contracts.errors import EVENT_ID_REUSED, INSUFFICIENT_CREDITS, UNAVAILABLE
from libs.contracts.topics import ALL, CREDITS_EVENTS, USAGE_EVENTS
from services.credits.domain.postings import Grant
from tests.integration.chassis.waiting import until, until_found
from tests.integration.credits.cell import Cell, cell
from tests.integration.credits.serving import Api, problem
from tests.support.ledger import used
from tests.support.oracle.replaying import assert_same_books, replayed
from tests.support.postings import granting

KILLS = 50
WORKERS = 6
DATABASE_KILLS = 3


@pytest.fixture(scope="module")
async def ledger(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cell]:
    """The ledger on servers of its own."""
    async with cell(tmp_path_factory.mktemp("cell")) as running:
        yield running


@pytest.fixture(autouse=True)
async def books_are_right(ledger: Cell) -> AsyncIterator[None]:
    """Begin every test with an API and a worker, and end it by auditing the books, as `scrip verify` does."""
    await ledger.run()
    yield
    assert await ledger.breaches() == []


async def an_account(ledger: Cell, credits: int) -> UUID:
    account = ids.new_id()
    await ledger.grant(granting(account, credits * MICRO))
    return account


def few_lots(rng: random.Random, *, accounts: int, most: int) -> list[Grant]:
    """Give accounts three lots each, of so many credits at most: they will not do for all that is used."""
    return [
        granting(account, rng.randint(1, most) * MICRO, kind=kind)
        for account in [ids.new_id() for _ in range(accounts)]
        for kind in ("purchased", "promotional", "membership")
    ]


def usage_of(rng: random.Random, grants: Sequence[Grant]) -> Iterator[CloudEvent]:
    """Make usage without end; one event in ten is told again, every second of those with another payload."""
    accounts, told = [grant.account for grant in grants], list[CloudEvent]()
    for number in count():
        if told and rng.random() < 0.1:
            again = rng.choice(told[-50:])
            yield again if rng.random() < 0.5 else again.model_copy(update={"data": {"quantity": 4, "properties": {}}})
        else:
            told.append(used(rng.choice(accounts), quantity=rng.randint(1, 3), id=str(number)))
            yield told[-1]


async def decided(conn: Connection) -> int:
    """Count the usage that was burnt or refused."""
    return int(
        await conn.fetchval(
            """SELECT (SELECT count(*) FROM entry WHERE leg = 0 AND type = 'usage')
                    + (SELECT count(*) FROM rejected_usage)"""
        )
    )


async def until_decided(conn: Connection, number: int) -> None:
    """Wait until so much usage was burnt or refused."""

    async def enough() -> bool:
        return await decided(conn) >= number

    await until_found(enough)


async def burnt(ledger: Cell, account: UUID) -> Counter[str]:
    """Count the entries of an account's usage, by event."""
    async with ledger.connection() as conn:
        rows = await conn.fetch(
            "SELECT details FROM entry WHERE account_id = $1 AND type = 'usage' AND leg = 0", account
        )
    return Counter(row["details"]["event_id"] for row in rows)


async def refused(ledger: Cell, account: UUID) -> Counter[tuple[str, str]]:
    """Count what is kept of an account's refused usage, by event and code; others were told the same."""
    async with ledger.connection() as conn:
        rows = await conn.fetch("SELECT event_id, code FROM rejected_usage WHERE account_id = $1", account)
    kept = Counter((row["event_id"], row["code"]) for row in rows)

    async def all_told() -> bool:
        told = await ledger.rejections(account)
        return Counter((event.usage_id, event.code) for event in told) == kept

    await wait_for(all_told)
    return kept


async def journal(ledger: Cell, accounts: Sequence[UUID], kind: str) -> Counter[UUID]:
    """Count the postings of one kind in the journal of some accounts, by key."""
    async with ledger.connection() as conn:
        rows = await conn.fetch(
            "SELECT key FROM entry WHERE account_id = ANY($1) AND type = $2 AND leg = 0", accounts, kind
        )
    return Counter(row["key"] for row in rows)


# Many at once


@pytest.mark.parametrize("covered", [1, 20, 49])
async def test_of_fifty_spends_at_once_over_http_and_kafka_exactly_those_that_are_covered_are_accepted(
    ledger: Cell, covered: int
) -> None:
    account = await an_account(ledger, covered)
    events = [used(account) for _ in range(25)]
    async with ledger.asking() as api:
        async with none_decided_before_all_have_come(ledger, account):
            charging = [asyncio.create_task(api.charge(account)) for _ in range(25)]
            await ledger.report(*events)
        answers = await asyncio.gather(*charging)
    await ledger.until_consumed()
    by_usage = await burnt(ledger, account)
    charged = [answer for answer in answers if answer.status_code == 201]
    assert len(charged) + by_usage.total() == covered
    assert {problem(answer) for answer in answers if answer not in charged} <= {(402, INSUFFICIENT_CREDITS.code)}
    expected = {(event.id, INSUFFICIENT_CREDITS.code) for event in events if event.id not in by_usage}
    assert await refused(ledger, account) == Counter(expected)


@asynccontextmanager
async def none_decided_before_all_have_come(ledger: Cell, account: UUID) -> AsyncIterator[None]:
    """Lock an account, and let it go once both the API and the worker wait for it."""
    async with ledger.connection() as conn, conn.transaction():
        await conn.execute("SELECT FROM account WHERE id = $1 FOR UPDATE", account)
        yield
        await until_found(lambda: waiting(conn, 2))


async def waiting(conn: Connection, number: int, which: str = "true") -> bool:
    """Tell whether so many of the service's transactions wait for a lock, or for one of some kind."""
    query = f"SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND {which}"
    return bool(await conn.fetchval(query) >= number)


async def test_an_event_repeated_with_another_payload_is_refused_and_reported(ledger: Cell) -> None:
    account = await an_account(ledger, 10)
    first, changed = used(account, quantity=3, id="one"), used(account, quantity=4, id="one")
    await ledger.report(first, changed, changed, first)
    await ledger.until_consumed()
    assert await refused(ledger, account) == {("one", EVENT_ID_REUSED.code): 1}
    async with ledger.connection() as conn:
        assert await conn.fetchval("SELECT available FROM account WHERE id = $1", account) == 7 * MICRO
        kept = await conn.fetchval("SELECT event FROM rejected_usage WHERE account_id = $1", account)
    assert kept == changed.encode().decode()


# Servers


async def test_a_database_server_killed_under_load_loses_no_acknowledged_write_and_doubles_none(ledger: Cell) -> None:
    accounts = [await an_account(ledger, 1000) for _ in range(8)]
    load = Load(ledger)
    async with asyncio.TaskGroup() as group:
        for account in accounts:
            group.create_task(load.charge(account))
        for _ in range(DATABASE_KILLS):
            await load.use(accounts, events=400)
            await load.until_charged(len(load.charges) + 40)
            await lose_power(ledger.servers.postgres)
        async with no_answer_is_stored(ledger):
            await lose_power(ledger.servers.postgres)
        load.ends = True
    await ledger.until_consumed()
    assert load.repeated
    assert await load.charged_again() == load.charges
    assert await journal(ledger, accounts, "charge") == dict.fromkeys(load.charges.values(), 1)
    for account in accounts:
        assert await burnt(ledger, account) == dict.fromkeys(load.used[account], 1)


async def lose_power(server: Postgres) -> None:
    """Kill a server with all its processes, and start it again."""
    server.process.kill()
    await server.start()


@asynccontextmanager
async def no_answer_is_stored(ledger: Cell) -> AsyncIterator[None]:
    """Let nothing be stored under a caller's key, and go on once an answer waits: what it tells must not stay then."""
    owner = await asyncpg.connect(ledger.database.owner_url)
    try:
        await owner.execute("BEGIN; LOCK TABLE idempotency_key IN SHARE MODE")
        async with ledger.connection() as conn:
            await until_found(lambda: waiting(conn, 1, "wait_event = 'relation'"))
        yield
    finally:
        owner.terminate()


@dataclass
class Load:
    """Clients that charge, each asking until it is answered, and a service that reports usage at the same time."""

    ledger: Cell
    ends: bool = False
    repeated: int = 0
    charges: dict[tuple[UUID, str], UUID] = field(default_factory=dict)
    """The charge that was acknowledged, by its account and the key under which it was asked for."""
    used: dict[UUID, list[str]] = field(default_factory=dict)

    async def charge(self, account: UUID) -> None:
        """Charge an account, again and again."""
        async with self.ledger.asking() as api:
            for number in count():
                if self.ends:
                    return
                self.charges[account, str(number)] = await self._charged(api, account, str(number))

    async def _charged(self, api: Api, account: UUID, key: str) -> UUID:
        """Ask for a charge until it is acknowledged, as a careful client does."""
        while True:
            with suppress(httpx2.TransportError):
                answer = await api.charge(account, key=f"{account}-{key}")
                if answer.status_code == 201:
                    return ids.read("charge", answer.json()["id"])
                assert problem(answer) == (503, UNAVAILABLE.code)
            self.repeated += 1
            await asyncio.sleep(0.05)

    async def charged_again(self) -> dict[tuple[UUID, str], UUID]:
        """Ask for every charge once more, under its key."""
        async with self.ledger.asking() as api:
            return {named: await self._charged(api, *named) for named in self.charges}

    async def until_charged(self, number: int) -> None:
        """Wait until so many charges were acknowledged."""
        await until(lambda: len(self.charges) >= number)

    async def use(self, accounts: Sequence[UUID], *, events: int) -> None:
        """Report usage, of one account after the other."""
        made = [(account, used(account)) for account in islice(cycle(accounts), events)]
        for account, event in made:
            self.used.setdefault(account, []).append(event.id)
        await self.ledger.report(*(event for _, event in made))


async def test_a_broker_that_lost_everything_in_mid_stream_is_told_again_and_the_books_stay_the_same(
    ledger: Cell,
) -> None:
    rng = random.Random(5)
    grants, grants_after = [few_lots(rng, accounts=10, most=100) for _ in range(2)]
    events, events_after = [list(islice(usage_of(rng, lots), 1600)) for lots in (grants, grants_after)]
    await ledger.grant(*grants, *grants_after)
    async with ledger.connection() as conn:
        before = await decided(conn)
        await ledger.report(*events[:400])
        await until_decided(conn, before + 300)
        await until_found(lambda: some_told(conn))
        await ledger.report(*events[400:])
        ledger.servers.broker.process.kill()
        assert await decided(conn) < before + 1400
        await ledger.servers.broker.wipe()
    await topics.ensure(ledger.servers.kafka, ALL, replication=1)
    await ledger.report(*events_after, *events)
    await ledger.until_consumed()
    async with ledger.connection() as conn:
        sent = [event.encode() for event in (*events, *events_after)]
        await assert_same_books(conn, replayed([*grants, *grants_after], sent))
        outbox = await conn.fetch("SELECT unnest(payloads) AS payload FROM outbox")

    async def all_told_again() -> bool:
        return {row["payload"] for row in outbox} <= set(await ledger.records(CREDITS_EVENTS))

    assert outbox
    await wait_for(all_told_again)


async def some_told(conn: Connection) -> bool:
    """Tell whether the broker has any of what the ledger has to tell."""
    return bool(await conn.fetchval("SELECT count(*) > 0 FROM outbox WHERE published_at IS NOT NULL"))


# Workers


async def test_workers_killed_fifty_times_in_mid_stream_leave_the_books_that_the_oracle_keeps(ledger: Cell) -> None:
    rng = random.Random(4)
    grants = few_lots(rng, accounts=30, most=120)
    stream = usage_of(rng, grants)
    await ledger.grant(*grants)
    async with ledger.connection() as conn, ledger.reporting() as report, ledger.respawning(WORKERS) as supervisor:
        for _ in range(KILLS):
            before = await decided(conn)
            await report(islice(stream, 80))
            await until_decided(conn, before + rng.randint(1, 50))
            await asyncio.to_thread(kill_the_oldest, supervisor)
        await ledger.until_consumed()
    oracle = replayed(grants, of(grants, await ledger.records(USAGE_EVENTS)))
    assert oracle.burnt
    assert oracle.refused
    async with ledger.connection() as conn:
        await assert_same_books(conn, oracle)


def kill_the_oldest(supervisor: psutil.Process) -> None:
    """Kill the worker that has been at work for longest, and wait until its supervisor has noticed."""
    oldest = min(supervisor.children(), key=lambda worker: (worker.create_time(), worker.pid))
    oldest.kill()
    oldest.wait(timeout=30)


def of(grants: Sequence[Grant], records: Sequence[bytes]) -> list[bytes]:
    """Choose the usage of the accounts that were granted something."""
    accounts = {ids.show("account", grant.account) for grant in grants}
    return [record for record in records if CloudEvent.decode(record).subject in accounts]
