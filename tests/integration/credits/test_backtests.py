"""Recorded usage rated anew: the active book gives what the ledger has, another book what it would have."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from libs.contracts import ids
from libs.contracts.catalogue import Catalogue
from libs.contracts.envelope import CloudEvent
from libs.contracts.price_book import PriceBook
from services.credits.domain.backtests import Bill, Reason, Refused, Summary
from services.credits.domain.pricing import Prices
from services.credits.operations.backtests import Asked, backtest
from tests.integration.credits.serving import Api
from tests.integration.credits.travelling import Travel
from tests.support.ledger import Credits, used

STEPS = [{"upto": "20", "credits": "0.3"}, {"upto": "50", "credits": "0.1"}, {"credits": "0.0123"}]
OUTCOME = {"type": "text", "values": ["ok", "failed"], "default": "ok"}
FAILED = {"name": "Failed", "when": 'outcome == "failed"', "percent": 0}
METERS: dict[str, Any] = {
    "video": {
        "unit": "second",
        "properties": {"resolution": {"type": "text", "values": ["720p", "1080p"]}, "outcome": OUTCOME},
        "billing": {"per": "30", "rounding": "up"},
        "prices": [{"when": 'resolution == "720p"', "credits": "0.5"}, {"credits": "0.8"}],
        "surcharges": [{"name": "Full HD", "when": 'resolution == "1080p"', "percent": 33}],
        "outcomes": [FAILED],
    },
    "calls": {
        "unit": "call",
        "properties": {"outcome": OUTCOME},
        "allowance": "10",
        "prices": [{"tiers": {"mode": "graduated", "steps": STEPS}}],
        "outcomes": [FAILED],
    },
    "storage": {
        "unit": "gigabyte",
        "allowance": "2.5",
        "period": "day",
        "billing": {"per": "0.7"},
        "prices": [{"tiers": {"mode": "volume", "steps": STEPS}}],
    },
    "tokens": {"unit": "token", "prices": [{"credits": "0.000003"}]},
}
BOOK = {"version": "then", "meters": METERS}
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue.of({"name": "test", "welcome_bonus": {"credits": "2"}, "price_book": BOOK})


def changed(meter: str, **rules: Any) -> Prices:
    """Make a draft that says something else of a meter."""
    book = BOOK | {"version": "draft", "meters": METERS | {meter: METERS[meter] | rules}}
    return Prices(Catalogue.of({"name": "test", "price_book": book}).price_book)


async def rated_by(credits: Credits, prices: Prices, **asked: Any) -> tuple[Summary, dict[UUID, Bill]]:
    bills: dict[UUID, Bill] = {}

    def done(bill: Bill) -> None:
        assert bill.account not in bills
        bills[bill.account] = bill

    async with credits.pool.connection() as conn:
        summary = await backtest(conn, prices, Asked(**({"since": BEGINNING} | asked)), done=done)
    return summary, bills


def anything(chance: random.Random, account: UUID, now: datetime) -> CloudEvent:
    """Make up a usage: of any meter, undated, from today or from a month ago, sometimes one that is refused."""
    meter = chance.choice(["video", "calls", "calls", "storage", "tokens", "unheard_of"])
    quantity = str(Decimal(chance.randint(0, 9_000_000)).scaleb(-chance.choice([0, 6, 6, 6, 6])))
    if meter == "calls":
        quantity = str(chance.randint(0, 12))
    said: dict[str, Any] = {}
    if meter == "video":
        said["resolution"] = chance.choice(["720p", "1080p", "1080p", "480p"])
    if meter in ("video", "calls") and chance.random() < 0.3:
        said["outcome"] = chance.choice(["ok", "failed"])
    event = used(account, meter, quantity, **said)
    ago = chance.choice(
        [None, None, timedelta(minutes=-30), timedelta(hours=2), timedelta(days=20), timedelta(days=34)]
    )
    return event if ago is None else event.model_copy(update={"time": now - ago})


async def an_account(credits: Credits, chance: random.Random) -> UUID:
    """Open an account with several small lots, so that usage burns parts of many."""
    account = await credits.open()
    for _ in range(12):
        await credits.tell_payment(account, str(chance.randint(1, 5)), kind=chance.choice(["purchased", "membership"]))
    return account


async def spend_at_random(credits: Credits, api: Api, accounts: list[UUID], chance: random.Random) -> list[str]:
    """Report a hundred usages in batches, some twice, and charge now and then by meter or by amount."""
    outcomes: list[str] = []
    for _ in range(12):
        batch = [anything(chance, chance.choice(accounts), credits.clock.now()) for _ in range(chance.randint(1, 16))]
        outcomes += await credits.use(*batch, chance.choice(batch))
        order: dict[str, Any] = {"account": ids.show("account", chance.choice(accounts))}
        await api.post("/charges", order | {"meter": "calls", "quantity": str(chance.randint(1, 9))})
        await api.post("/charges", order | {"amount": "0.25", "metadata": {"meter": "video", "quantity": "3"}})
    return outcomes


async def metered(credits: Credits, since: datetime) -> dict[UUID, int]:
    """Sum what the ledger charged each account by a book, leg by leg."""
    async with credits.pool.connection() as conn:
        rows = await conn.fetch(
            """SELECT account_id, sum(amount) FROM entry INNER JOIN (
                   SELECT account_id, sequence FROM entry WHERE price_version IS NOT NULL AND at >= $1
               ) AS priced USING (account_id, sequence) GROUP BY account_id""",
            since,
        )
    return {row[0]: int(row[1]) for row in rows}


async def legs(credits: Credits) -> int:
    async with credits.pool.connection() as conn:
        return int(await conn.fetchval("SELECT max(leg) FROM entry WHERE type IN ('usage', 'charge')"))


@pytest.mark.parametrize("seed", range(4))
async def test_a_backtest_with_the_active_book_reproduces_the_ledger_to_the_micro_credit(
    credits: Credits, api: Api, travel: Travel, seed: int
) -> None:
    chance = random.Random(seed)
    accounts = [await an_account(credits, chance) for _ in range(4)]
    outcomes = await spend_at_random(credits, api, accounts, chance)
    await travel(days=chance.choice([0, 1, 20, 40]))
    middle = credits.clock.now()
    outcomes += await spend_at_random(credits, api, accounts, chance)
    assert {"burnt", "PAY001", "PAY021", "PAY022"} <= set(outcomes)
    assert await legs(credits) > 0
    for since in (BEGINNING, middle):
        summary, bills = await rated_by(credits, Prices(credits.catalogue.price_book), since=since)
        assert {account: bill.total.charged for account, bill in bills.items()} == await metered(credits, since)
        for bill in bills.values():
            assert bill.total.draft == bill.total.charged
            assert all(sums.draft == sums.charged for sums in bill.meters.values())
        assert (summary.total.refused, summary.refusals, summary.bands) == (0, {}, {"the same": len(bills)})
    assert summary.total.charged > 0


async def test_usage_before_the_window_counts_for_tiers_and_is_not_summed(credits: Credits, travel: Travel) -> None:
    account = await credits.open_with("100")
    await credits.use(used(account, "calls", 30), used(account, "video", 30, resolution="720p"))
    await travel(minutes=1)
    since = credits.clock.now()
    await credits.use(used(account, "calls", 10))
    summary, bills = await rated_by(credits, changed("calls", allowance="35"), since=since)
    assert (summary.total.usages, summary.total.charged, summary.total.draft) == (1, 1_000_000, 500_000)
    assert bills[account].meters.keys() == {"calls"}


async def test_a_draft_that_is_dearer_says_for_whom_and_by_how_much(credits: Credits) -> None:
    dear, cheap, neither = [await credits.open_with("100") for _ in range(3)]
    for account, tokens, calls in ((dear, 1_000_000, 20), (cheap, 1, 100), (neither, 0, 1)):
        await credits.use(used(account, "tokens", tokens), used(account, "calls", calls))
    summary, bills = await rated_by(credits, changed("tokens", prices=[{"credits": "0.00001"}]), dearer_by=50)
    assert [(account, sums.difference, sums.percent) for account, sums in summary.dearer] == [
        (dear, 7_000_000, "+116.7")
    ]
    assert (summary.dearer_count, summary.accounts) == (1, 3)
    assert summary.bands == {"+100 % or more": 1, "0 to +10 %": 1, "the same": 1}
    assert summary.meters["tokens"].draft == 10_000_010
    assert bills[cheap].meters["tokens"].difference == 7


async def test_what_the_draft_would_refuse_is_told_with_reasons_and_what_was_charged_for_it(credits: Credits) -> None:
    account = await credits.open_with("12")
    said = {"resolution": "1080p"}
    await credits.use(used(account, "video", 290, **said), used(account, "video", 30, resolution="720p"))
    draft = changed("video", properties={"resolution": {"type": "text", "values": ["720p"]}, "outcome": OUTCOME})
    summary, _ = await rated_by(credits, draft)
    reason = Reason("video", "PAY022", '"video": property "resolution": "1080p" is none of 720p')
    assert summary.refusals == {reason: Refused(1, 10_640_000)}
    assert (summary.total.charged, summary.total.draft, summary.total.refused) == (11_140_000, 500_000, 1)


async def test_usage_that_was_refused_is_counted_apart_with_whether_the_drafts_prices_let_it_pass(
    credits: Credits,
) -> None:
    account = await credits.open()
    await credits.use(
        used(account, "video", 30, resolution="480p"),
        used(account, "video", 30, resolution="240p"),
        used(account, "tokens", 10**12),
        used(account, "unheard_of"),
        used(account, "unheard_of"),
    )
    draft = changed("video", properties={"resolution": {"type": "text", "values": ["480p"]}, "outcome": OUTCOME})
    summary, bills = await rated_by(credits, draft)
    assert bills == {}
    assert summary.refused_before == {
        ("video", "PAY022", None): 1,
        ("video", "PAY022", Reason("video", "PAY022", '"video": property "resolution": "240p" is none of 480p')): 1,
        ("tokens", "PAY001", None): 1,
        ("unheard_of", "PAY021", Reason("unheard_of", "PAY021", 'the price book has no meter "unheard_of"')): 2,
    }


async def test_one_account_and_a_time_that_ends_can_be_asked_for(credits: Credits, travel: Travel) -> None:
    mine, other = await credits.open(), await credits.open()
    await credits.use(used(mine, "tokens", 5), used(other, "tokens", 7))
    await travel(minutes=1)
    until = credits.clock.now()
    await credits.use(used(mine, "tokens", 11), used(mine, "unheard_of"))
    prices = Prices(credits.catalogue.price_book)
    summary, bills = await rated_by(credits, prices, account=mine, until=until)
    assert (list(bills), summary.total.charged, summary.refused_before) == ([mine], 15, {})
    assert (await rated_by(credits, prices, account=mine))[0].total.charged == 48


async def test_books_for_which_nothing_was_recorded_sum_up_to_nothing(credits: Credits) -> None:
    await credits.open()
    summary, bills = await rated_by(credits, Prices(PriceBook(version="empty", meters={})))
    assert (bills, summary.total.usages, summary.total.percent) == ({}, 0, None)


async def test_who_cannot_take_a_bill_is_heard_and_the_connection_is_whole(credits: Credits) -> None:
    for _ in range(3):
        await credits.use(used(await credits.open(), "tokens", 5))

    def full(bill: Bill) -> None:
        raise OSError("no space left")

    async with credits.pool.connection() as conn:
        with pytest.raises(OSError, match="no space left"):
            await backtest(conn, Prices(credits.catalogue.price_book), Asked(BEGINNING), done=full)
        assert await conn.fetchval("SELECT count(*) FROM entry WHERE type = 'usage'") == 3
