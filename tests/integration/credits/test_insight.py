"""Sums of usage: by day, meter, person and property; behind the sealed blocks, and as exact as they."""

import asyncio
import io
import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from rich.console import Console

from deploy.cli import sums
from deploy.cli.state import State
from deploy.embedded.stack import Addresses
from libs.chassis import invariants
from libs.chassis.pool import Connection
from libs.contracts import ids
from libs.contracts.catalogue import Catalogue
from libs.contracts.credits import parse_credits
from libs.contracts.envelope import CloudEvent
from services.credits.operations import insight
from services.credits.operations.sealing import Sealer
from services.credits.store import summing
from tests.integration.credits.serving import Api, problem
from tests.integration.credits.summing import sum_up
from tests.integration.credits.travelling import Travel
from tests.support.books import SERVICES, assert_books_balance, breaches
from tests.support.databases import ServicePool
from tests.support.ledger import Credits, used

METERS: dict[str, Any] = {
    "image": {
        "unit": "image",
        "properties": {
            "quality": {"type": "text", "values": ["sd", "hd"], "default": "sd"},
            "model": {"type": "text", "summed": True, "default": "base"},
            "job": {"type": "text", "default": ""},
        },
        "prices": [{"credits": "2"}],
    },
    "storage": {"unit": "GB-month", "prices": [{"credits": "0.01"}]},
}

TODAY = date(2026, 1, 1)
SUMS = [one for one in invariants.read(SERVICES / "credits") if "sums of usage" in one.sentence]


@pytest.fixture
def catalogue() -> Catalogue:
    book = {"version": "insight-1", "meters": METERS}
    return Catalogue.of({"name": "insight", "welcome_bonus": {"credits": "1000"}, "price_book": book})


@pytest.fixture
def sealer(credits: Credits) -> Sealer:
    return Sealer(credits.pool, credits.clock, None)


