"""Once is an insert that shares the transaction with the effect: the inbox, and callers' idempotency keys."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from libs.chassis import idempotency, inbox
from libs.chassis.errors import IdempotencyKeyReusedError
from libs.chassis.idempotency import Claim, Key
from tests.integration.chassis.database import Database
from tests.integration.chassis.kafka import Gate


def a_key(*, caller: str = "user:1", key: str = "key", body: Any = None) -> Key:
    return Key.of(caller=caller, key=key, operation="buy", body=body or {"amount": 1})


async def act(database: Database, key: Key, *, gate: Gate | None = None) -> Claim:
    """Claim a key, leave an effect, answer with how many there are: as a service does, in one transaction."""
    async with database.pool.transaction() as conn:
        claim = await idempotency.claim(conn, key, subject=uuid4(), at=database.now())
        if not claim.fresh:
            return claim
        await conn.execute("INSERT INTO effect (key, number) VALUES ($1, 1)", key.key)
        if gate is not None:
            await gate.passed()
        body = {"effects": await conn.fetchval("SELECT count(*) FROM effect"), "subject": str(claim.subject)}
        return await idempotency.answer(conn, key, status=201, body=body)


async def test_of_many_twins_at_once_one_acts_and_all_get_its_answer(database: Database) -> None:
    claims = await asyncio.gather(*(act(database, a_key()) for _ in range(8)))
    assert await database.effects() == [1]
    assert {(claim.status, claim.body["effects"], claim.body["subject"]) for claim in claims} == {
        (201, 1, str(claims[0].subject))
    }
    assert not any(claim.fresh for claim in claims)


async def test_a_twin_waits_for_the_one_that_acts(database: Database) -> None:
    gate = Gate()
    first = asyncio.create_task(act(database, a_key(), gate=gate))
    await gate.reached.wait()
    second = asyncio.create_task(act(database, a_key()))
    await database.until_waiting_for_a_lock(1)
    assert not second.done()
    gate.opened.set()
    assert (await second).body == (await first).body


async def test_the_same_key_with_another_body_or_operation_is_refused(database: Database) -> None:
    await act(database, a_key(body={"amount": 1}))
    other_operation = Key.of(caller="user:1", key="key", operation="refund", body={"amount": 1})
    for other in (a_key(body={"amount": 2}), other_operation):
        with pytest.raises(IdempotencyKeyReusedError):
            await act(database, other)
    assert await database.effects() == [1]


async def test_twins_with_different_bodies_at_once_have_one_effect(database: Database) -> None:
    attempts = (act(database, a_key(body={"amount": number})) for number in range(4))
    results = await asyncio.gather(*attempts, return_exceptions=True)
    assert [type(result) for result in results].count(IdempotencyKeyReusedError) == 3
    assert await database.effects() == [1]


def test_a_fingerprint_knows_content_not_the_order_of_fields() -> None:
    assert a_key(body={"a": 1, "b": {"c": 2, "d": 3}}) == a_key(body={"b": {"d": 3, "c": 2}, "a": 1})
    assert a_key(body={"a": [1, 2]}) != a_key(body={"a": [2, 1]})
    assert a_key(body={"a": 1}) != a_key(body={"a": "1"})


async def test_a_key_belongs_to_its_caller(database: Database) -> None:
    mine = await act(database, a_key(caller="user:1", body={"amount": 1}))
    yours = await act(database, a_key(caller="user:2", body={"amount": 2}))
    assert (mine.body["effects"], yours.body["effects"]) == (1, 2)


async def test_a_rollback_frees_the_key(database: Database) -> None:
    gate = Gate()
    failing = asyncio.create_task(act(database, a_key(), gate=gate))
    await gate.reached.wait()
    twin = asyncio.create_task(act(database, a_key(body={"amount": 2})))
    await database.until_waiting_for_a_lock(1)
    failing.cancel()
    assert (await twin).body["effects"] == 1
    with pytest.raises(asyncio.CancelledError):
        await failing


async def test_the_answer_is_stored_with_the_effect_or_not_at_all(database: Database) -> None:
    gate = Gate()
    acting = asyncio.create_task(act(database, a_key(), gate=gate))
    await gate.reached.wait()
    assert await database.value("SELECT count(*) FROM idempotency_key") == 0
    gate.opened.set()
    await acting
    assert await database.value("SELECT status FROM idempotency_key") == 201


async def test_a_request_in_steps_finds_what_it_acts_on_before_it_has_an_answer(database: Database) -> None:
    key, purchase = a_key(), uuid4()

    async def claim(subject: UUID) -> Claim:
        async with database.pool.transaction() as conn:
            return await idempotency.claim(conn, key, subject=subject, at=database.now())

    assert (await claim(purchase)).fresh
    again = await claim(uuid4())
    assert (again.fresh, again.answered, again.subject) == (False, False, purchase)
    async with database.pool.transaction() as conn:
        await idempotency.answer(conn, key, status=402, body={"code": "PAY002"})
    answered = await claim(uuid4())
    assert (answered.answered, answered.status, answered.body) == (True, 402, {"code": "PAY002"})


async def test_of_two_answers_the_first_stands(database: Database) -> None:
    await act(database, a_key())
    async with database.pool.transaction() as conn:
        stands = await idempotency.answer(conn, a_key(), status=500, body={"late": True})
    assert stands.status == 201


async def test_an_answer_without_a_body_is_refused(database: Database) -> None:
    """It could not be told from no answer."""
    async with database.pool.transaction() as conn:
        await idempotency.claim(conn, a_key(), subject=None, at=database.now())
        with pytest.raises(asyncpg.CheckViolationError, match="an_answer_is_whole"):
            await idempotency.answer(conn, a_key(), status=204, body=None)


async def test_keys_are_forgotten_after_a_week(database: Database) -> None:
    await act(database, a_key())
    async with database.pool.transaction() as conn:
        assert await idempotency.prune(conn, now=database.now() + timedelta(days=6)) == 0
        assert await idempotency.prune(conn, now=database.now() + timedelta(days=8)) == 1
    assert (await act(database, a_key(body={"amount": 2}))).body["effects"] == 2


async def take(database: Database, *, consumer: str = "one", gate: Gate | None = None) -> bool:
    """Have a consumer see a message, with an effect if it is the first time."""
    async with database.pool.transaction() as conn:
        fresh = await inbox.first_time(conn, consumer=consumer, message_id="message", at=database.now())
        if fresh:
            await conn.execute("INSERT INTO effect (key, number) VALUES ('key', 1)")
            if gate is not None:
                await gate.passed()
        return fresh


async def test_of_many_deliveries_at_once_one_has_the_effect(database: Database) -> None:
    assert sorted(await asyncio.gather(*(take(database) for _ in range(8)))) == [False] * 7 + [True]
    assert await database.effects() == [1]


async def test_each_consumer_has_an_inbox_of_its_own(database: Database) -> None:
    assert await take(database, consumer="one")
    assert await take(database, consumer="other")


async def test_what_was_rolled_back_was_never_seen(database: Database) -> None:
    gate = Gate()
    failing = asyncio.create_task(take(database, gate=gate))
    await gate.reached.wait()
    twin = asyncio.create_task(take(database))
    await database.until_waiting_for_a_lock(1)
    failing.cancel()
    assert await twin
    with pytest.raises(asyncio.CancelledError):
        await failing


async def test_messages_are_forgotten_after_five_weeks(database: Database) -> None:
    await take(database)
    async with database.pool.transaction() as conn:
        assert await inbox.prune(conn, now=database.now() + timedelta(days=34)) == 0
        assert await inbox.prune(conn, now=database.now() + timedelta(days=36)) == 1
