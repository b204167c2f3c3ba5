"""What an account earned its operator, and what it cost: by the lots that were paid for, to the last millionth."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from libs.contracts import ids
from libs.contracts.catalogue import Catalogue
from libs.contracts.envelope import CloudEvent
from services.credits.operations import insight
from tests.integration.credits.serving import Api, problem
from tests.integration.credits.summing import sum_up
from tests.integration.credits.travelling import Travel
from tests.support.books import breaches
from tests.support.ledger import CATALOGUE, Credits, paid, refunded, used


@pytest.fixture
def catalogue() -> Catalogue:
    """Credits may be given away."""
    return Catalogue.of(CATALOGUE.model_dump(mode="json") | {"policies": {"transfers": {"maximum": "1000"}}})


async def margins(api: Api, credits: Credits, account: UUID, **query: Any) -> list[dict[str, Any]]:
    """Ask for the margins of these days, by currency; what is nothing is left out."""
    today = credits.clock.now().date()
    asked = {"from": str(today - timedelta(days=100)), "to": str(today), **query}
    answer = await api.get(f"/accounts/{ids.show('account', account)}/margin", **asked)
    assert answer.status_code == 200, answer.text
    return [{name: value for name, value in each.items() if value} for each in answer.json()["data"]]


def costing(event: CloudEvent, micros: int, currency: str = "usd") -> CloudEvent:
    """Say what an event's usage cost."""
    cost = {"amount_micros": micros, "currency": currency}
    return event.model_copy(update={"data": event.data | {"cost": cost}})


async def test_what_is_burnt_earns_its_part_of_what_was_paid(credits: Credits, api: Api) -> None:
    account = await credits.open_with("100")  # beside the bonus of 10, for 9.99 USD
    await credits.use(used(account, quantity=10))
    await sum_up(credits)
    assert await margins(api, credits, account) == []
    await credits.use(used(account, quantity=33), used(account, quantity=34))
    await sum_up(credits)
    assert await margins(api, credits, account) == [
        {"currency": "usd", "revenue_micros": 6_693_300, "margin_micros": 6_693_300}
    ]
    await credits.use(used(account, quantity=33))
    await sum_up(credits)
    (whole,) = await margins(api, credits, account)
    assert whole["revenue_micros"] == 9_990_000


async def test_costs_are_told_by_meter_and_currency_and_may_be_more_than_was_earned(credits: Credits, api: Api) -> None:
    account = await credits.open_with("20")
    await credits.use(
        costing(used(account, "video", 4, resolution="720p"), 300),
        costing(used(account, "credit", 1), 2_000_000),
        costing(used(account, "credit", 1), 1),
        costing(used(account, "credit", 1), 70, "eur"),
        used(account, "credit", 1),
    )
    await sum_up(credits)
    eur, usd = await margins(api, credits, account)
    assert eur == {
        "currency": "eur",
        "cost_micros": 70,
        "margin_micros": -70,
        "cost_by_meter": [{"meter": "credit", "cost_micros": 70}],
    }
    assert usd["cost_by_meter"] == [
        {"meter": "credit", "cost_micros": 2_000_001},
        {"meter": "video", "cost_micros": 300},
    ]
    assert usd["revenue_micros"] == 9_990_000 * 14 // 20  # ten of 24 are the bonus
    assert usd["margin_micros"] == usd["revenue_micros"] - usd["cost_micros"]


async def test_the_largest_costs_do_not_stop_the_sums(credits: Credits, api: Api) -> None:
    account = await credits.open()
    await credits.use(*(costing(used(account, "tokens", 1), 10**15) for _ in range(10_000)))
    await sum_up(credits)
    (usd,) = await margins(api, credits, account)
    assert usd["cost_micros"] == 10**19


async def test_a_refund_of_what_was_spent_earns_nothing_and_who_repays_it_does(credits: Credits, api: Api) -> None:
    account = await credits.open()
    payment = paid(account, "100")
    await credits.tell(payment)
    await credits.use(used(account, quantity=60))  # ten of them are the bonus
    await credits.tell(refunded(payment, "100", revision=2))
    await sum_up(credits)
    assert await margins(api, credits, account) == [{"currency": "usd"}]
    await credits.tell_payment(account, "200")
    await sum_up(credits)
    (usd,) = await margins(api, credits, account)
    assert usd["revenue_micros"] == 9_990_000 // 4


async def test_overdraft_earns_once_it_is_repaid(credits: Credits, api: Api) -> None:
    account = await credits.open()
    await api.put(f"/accounts/{ids.show('account', account)}/overdraft", {"limit": "50"})
    assert await credits.use(used(account, quantity=30)) == ["burnt"]
    await sum_up(credits)
    assert await margins(api, credits, account) == []
    await credits.tell_payment(account, "20")
    await sum_up(credits)
    (usd,) = await margins(api, credits, account)
    assert usd["revenue_micros"] == 9_990_000