async def summed(api: Api, account: UUID, **query: Any) -> dict[str, Any]:
    """Ask for the sums of this week and the one before."""
    name, today = ids.show("account", account), datetime.now(UTC).date()
    asked: dict[str, Any] = {"from": str(today - timedelta(days=14)), "to": str(today), **query}
    answer = await api.get(f"/accounts/{name}/usage", **asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def by_key(found: dict[str, Any]) -> dict[str | None, str]:
    return {each["key"]: each["credits"] for each in found["data"]}


async def test_credits_are_told_apart_by_what_they_went_for(credits: Credits, api: Api, sealer: Sealer) -> None:
    account = await credits.open()
    yesterday = credits.clock.now() - timedelta(days=1)
    await credits.use(
        used(account, "image", 3, quality="hd", model="big"),
        used(account, "image", 1, model="big").model_copy(update={"actor": "key:one"}),
        used(account, "image", 2).model_copy(update={"time": yesterday}),
        used(account, "storage", "150"),
    )
    await api.charge(account, "5")
    await api.charge(account, None, meter="image", properties={"quality": "hd"})
    await sum_up(credits, sealer)
    found = await summed(api, account)
    assert (found["usages"], found["credits"], found["as_of"] is None) == (6, "20.5", False)
    assert by_key(found) == {"image": "14", None: "5", "storage": "1.5"}
    assert [each["quantity"] for each in found["data"]] == ["7", "0", "150"]
    days = await summed(api, account, by="day", meter="image")
    assert by_key(days) == {str(yesterday.date()): "4", str(yesterday.date() + timedelta(days=1)): "10"}
    assert by_key(await summed(api, account, by="property:quality")) == {"hd": "8", None: "12.5"}
    assert by_key(await summed(api, account, by="property:model", meter="image")) == {"big": "8", None: "6"}
    assert by_key(await summed(api, account, by="actor")) == {"key:key_tests": "7", "key:one": "2", None: "11.5"}


async def test_a_job_counts_once_with_what_its_hold_captured_in_all(credits: Credits, api: Api, sealer: Sealer) -> None:
    account = await credits.open()
    order = {"account": ids.show("account", account), "meter": "image", "quantity": "4"}
    hold = (await api.post("/holds", order)).json()["id"]
    for amount, final in (("1.5", False), ("2", False), ("3", True)):
        await api.post(f"/holds/{hold}/capture", {"amount": amount, "final": final}, account=account)
    released = (await api.post("/holds", order)).json()["id"]
    await api.post(f"/holds/{released}/release", {}, account=account)
    await sum_up(credits, sealer)
    assert (await summed(api, account))["data"] == [{"key": "image", "usages": 1, "quantity": "4", "credits": "6.5"}]
    assert by_key(await summed(api, account, by="actor")) == {"key:key_tests": "6.5"}


async def test_what_a_charge_gives_back_is_taken_off(credits: Credits, api: Api, sealer: Sealer) -> None:
    account = await credits.open()
    charge = (await api.charge(account, None, meter="image", quantity="5")).json()["id"]
    await api.post(f"/charges/{charge}/refunds", {"amount": "4"}, account=account)
    await sum_up(credits, sealer)
    assert (await summed(api, account))["data"] == [{"key": "image", "usages": 1, "quantity": "5", "credits": "6"}]


def an_event(chance: random.Random, account: UUID, credits: Credits) -> CloudEvent:
    event = used(account, "image", chance.randint(1, 9), quality=chance.choice(["sd", "hd"]))
    return event.model_copy(update={"time": credits.clock.now() - timedelta(hours=chance.randint(0, 90))})


@pytest.mark.parametrize("seed", range(3))
async def test_sums_are_those_of_all_usage_whoever_adds_them_up_and_when(
    credits: Credits, api: Api, sealer: Sealer, seed: int
) -> None:
    chance = random.Random(seed)
    accounts = [await credits.open() for _ in range(3)]
    events = [an_event(chance, chance.choice(accounts), credits) for _ in range(120)]

    async def keep_summing() -> None:
        other = Sealer(credits.pool, credits.clock, None)
        for _ in range(30):
            await other.seal()
            await insight.sum_up(credits.pool, credits.clock, credits.prices)

    async def use() -> None:
        for begin in range(0, len(events), 10):
            await credits.use(*events[begin : begin + 10], *chance.sample(events[: begin + 1], 1))

    await credits.timeline()
    await asyncio.gather(use(), keep_summing(), keep_summing())
    await sum_up(credits, sealer)
    for account in accounts:
        mine = [event for event in events if event.subject == ids.show("account", account)]
        found = await summed(api, account, by="day")
        assert found["usages"] == len(mine)
        expected: dict[str, Decimal] = {}
        for event in mine:
            assert event.time is not None
            day = str(event.time.date())
            expected[day] = expected.get(day, Decimal(0)) + 2 * Decimal(event.data["quantity"])
        assert {each["key"]: Decimal(each["credits"]) for each in found["data"]} == expected


async def last_sealed(conn: Connection) -> int:
    return int(await conn.fetchval("SELECT coalesce(max(last_batch), 0) FROM block"))


async def seal(credits: Credits, sealer: Sealer) -> None:
    async with credits.pool.connection() as conn, asyncio.timeout(30):
        while await conn.fetchval("SELECT max(id) FROM batch") > (await last_sealed(conn)):
            await sealer.seal()


async def test_blocks_that_two_have_found_are_added_once(credits: Credits, api: Api, sealer: Sealer) -> None:
    account = await credits.open()
    await credits.use(used(account, "image", 3))
    await seal(credits, sealer)
    async with credits.pool.connection() as conn:
        found = await summing.next_blocks(conn, most=20)
        assert found is not None
        for is_added in (True, False):
            async with conn.transaction():
                assert await summing.add_blocks(conn, found, [], today=TODAY) is is_added
    assert (await summed(api, account))["credits"] == "6"


async def test_sums_are_built_anew_from_the_entries(
    credits: Credits, api: Api, sealer: Sealer, service_pool: ServicePool
) -> None:
    nowhere = Addresses(gateway="", payments="", credits="", notifications="", stripe=None, mailbox=None)
    state = State(nowhere, {"credits": {"SCRIP_CREDITS_DATABASE_URL": service_pool.urls("credits").app_url}})
    account = await credits.open()
    await credits.use(used(account, "image", 3, quality="hd"), used(account, "storage", 7))
    await sum_up(credits, sealer)
    before = await summed(api, account)
    async with credits.pool.connection() as conn:
        await conn.execute("UPDATE usage_day SET credits = credits + 1 WHERE meter = 'image' AND dimension = ''")
    assert len([found for found in await breaches(credits.pool, "credits") if "sums of usage" in found]) == 1
    said = io.StringIO()
    await sums.rebuild(state, Console(file=said, width=120))
    assert "are those of the journal's sealed blocks" in said.getvalue()
    assert await summed(api, account) == before
    assert parse_credits(before["credits"]) == 6_070_000


CHANGED = {
    "what it costs": "UPDATE usage_day SET credits = credits + 1 WHERE {one}",
    "how often": "UPDATE usage_day SET usages = usages + 1 WHERE {one}",
    "how much": "UPDATE usage_day SET quantity = quantity + 1 WHERE {one}",
    "a row less": "DELETE FROM usage_day WHERE {one}",
    "a row more": """INSERT INTO usage_day
                     SELECT account_id, day, meter, dimension, 'more', 0, 0, 0 FROM usage_day WHERE {one}""",
}


@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED)
async def test_a_changed_sum_of_any_dimension_is_found(credits: Credits, sealer: Sealer, change: str) -> None:
    account = await credits.open()
    events = [used(account, "image", 3, quality=quality, model="big") for quality in ("hd", "sd")]
    await credits.use(*events, used(account, "image").model_copy(update={"actor": "key:one"}))
    await sum_up(credits, sealer)
    assert await breaches(credits.pool, "credits") == []
    for dimension, value in (("", ""), ("actor", "key:one"), ("property:quality", "hd"), ("property:model", "big")):
        async with credits.pool.connection() as conn:
            changing = conn.transaction(isolation="repeatable_read")
            await changing.start()
            await conn.execute(change.format(one=f"dimension = '{dimension}' AND value = '{value}'"))
            broken = [found async for found in invariants.check(conn, SUMS)]
            await changing.rollback()
        assert [len(each.breaches) for each in broken] == [1], dimension
        assert broken[0].breaches[0]["dimension"] == dimension


