"""Versions of the price book: drafted, activated ahead, and each usage priced by the version of its own time."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from deploy.embedded.infrastructure import Infrastructure
from libs.chassis.clock import Clock
from libs.contracts import ids
from libs.contracts.catalogue import Catalogue
from libs.contracts.envelope import CloudEvent
from libs.contracts.price_book import PriceBook
from services.credits.operations import price_books
from services.credits.operations.active_prices import ActivePrices
from tests.integration.credits.serving import Api, problem, serving
from tests.integration.credits.travelling import Travel
from tests.support.databases import ServicePool
from tests.support.ledger import CATALOGUE, Credits, used

DEARER: dict[str, Any] = {
    "version": "test-2",
    "meters": {"credit": {"unit": "credit", "prices": [{"credits": "3"}]}},
}


@pytest.fixture
def another(tmp_path: Path) -> Path:
    """The folder of another process."""
    folder = tmp_path / "another"
    folder.mkdir()
    return folder


async def put(api: Api, version: str, document: Any) -> Any:
    return await api.put(f"/price-books/{version}", document, caller="staff:ada")


async def activate(api: Api, version: str, **order: Any) -> Any:
    return await api.post(f"/price-books/{version}/activate", order, caller="staff:ada")


async def states(api: Api) -> dict[str, str]:
    listed = (await api.get("/price-books")).json()["data"]
    return {version["version"]: version["state"] for version in listed}


def dated(event: CloudEvent, minutes_ago: int, clock: Clock) -> CloudEvent:
    return event.model_copy(update={"time": clock.now() - timedelta(minutes=minutes_ago)})


async def test_a_version_goes_from_draft_to_active_to_superseded(credits: Credits, api: Api, travel: Travel) -> None:
    assert await states(api) == {"test-1": "active"}
    drafted = await put(api, "test-2", DEARER)
    assert (drafted.status_code, drafted.json()["state"], drafted.json()["by"]) == (200, "draft", "staff:ada")
    assert PriceBook.model_validate_json(json.dumps(drafted.json()["book"])) == PriceBook.model_validate_json(
        json.dumps(DEARER)
    )
    activated = await activate(api, "test-2")
    assert (activated.status_code, activated.json()["state"]) == (200, "scheduled")
    assert await states(api) == {"test-2": "scheduled", "test-1": "active"}
    assert (await activate(api, "test-2")).json() == activated.json()
    await travel(minutes=2)
    assert await states(api) == {"test-2": "active", "test-1": "superseded"}


_PRICED = (
    """SELECT sum(amount), max(price_version) FROM entry WHERE type = 'usage' GROUP BY sequence ORDER BY sequence"""
)


async def test_a_change_in_mid_stream_prices_each_usage_by_its_own_time(
    credits: Credits, api: Api, travel: Travel
) -> None:
    account = await credits.open_with("1000")
    await put(api, "test-2", DEARER)
    await activate(api, "test-2", active_from=(credits.clock.now() + timedelta(minutes=10)).isoformat())
    ahead = [dated(used(account), minutes, credits.clock) for minutes in (-5, -11)]
    assert await credits.use(*ahead) == ["burnt", "burnt"]  # what lies ahead is priced by what is active now
    await travel(minutes=30)
    late = [dated(used(account), minutes, credits.clock) for minutes in (29, 25, 21, 19, 5, 0)]
    assert await credits.use(*late, used(account)) == ["burnt"] * 7
    async with credits.pool.connection() as conn:
        rows = await conn.fetch(_PRICED)
    assert [(int(row[0]), row[1]) for row in rows] == [(1_000_000, "test-1")] * 5 + [(3_000_000, "test-2")] * 4


async def test_a_version_prices_from_its_very_instant_on_and_not_a_microsecond_before(
    credits: Credits, api: Api, travel: Travel
) -> None:
    account = await credits.open_with("1000")
    active_from = credits.clock.now() + timedelta(minutes=10)
    await put(api, "test-2", DEARER)
    await activate(api, "test-2", active_from=active_from.isoformat())
    await travel(minutes=30)
    steps = [timedelta(microseconds=step) for step in (-1, 0, 1)]
    for step in steps:
        event = used(account).model_copy(update={"time": active_from + step})
        assert await credits.use(event) == ["burnt"]
    async with credits.pool.connection() as conn:
        rows = await conn.fetch(_PRICED)
    dearer = (3_000_000, "test-2")
    assert [(int(row[0]), row[1]) for row in rows] == [(1_000_000, "test-1"), dearer, dearer]


async def test_charges_and_holds_are_priced_by_the_version_that_is_active(
    credits: Credits, api: Api, travel: Travel
) -> None:
    account = await credits.open()
    order = {"account": ids.show("account", account), "meter": "credit"}
    await put(api, "test-2", DEARER)
    await activate(api, "test-2")
    assert (await api.post("/charges", order)).json()["credits"] == "1"
    await travel(minutes=2)
    assert (await api.post("/charges", order)).json()["credits"] == "3"
    assert (await api.post("/holds", order)).json()["reserved"] == "3"


async def test_a_version_in_use_stays_what_it_is(credits: Credits, api: Api) -> None:
    await put(api, "test-2", DEARER)
    assert (await put(api, "test-2", DEARER | {"rounding": "down"})).json()["book"]["rounding"] == "down"
    await activate(api, "test-2")
    assert problem(await put(api, "test-2", DEARER)) == (409, "PAY044")
    at = (credits.clock.now() + timedelta(hours=1)).isoformat()
    assert problem(await activate(api, "test-2", active_from=at)) == (409, "PAY044")
    for statement in ("UPDATE price_book SET active_from = active_from - interval '1 day'", "DELETE FROM price_book"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with credits.pool.connection() as conn:
                await conn.execute(statement)


async def test_a_version_becomes_active_a_minute_ahead_at_least(credits: Credits, api: Api) -> None:
    await put(api, "test-2", DEARER)
    for seconds in (-3600, 0, 55):
        answer = await activate(
            api, "test-2", active_from=(credits.clock.now() + timedelta(seconds=seconds)).isoformat()
        )
        assert problem(answer) == (422, "PAY007")
        assert "a minute ahead" in answer.json()["detail"]
    assert (await states(api))["test-2"] == "draft"
    assert problem(await activate(api, "test-9")) == (404, "PAY010")


@pytest.mark.parametrize(
    ("prices", "code", "said"),
    [
        ([{"credits": 3}], "PAY007", "decimal string"),
        ([{"credits": "3", "colour": "red"}], "PAY007", "colour"),
        ([{"credits": "3", "when": "size >"}], "PAY043", "meters.credit.prices.0: at character 7"),
        ([{"credits": "3", "when": "1 > 2"}], "PAY043", "no price holds for any usage"),
    ],
)
async def test_a_draft_that_cannot_be_used_is_refused_with_the_place(
    api: Api, prices: Any, code: str, said: str
) -> None:
    document = DEARER | {"meters": {"credit": {"unit": "credit", "prices": prices}}}
    answer = await put(api, "test-2", document)
    assert problem(answer) == (422, code)
    assert said in answer.text
    assert await states(api) == {"test-1": "active"}


async def test_a_draft_can_be_dropped_and_has_the_name_it_is_put_under(credits: Credits, api: Api) -> None:
    assert problem(await put(api, "test-3", DEARER)) == (422, "PAY007")
    await put(api, "test-2", DEARER)
    gone = [await api.delete("/price-books/test-2") for _ in range(2)]
    assert [answer.status_code for answer in gone] == [204, 404]
    assert await states(api) == {"test-1": "active"}


async def test_a_draft_is_compared_with_what_is_active(credits: Credits, api: Api) -> None:
    await put(api, "test-2", DEARER)
    compared = (await api.get("/price-books/test-2/changes")).json()
    assert (compared["since"], compared["version"]) == ("test-1", "test-2")
    assert "credit: price of all else: 3 a unit, not 1 a unit" in compared["changes"]
    assert (await api.get("/price-books/test-1/changes", since="test-1")).json()["changes"] == []
    assert (await api.get("/price-books/test-1/changes")).status_code == 404


@asynccontextmanager
async def another_process(
    service_pool: ServicePool, infrastructure: Infrastructure, book: dict[str, Any], folder: Path
) -> AsyncIterator[Api]:
    document = CATALOGUE.model_dump(mode="json") | {"price_book": book}
    urls = service_pool.urls("credits")
    async with serving(urls, infrastructure, catalogue=Catalogue.of(document), folder=folder) as running:
        yield running


async def test_a_file_with_a_new_version_is_activated_a_minute_ahead(
    credits: Credits, api: Api, service_pool: ServicePool, infrastructure: Infrastructure, another: Path
) -> None:
    async with another_process(service_pool, infrastructure, DEARER, another):
        assert await states(api) == {"test-2": "scheduled", "test-1": "active"}
    listed = (await api.get("/price-books/test-2")).json()
    assert listed["by"] == "file:catalogue.yaml"


async def test_a_file_that_says_something_else_under_a_version_in_use_keeps_the_service_from_starting(
    credits: Credits, api: Api, service_pool: ServicePool, infrastructure: Infrastructure, another: Path
) -> None:
    with pytest.raises(ValueError, match=r'"test-1" is in use and says something else: credit: price of all else: 3'):
        async with another_process(service_pool, infrastructure, DEARER | {"version": "test-1"}, another):
            pass
    assert await states(api) == {"test-1": "active"}


async def test_processes_that_start_at_once_adopt_one_book(credits: Credits) -> None:
    book = PriceBook.model_validate(CATALOGUE.price_book)
    await asyncio.gather(*(price_books.adopt(credits.pool, credits.clock, book, by="file") for _ in range(5)))
    listed = await price_books.show_all(credits.pool, credits.clock)
    assert [(version.version, version.state) for version in listed.data] == [("test-1", "active")]


async def test_while_the_database_is_away_prices_are_known_for_as_long_as_none_can_have_changed(
    credits: Credits, travel: Travel, monkeypatch: pytest.MonkeyPatch
) -> None:
    await credits.timeline()
    prices = ActivePrices(credits.pool, credits.clock)
    await prices.now()

    def broken() -> None:
        raise ConnectionRefusedError

    with monkeypatch.context() as away:
        away.setattr(type(credits.pool), "connection", lambda _: broken())
        await travel(seconds=40)
        assert (await prices.now()).version == "test-1"
        await travel(seconds=15)
        with pytest.raises(ConnectionRefusedError):
            await prices.now()
    assert (await prices.now()).version == "test-1"