async def test_what_a_charge_gives_back_is_earned_no_more(credits: Credits, api: Api) -> None:
    account = await credits.open_with("100")
    charge = (await api.charge(account, "60")).json()["id"]
    await api.post(f"/charges/{charge}/refunds", {"amount": "20"}, account=account)
    await sum_up(credits)
    (usd,) = await margins(api, credits, account)
    assert usd["revenue_micros"] == 30 * 99_900


async def test_what_expires_or_is_given_away_stands_apart(credits: Credits, api: Api, travel: Travel) -> None:
    account, other = await credits.open(), await credits.open()
    await credits.tell(paid(account, "100", expires_at=credits.clock.now() + timedelta(days=2)))
    transfer = {"account": ids.show("account", account), "to": ids.show("account", other), "amount": "30"}
    assert (await api.post("/transfers", transfer)).status_code == 201
    assert await credits.use(used(account, quantity=30), used(other, quantity=40)) == ["burnt", "burnt"]
    held = await api.placed(account, "10")
    await travel(days=3)
    await api.post(f"/holds/{held}/release", {}, account=account)
    await credits.available(account)
    await sum_up(credits)
    (usd,) = await margins(api, credits, account)
    earned = {name: usd.get(f"{name}_micros", 0) for name in ("revenue", "breakage", "transferred")}
    assert sum(earned.values()) == 9_990_000
    assert earned == {"revenue": 30 * 99_900, "breakage": 50 * 99_900, "transferred": 20 * 99_900}
    assert await margins(api, credits, other) == []


async def test_days_add_up(credits: Credits, api: Api, travel: Travel) -> None:
    account = await credits.open_with("7")
    today = credits.clock.now().date()
    for _ in range(4):
        await credits.use(*(costing(used(account, quantity=number), 7) for number in (1, 2)))
        await travel(days=1)
    await sum_up(credits)
    (whole,) = await margins(api, credits, account)
    days = []
    for number in range(-1, 4):
        day = str(today + timedelta(days=number))
        days += await margins(api, credits, account, **{"from": day, "to": day})
    assert sum(day.get("revenue_micros", 0) for day in days) == whole["revenue_micros"] == 9_990_000 * 2 // 7
    assert [day["cost_micros"] for day in days] == [14] * 4


async def test_an_event_with_another_cost_is_another_event(credits: Credits) -> None:
    account = await credits.open()
    assert await credits.use(costing(used(account, id="1"), 300)) == ["burnt"]
    assert await credits.use(costing(used(account, id="1"), 300)) == ["again"]
    assert await credits.use(costing(used(account, id="1"), 301)) == ["PAY024"]
    assert await credits.use(used(account, id="1")) == ["PAY024"]


async def test_what_is_burnt_after_all_cost_what_it_cost(credits: Credits, api: Api) -> None:
    account = await credits.open()
    assert await credits.use(costing(used(account, quantity=30), 300)) == ["PAY001"]
    (rejection,) = (await api.get("/rejected-usage")).json()["data"]
    replay = f"/rejected-usage/{rejection['id']}/replay"
    assert (await api.post(replay, {"quantity": "10"}, caller="staff:ada")).status_code == 200
    await sum_up(credits)
    (usd,) = await margins(api, credits, account)
    assert usd["cost_micros"] == 300


async def test_a_customer_is_not_told_what_his_usage_cost(credits: Credits, api: Api) -> None:
    account = await credits.open()
    await credits.use(costing(used(account), 300_300))
    path = f"/accounts/{ids.show('account', account)}/transactions"
    first = (await api.get(path)).json()["data"][0]
    assert first["type"] == "usage"
    assert "cost" not in first["metadata"]
    assert "300300" not in str((await api.get(f"{path}/{first['id']}")).json())
    assert len((await api.get(path, q="/tests")).json()["data"]) == 1
    for searched in ("300300", '"cost"', "usd"):
        assert (await api.get(path, q=searched)).json()["data"] == []


async def test_sums_that_are_wrong_are_found_and_built_anew(credits: Credits, api: Api) -> None:
    account = await credits.open_with("100")
    await credits.use(costing(used(account, quantity=20), 300))
    await sum_up(credits)
    before = await margins(api, credits, account)
    async with credits.pool.connection() as conn:
        await conn.execute("UPDATE cost_day SET amount_micros = amount_micros + 1")
        await conn.execute("UPDATE lot_day SET burnt = burnt + 1")
    assert {found.split(":")[0] for found in await breaches(credits.pool, "credits")} == {
        "the sums of costs are those of the entries that they cover",
        "the sums of what became of lots are those of the entries that they cover",
        "what was granted remains, is held, burnt, expired, transferred or taken back, of lots that are summed",
    }
    async for _ in insight.rebuild(credits.pool, credits.clock, credits.prices):
        pass
    assert await margins(api, credits, account) == before


@pytest.mark.parametrize("query", [{"to": "2026-01-01"}, {"from": "2026-02-01", "to": "2026-01-01"}, {"colour": "red"}])
async def test_a_question_that_makes_no_sense_is_refused(credits: Credits, api: Api, query: dict[str, Any]) -> None:
    account = ids.show("account", await credits.open())
    assert problem(await api.get(f"/accounts/{account}/margin", **query)) == (422, "PAY007")
