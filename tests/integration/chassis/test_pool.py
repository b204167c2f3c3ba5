import asyncio
from collections.abc import AsyncIterator

import asyncpg
import httpx2
import pytest
from fastapi import FastAPI

from libs.chassis.http import create_app
from libs.chassis.pool import (
    TRANSIENT,
    CalledInTransactionError,
    ConnectionLostError,
    Pool,
    open_pool,
    outside_transactions,
)
from libs.contracts import errors as codes
from tests.integration.chassis.database import Database
from tests.integration.chassis.kafka import Gate
from tests.integration.chassis.waiting import until, until_found
from tests.support.serving import asking, served, speak


@pytest.fixture
async def small(database: Database) -> AsyncIterator[Pool]:
    """A pool of two connections, that has little patience."""
    pool = await open_pool(database.url, size=2, name="small", patience_seconds=0.1)
    yield pool
    await pool.close()


async def in_transaction(database: Database) -> int:
    """Count the connections that sit in a transaction and do nothing."""
    return int(
        await database.value(
            """SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = 'small'
                  AND state LIKE 'idle in transaction%'"""
        )
    )


def make_app(pool: Pool, gate: Gate) -> FastAPI:
    app = create_app("Test", checks={"database": pool.healthy})
    app.state.begun = 0

    @app.post("/effects")
    async def effects() -> dict[str, str]:
        app.state.begun += 1
        async with pool.transaction() as conn:
            await conn.execute("INSERT INTO effect (key, number) VALUES ('key', 1)")
            await gate.passed()
        return {"status": "done"}

    return app


async def test_when_all_connections_are_taken_others_are_told_so_at_once(database: Database, small: Pool) -> None:
    gate = Gate()
    async with asking(make_app(small, gate)) as http:
        posts = [asyncio.create_task(http.post("/effects")) for _ in range(12)]
        await until(lambda: sum(post.done() for post in posts) == 10)
        refused = [post.result() for post in posts if post.done()]
        assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {(503, codes.UNAVAILABLE.code)}
        assert {answer.headers["retry-after"] for answer in refused} == {"1"}
        assert (await http.get("/livez")).status_code == 200
        gate.opened.set()
        assert sorted(answer.status_code for answer in await asyncio.gather(*posts)) == [200] * 2 + [503] * 10
        assert (await http.post("/effects")).status_code == 200
    assert await database.effects() == [1, 1, 1]
    assert await in_transaction(database) == 0


async def test_callers_who_hang_up_leave_no_transaction_open(database: Database, small: Pool) -> None:
    gate = Gate()
    app = make_app(small, gate)
    async with served(app) as address:
        request = b"POST /effects HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"
        await asyncio.gather(*(speak(address, request, listen=False) for _ in range(20)))
        await until(lambda: app.state.begun == 20)
        gate.opened.set()
        async with httpx2.AsyncClient(base_url=address, timeout=20) as http:

            async def works() -> bool:
                return (await http.post("/effects")).status_code == 200

            await until_found(works)
    assert await in_transaction(database) == 0


async def test_cancelled_work_is_rolled_back_and_its_connection_good_again(database: Database, small: Pool) -> None:
    async def work(gate: Gate) -> None:
        async with small.transaction() as conn:
            await conn.execute("INSERT INTO effect (key, number) VALUES ('key', 1)")
            await gate.passed()

    for _ in range(10):
        gates = [Gate(), Gate()]
        tasks = [asyncio.create_task(work(gate)) for gate in gates]
        await asyncio.gather(*(gate.reached.wait() for gate in gates))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert await database.effects() == []
    assert await in_transaction(database) == 0
    async with small.transaction() as conn:
        assert await conn.fetchval("SELECT 1") == 1


async def test_a_statement_cancelled_in_its_middle_leaves_a_sound_pool(database: Database, small: Pool) -> None:
    async def sleep() -> None:
        async with small.transaction() as conn:
            await conn.execute("SELECT pg_sleep(60)")

    async def asleep() -> bool:
        return bool(await database.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))

    task = asyncio.create_task(sleep())
    await until_found(asleep)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await in_transaction(database) == 0
    assert await small.healthy()