async def test_sums_are_compared_by_the_properties_that_told_usage_apart_when_it_was_summed(
    credits: Credits, api: Api, sealer: Sealer
) -> None:
    account = await credits.open()
    events = [used(account, "image", number, quality="hd", model="big") for number in (1, 2, 4, 8)]
    for event, apart in zip(events, (["quality"], ["quality", "model"], [], ["quality"]), strict=True):
        await credits.use(event)
        await seal(credits, sealer)
        async with credits.pool.transaction() as conn:
            assert (span := await summing.next_blocks(conn, most=1000)) is not None
            assert await summing.add_blocks(conn, span, [("image", name) for name in apart], today=TODAY)
        await assert_books_balance(credits.pool)
    assert by_key(await summed(api, account, by="property:quality")) == {"hd": "22", None: "8"}
    assert by_key(await summed(api, account, by="property:model")) == {"big": "4", None: "26"}
    async for _ in insight.rebuild(credits.pool, credits.clock, credits.prices):
        pass
    assert by_key(await summed(api, account, by="property:quality")) == {"hd": "30"}


async def suggested(api: Api, **query: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await api.post("/hold-suggestions", {"meter": "image"} | query)).json()
    return found


async def test_a_holds_size_is_learned_from_what_jobs_of_its_kind_cost(credits: Credits, api: Api) -> None:
    account = await credits.open()
    assert await suggested(api) == {"credits": None, "learned_from": 0, "short_permille": None}
    for number in range(1, 13):
        for quality, cost in (("hd", f"{number}"), ("sd", "0.5")):
            order = {"meter": "image", "properties": {"quality": quality, "job": str(number)}, "quantity": "20"}
            hold = (await api.post("/holds", order | {"account": ids.show("account", account)})).json()["id"]
            await api.post(f"/holds/{hold}/capture", {"amount": cost}, account=account)
    await api.placed(account, "3")
    job = {"quality": "hd", "job": "new"}
    assert await suggested(api, properties=job) == {"credits": "12", "learned_from": 12, "short_permille": 1000}
    assert (await suggested(api, properties=job, percentile=50))["credits"] == "6"
    sd = await suggested(api, properties={"quality": "sd"})
    assert (sd["credits"], sd["short_permille"]) == ("0.5", 0)
    assert (await suggested(api))["learned_from"] == 24
    assert problem(await api.post("/hold-suggestions", {"meter": "image", "percentile": 101})) == (422, "PAY007")


