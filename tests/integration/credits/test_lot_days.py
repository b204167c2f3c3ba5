"""What became of lots, day by day: whatever happens to a ledger, every credit that was granted is somewhere."""

import random
from typing import get_args

import pytest

from libs.chassis.pool import Pool
from services.credits.domain.books import Rules
from services.credits.operations.active_prices import ActivePrices
from services.credits.operations.sealing import Sealer
from tests.integration.credits.summing import sum_journal
from tests.support.books import assert_books_balance
from tests.support.databases import ServicePool
from tests.support.ledger import Credits
from tests.support.oracle.disputes import OWED, SPENT, a_dispute
from tests.support.oracle.playing import Play
from tests.support.oracle.scripts import ACCOUNTS, Batch, Change, Settle, Step, StoppedClock, Travel, Verb, Wish

STEPS = 300
QUARRELS = 20
VERBS = [*get_args(Verb), *(["spend", "grant", "grant", "take_back", "take_back", "transfer"] * 3)]
WAYS = ("revenue", "overdraft", "debt", "breakage", "transit", "stripe")


def a_step(chance: random.Random) -> Step:
    match chance.randrange(8):
        case 0:
            return Travel(chance.choice([1, 2, 24]))
        case 1:
            return Change(chance.randrange(ACCOUNTS - 1), "open", chance.choice([1, 5, 20]))
        case 2:
            return Settle()
    return Batch([a_wish(chance) for _ in range(chance.randint(2, 10))])


def a_quarrel(chance: random.Random) -> list[Step]:
    return a_dispute(
        chance.choice([3, 2, 3, 2, 1, 0]),
        chance.randrange(6),
        chance.choice(OWED),
        spent=(chance.choice(SPENT), chance.randint(1, 14)),
        repaid=chance.choice([12, 12, 5, 3]),
        won_last=chance.random() < 0.5,
        expires=chance.random() < 0.2,
    )


def a_wish(chance: random.Random) -> Wish:
    return Wish(
        verb=chance.choice(VERBS),
        account=chance.randrange(ACCOUNTS),
        amount=chance.randint(1, 12),
        which=chance.randrange(6),
        hours=chance.choice([1, 2, 3, 24]),
        flag=chance.random() < 0.5,
    )


@pytest.mark.parametrize("seed", range(6))
async def test_every_credit_of_a_lot_remains_or_went_one_way(service_pool: ServicePool, seed: int) -> None:
    """The books' audit says it; here it has something to audit."""
    chance = random.Random(seed)
    pool: Pool = await service_pool("credits", size=2)
    await Credits(pool, StoppedClock()).timeline()
    quarrels = [step for _ in range(QUARRELS) for step in a_quarrel(chance)]
    script = [*quarrels, *(a_step(chance) for _ in range(STEPS - len(quarrels)))]
    await Play(pool, Rules(capture_above_hold=seed % 2 == 0)).run(script)
    clock = StoppedClock()
    await sum_journal(pool, clock, ActivePrices(pool, clock), Sealer(pool, clock, None))
    await assert_books_balance(pool)
    async with pool.connection() as conn:
        for way in WAYS:
            assert await conn.fetchval("SELECT count(*) > 0 FROM entry WHERE to_bucket = $1::bucket", way), way
        assert await conn.fetchval("SELECT count(*) > 0 FROM lot WHERE reference_type = 'repaid_debt'")