async def test_those_who_wait_for_news_are_told_of_commits_alone(database: Database) -> None:
    told: list[str] = []
    database.pool.on_commit(lambda: told.append("committed"))
    with pytest.raises(asyncpg.DivisionByZeroError):
        await divide_by_zero(database.pool)
    assert told == []
    async with database.pool.transaction():
        assert told == []
    assert told == ["committed"]


async def divide_by_zero(pool: Pool) -> None:
    async with pool.transaction() as conn:
        await conn.execute("SELECT 1 / 0")


async def test_a_lost_connection_is_an_error_that_passes(database: Database) -> None:
    async def use_after_cut() -> None:
        async with database.pool.connection() as conn:
            await database.cut("test")
            while True:
                await conn.fetchval("SELECT 1")

    async def use_again() -> None:
        async with database.pool.connection() as conn:
            await database.cut("test")
            for _ in range(3):
                try:
                    await conn.fetchval("SELECT 1")
                except TRANSIENT:
                    continue  # a driver's user may well try again on what he holds

    with pytest.raises(TRANSIENT):
        await use_after_cut()
    with pytest.raises(ConnectionLostError):
        await use_again()

    async with database.pool.transaction() as conn:
        assert await conn.fetchval("SELECT 1") == 1


async def test_our_own_mistakes_do_not_pass(database: Database) -> None:
    """Else a consumer would try a message for ever that no try can handle."""
    mistakes = [("SELECT $1::bigint", 2**63), ("SELECT $1::uuid", "no uuid"), ("SELECT 1", "one too many")]
    async with database.pool.connection() as conn:
        for statement, argument in mistakes:
            with pytest.raises((asyncpg.InterfaceError, asyncpg.DataError)) as raised:
                await conn.fetchval(statement, argument)
            assert not isinstance(raised.value, TRANSIENT)
    assert not issubclass(asyncpg.UniqueViolationError, TRANSIENT)
    assert not issubclass(asyncpg.CheckViolationError, TRANSIENT)


async def test_json_columns_read_and_write_values(database: Database) -> None:
    value = {"text": "ü\n", "list": [1, None, True], "nested": {"a": 1.5}}
    async with database.pool.connection() as conn:
        assert await conn.fetchval("SELECT $1::jsonb", value) == value
        assert await conn.fetchval("SELECT $1::json ->> 'text'", value) == "ü\n"


async def test_arrays_are_lists_and_tuples_nested_or_not_and_nothing_else(database: Database, small: Pool) -> None:
    async with small.connection() as conn:
        for array in ([1, None, 3], (1, None, 3)):
            assert await conn.fetchval("SELECT $1::bigint[]", array) == [1, None, 3]
        assert await conn.fetchval("SELECT $1::text[]", [["a", "b"], ["c", None]]) == [["a", "b"], ["c", None]]
        with pytest.raises(asyncpg.DataError, match="a sized iterable container expected"):
            await conn.fetchval("SELECT $1::bigint[]", {1})


async def test_a_transaction_that_hangs_gives_back_what_it_locked(database: Database, small: Pool) -> None:
    async with small.connection() as conn:
        assert await conn.fetchval("SHOW idle_in_transaction_session_timeout") == "30s"
        assert await conn.fetchval("SHOW timezone") == "UTC"


async def test_a_closed_pool_is_not_healthy(database: Database) -> None:
    pool = await open_pool(database.url, size=2, name="test")
    assert await pool.healthy()
    await pool.close()
    assert not await pool.healthy()


async def test_nobody_is_called_over_the_network_while_a_transaction_is_open(small: Pool) -> None:
    async def call_later(gate: Gate) -> None:
        await gate.passed()
        outside_transactions()

    async with small.connection() as conn:
        outside_transactions()
        async with conn.transaction():
            with pytest.raises(CalledInTransactionError):
                outside_transactions()
        outside_transactions()
    gate = Gate()
    async with small.transaction():
        with pytest.raises(CalledInTransactionError):
            await asyncio.gather(asyncio.to_thread(outside_transactions))
        begun = asyncio.create_task(call_later(gate))
        await gate.reached.wait()
    gate.opened.set()
    await begun
    outside_transactions()