async def foretold(api: Api, account: UUID) -> dict[str, Any]:
    found: dict[str, Any] = (await api.get(f"/accounts/{ids.show('account', account)}/forecast")).json()
    return found


async def test_who_goes_on_as_he_did_runs_out_when_his_credits_are_burnt(
    credits: Credits, api: Api, sealer: Sealer, travel: Travel
) -> None:
    account = await credits.open()
    assert (await foretold(api, account))["likely"] is None
    await travel(days=20)
    for day in range(1, 20):
        time = credits.clock.now() - timedelta(days=day)
        await credits.use(used(account, "image", 10).model_copy(update={"time": time}))
    await sum_up(credits, sealer)
    found = await foretold(api, account)
    assert (found["available"], found["days_known"], found["confidence_percent"]) == (
        "620",
        19,
        80,
    )  # known since it was first used
    assert Decimal(found["burnt_per_day"]) == 20
    days = (datetime.fromisoformat(found["likely"]) - credits.clock.now()).days
    assert 28 <= days <= 36
    assert found["expiring_unused"] == "0"
    nobody = ids.show("account", ids.new_id())
    assert problem(await api.get(f"/accounts/{nobody}/forecast")) == (404, "PAY028")


async def test_who_began_lately_is_foretold_by_what_he_used_since(
    credits: Credits, api: Api, sealer: Sealer, travel: Travel
) -> None:
    account = await credits.open()
    await travel(days=50)
    for day in range(1, 5):
        time = credits.clock.now() - timedelta(days=day)
        await credits.use(used(account, "image", 50).model_copy(update={"time": time}))
        await sum_up(credits, sealer)
        found = await foretold(api, account)
        assert found["days_known"] == day
        assert (found["likely"] is None) is (day < 3)
    assert (found["available"], found["burnt_per_day"]) == ("600", "100")
    latest = datetime.fromisoformat(found["latest"])
    assert timedelta(days=5) < latest - credits.clock.now() < timedelta(days=7)


@pytest.mark.parametrize(
    "query",
    [
        {"from": "2026-02-01", "to": "2026-01-01"},
        {"from": "2024-01-01", "to": "2026-01-01"},
        {"from": "2026-01-01"},
        {"from": "2026-01-01", "to": "2026-01-02", "by": "weather"},
        {"from": "2026-01-01", "to": "2026-01-02", "by": "property:A"},
        {"from": "2026-01-01", "to": "2026-01-02", "colour": "red"},
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(credits: Credits, api: Api, query: dict[str, Any]) -> None:
    account = ids.show("account", await credits.open())
    assert problem(await api.get(f"/accounts/{account}/usage", **query)) == (422, "PAY007")
