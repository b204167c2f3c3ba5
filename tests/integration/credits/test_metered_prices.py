"""Prices that depend on what was used before: counted in the transaction that burns."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from libs.contracts import ids
from libs.contracts.catalogue import Catalogue
from libs.contracts.envelope import CloudEvent
from tests.integration.credits.serving import Api
from tests.support.ledger import Credits, used

METER: dict[str, Any] = {
    "unit": "call",
    "properties": {"outcome": {"type": "text", "values": ["ok", "failed"], "default": "ok"}},
    "allowance": "10",
    "prices": [
        {
            "tiers": {
                "mode": "graduated",
                "steps": [{"upto": "100", "credits": "0.3"}, {"upto": "200", "credits": "0.1"}, {"credits": "0.01"}],
            }
        }
    ],
    "outcomes": [{"name": "Failed", "when": 'outcome == "failed"', "percent": 0}],
}
JOB = {"type": "job", "id": "1"}


@pytest.fixture
def catalogue() -> Catalogue:
    book = {"version": "tiers-1", "meters": {"calls": METER, "daily": METER | {"period": "day"}}}
    return Catalogue.of({"name": "tiers", "welcome_bonus": {"credits": "1000"}, "price_book": book})


def cost(calls: Decimal | int) -> Decimal:
    """Say what a month's first calls cost together."""
    spans = [(10, 100, Decimal("0.3")), (100, 200, Decimal("0.1")), (200, 10**9, Decimal("0.01"))]
    return sum((max(min(calls, high) - low, Decimal(0)) * price for low, high, price in spans), Decimal(0))


async def spent(credits: Credits, account: Any) -> Decimal:
    return Decimal((await credits.balance(account)).totals.spent) / 1_000_000


def dated(event: CloudEvent, time: datetime) -> CloudEvent:
    return event.model_copy(update={"time": time})


@pytest.mark.parametrize("seed", range(8))
async def test_usage_in_batches_with_repetitions_costs_what_all_of_it_does_together(
    credits: Credits, seed: int
) -> None:
    chance = random.Random(seed)
    account, other = await credits.open(), await credits.open()
    events = [used(account, "calls", str(Decimal(chance.randint(1, 20_000_000)) / 1_000_000)) for _ in range(40)]
    told = [*events, *chance.sample(events, 15)]
    chance.shuffle(told)
    while told:
        batch = [told.pop() for _ in range(min(len(told), chance.randint(1, 12)))]
        await credits.use(*batch, used(other, "calls", 1))
    used_up = sum(Decimal(event.data["quantity"]) for event in events)
    assert 0 <= await spent(credits, account) - cost(used_up) < len(events) * Decimal("0.000001")


async def test_charges_at_once_count_every_unit_once(credits: Credits, api: Api) -> None:
    account = await credits.open()
    answers = await asyncio.gather(
        *(api.post("/charges", {"account": ids.show("account", account), "meter": "calls"}) for _ in range(150))
    )
    assert {answer.status_code for answer in answers} == {201}
    charged = [Decimal(answer.json()["credits"]) for answer in answers]
    assert sorted(set(charged)) == [Decimal(0), Decimal("0.1"), Decimal("0.3")]
    assert (charged.count(Decimal(0)), sum(charged)) == (10, cost(150))


async def test_a_usage_that_is_refused_counts_nothing(credits: Credits) -> None:
    account = await credits.open()
    assert await credits.use(used(account, "calls", 10**6)) == ["PAY001"]
    assert await credits.use(used(account, "calls", 10, outcome="failed")) == ["burnt"]
    assert await credits.use(used(account, "calls", 10)) == ["burnt"]
    assert await spent(credits, account) == 0


async def test_a_usage_counts_in_the_month_and_the_day_of_its_own_time(credits: Credits) -> None:
    account = await credits.open()
    noon = datetime.combine(credits.clock.now().date(), datetime.min.time(), UTC)
    month_before = noon.replace(day=1) - timedelta(hours=1)
    await credits.use(used(account, "calls", 10), dated(used(account, "calls", 10), month_before))
    await credits.use(*(dated(used(account, "daily", 10), noon - timedelta(days=day)) for day in (0, 1, 2)))
    assert await spent(credits, account) == 0
    await credits.use(used(account, "calls", 1), dated(used(account, "calls", 1), month_before))
    await credits.use(dated(used(account, "daily", 1), noon - timedelta(days=1)))
    assert await spent(credits, account) == Decimal("0.9")


async def test_a_hold_reserves_by_the_tier_of_the_moment_and_counts_nothing(credits: Credits, api: Api) -> None:
    account = await credits.open()
    await credits.use(used(account, "calls", 95))
    order = {"account": ids.show("account", account), "meter": "calls", "quantity": "10"}
    assert [(await api.post("/holds", order)).json()["reserved"] for _ in range(2)] == ["2", "2"]
    assert (await api.post("/charges", order)).json()["credits"] == "2"
    assert (await api.post("/holds", order)).json()["reserved"] == "1"


async def test_a_reference_is_charged_once_though_it_would_cost_another_amount_now(credits: Credits, api: Api) -> None:
    account = await credits.open()
    order = {"account": ids.show("account", account), "meter": "calls", "quantity": "12", "reference": JOB}
    first = await api.post("/charges", order)
    again = await api.post("/charges", order)
    assert (again.status_code, again.json()["id"], again.json()["credits"]) == (201, first.json()["id"], "0.6")
    other = await api.post("/charges", order | {"quantity": "13"})
    assert (other.status_code, other.json()["code"]) == (409, "PAY041")
    assert await spent(credits, account) == Decimal("0.6")
