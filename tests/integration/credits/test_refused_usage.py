"""What was refused is kept as it came, listed, and burnt after all by staff."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from deploy.cli import rejections
from deploy.cli.state import State
from deploy.embedded.stack import Addresses
from libs.chassis.errors import DomainError
from libs.chassis.service_client import ServiceClient
from libs.contracts import ids
from libs.contracts.catalogue import Catalogue
from services.credits.domain import usage_events
from services.credits.operations import usage
from tests.integration.credits.serving import Api, problem
from tests.integration.credits.travelling import Travel
from tests.support.ledger import CATALOGUE, Credits, used


@pytest.fixture
def catalogue() -> Catalogue:
    chat = {
        "unit": "answer",
        "properties": {"model": {"type": "text", "default": "3"}},
        "prices": [{"when": 'model == "4"', "credits": "2"}, {"credits": "1"}],
    }
    document = CATALOGUE.model_dump(mode="json", exclude_none=True)
    document["price_book"]["meters"]["chat"] = chat
    return Catalogue.of(document)


@pytest.mark.parametrize(
    "data",
    ['{"quantity":1e400000}', '{"quantity":NaN}', '{"a":"\\u0000"}', '{"properties":{"a":1}},"x":"\\u0000"'],
    ids=["a number beyond all bounds", "no number", "a NUL in its data", "a NUL beside its data"],
)
async def test_a_refused_event_is_kept_as_it_came_whatever_it_holds(credits: Credits, data: str) -> None:
    account = ids.show("account", await credits.open())
    raw = f'{{"id":"1","source":"/s","type":"none","subject":"{account}","data":{data}}}'.encode()
    rated = usage.rated(await credits.timeline(), usage_events.read(raw), credits.clock.now())
    _, refusals = await usage.burn(credits.pool, credits.ledger, [rated])
    assert len(refusals) == 1
    async with credits.pool.connection() as conn:
        assert await conn.fetchval("SELECT event FROM rejected_usage") == raw.decode()


async def rejected(api: Api, **query: Any) -> list[dict[str, Any]]:
    return [dict(each) for each in (await api.get("/rejected-usage", **query)).json()["data"]]


async def replay(api: Api, rejection: dict[str, Any], **change: Any) -> Any:
    return await api.post(f"/rejected-usage/{rejection['id']}/replay", change, caller="staff:ada")


async def test_rejected_usage_is_listed_with_its_reason_newest_first_page_by_page(credits: Credits, api: Api) -> None:
    account, other = await credits.open(), await credits.open()
    for number in range(3):
        await credits.use(used(account, "credit", 100 + number))
    await credits.use(used(account, "teleport"))
    await credits.use(used(other, "video", 1, resolution="4k"))
    found = await rejected(api)
    assert [each["code"] for each in found] == ["PAY022", "PAY021", "PAY001", "PAY001", "PAY001"]
    assert (found[2]["required"], found[2]["available"], found[2]["replay"]) == ("102", "10", None)
    assert '"quantity":102' in found[2]["event"]
    assert await rejected(api, account=account) == found[1:]
    assert await rejected(api, code="PAY001") == found[2:]
    assert (await api.get(f"/rejected-usage/{found[0]['id']}")).json() == found[0]
    pages = list[dict[str, Any]]()
    cursor = dict[str, Any]()
    while True:
        page = (await api.get("/rejected-usage", limit=2, **cursor)).json()
        pages += page["data"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert pages == found


async def test_rejected_usage_is_burnt_once_when_the_account_can_pay(credits: Credits, api: Api) -> None:
    account = await credits.open()
    event = used(account, "credit", 30)
    assert await credits.use(event) == ["PAY001"]
    (rejection,) = await rejected(api)
    assert problem(await replay(api, rejection)) == (402, "PAY001")
    await credits.tell_payment(account, "50")
    answers = await asyncio.gather(*(replay(api, rejection) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["replay"]["transaction"] for answer in answers}) == 1
    assert await credits.available(account) == 30_000_000
    assert await credits.use(event) == ["again"]
    assert await credits.available(account) == 30_000_000
    assert [each["replay"]["by"] for each in await rejected(api, state="replayed")] == ["staff:ada"]
    assert await rejected(api, state="open") == []


async def test_what_could_not_be_rated_is_burnt_corrected(credits: Credits, api: Api) -> None:
    account = await credits.open()
    await credits.use(used(account, "video", 1, resolution="4k"), used(account, "teleport", 3))
    meter, resolution = await rejected(api)
    if meter["code"] != "PAY021":
        meter, resolution = resolution, meter
    assert problem(await replay(api, meter)) == (422, "PAY021")
    assert problem(await replay(api, meter, quantity="-1")) == (422, "PAY007")
    mended = (await replay(api, meter, meter="credit")).json()
    assert (mended["replay"]["credits"], mended["meter"]) == ("3", "teleport")
    assert (await replay(api, resolution, properties={"resolution": "720p"})).json()["replay"]["credits"] == "5"
    assert await credits.available(account) == 2_000_000


async def test_an_event_that_could_not_be_read_needs_all_that_it_says(credits: Credits, api: Api) -> None:
    account = await credits.open()
    raw = used(account, "credit").encode().replace(b'"quantity":1', b'"quantity":"many"')
    rated = usage.rated(await credits.timeline(), usage_events.read(raw), credits.clock.now())
    await usage.burn(credits.pool, credits.ledger, [rated])
    (rejection,) = await rejected(api)
    assert problem(await replay(api, rejection, quantity="2")) == (422, "PAY007")
    whole = {"meter": "credit", "quantity": "2", "properties": {}}
    assert (await replay(api, rejection, **whole)).json()["replay"]["credits"] == "2"


async def test_an_event_whose_id_was_used_for_another_is_shown_and_never_burnt(credits: Credits, api: Api) -> None:
    account = await credits.open()
    assert await credits.use(used(account, "credit", 1, id="1")) == ["burnt"]
    assert await credits.use(used(account, "credit", 2, id="1")) == ["PAY024"]
    (rejection,) = await rejected(api)
    assert problem(await replay(api, rejection)) == (409, "PAY024")
    assert await credits.available(account) == 9_000_000


async def test_usage_that_came_too_late_is_burnt_by_the_prices_of_its_time(credits: Credits, api: Api) -> None:
    account = await credits.open()
    late = used(account, "credit", 4).model_copy(update={"time": credits.clock.now() - timedelta(days=40)})
    assert await credits.use(late) == ["PAY007"]
    (rejection,) = await rejected(api)
    assert (await replay(api, rejection)).json()["replay"]["credits"] == "4"


@pytest.fixture
async def client(api: Api) -> AsyncIterator[ServiceClient]:
    client = ServiceClient("credits", base_url=str(api.http.base_url), signer=api.signer)
    yield client
    await client.stop()


async def test_the_command_lists_what_is_open_and_has_it_burnt_corrected(
    credits: Credits, client: ServiceClient
) -> None:
    account = await credits.open()
    await credits.use(used(account, "video", 1, resolution="4k"), used(account, "teleport", 2))
    name = ids.show("account", account)
    listed = {each.meter: each async for each in rejections.found(client, account=name, code=None)}
    assert set(listed) == {"video", "teleport"}
    assert 'PAY022 "video": property "resolution"' in rejections.told(listed["video"])
    order = rejections.correction(None, "2", ["resolution=720p"])
    done = await rejections.replay(client, listed["video"].id, order, by="ada")
    assert "burnt: 10 credits, txn_" in rejections.told(done)
    assert [each.meter async for each in rejections.found(client, account=name, code=None)] == ["teleport"]


def test_a_correction_reads_values_as_what_they_look_like() -> None:
    order = rejections.correction("video", None, ["hd=true", "seconds=12", "note=a=b", "size=-1"])
    assert order.properties == {"hd": True, "seconds": 12, "note": "a=b", "size": -1}
    assert (order.meter, order.quantity) == ("video", None)


def test_a_correction_reads_what_is_quoted_as_text() -> None:
    order = rejections.correction(None, None, ['model="4"', 'hd="true"', r'said="\"4\" = four"', 'none=""', "empty="])
    assert order.properties == {"model": "4", "hd": "true", "said": '"4" = four', "none": "", "empty": ""}
    with pytest.raises(typer.BadParameter, match="not text in quotes"):
        rejections.correction(None, None, ['model="4'])


def test_the_commands_help_says_how_text_is_given_that_looks_like_a_number() -> None:
    app = rejections.commands(lambda: State(Addresses("", "", "", "", None, None), {}), Console())
    said = CliRunner().invoke(app, ["replay", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    assert """--property 'model="4"'""" in " ".join(said.replace("│", " ").split())


async def test_text_that_looks_like_a_number_is_corrected_to_text(
    credits: Credits, api: Api, client: ServiceClient
) -> None:
    account = await credits.open()
    await credits.use(used(account, "chat", 1, model=4))
    (rejection,) = await rejected(api)
    for properties, burnt in ((["model=4"], False), (['model="4"'], True)):
        order = rejections.correction(None, None, properties)
        if burnt:
            assert "burnt: 2 credits" in rejections.told(
                await rejections.replay(client, rejection["id"], order, by="ada")
            )
        else:
            with pytest.raises(DomainError, match="model"):
                await rejections.replay(client, rejection["id"], order, by="ada")


async def test_of_two_rejected_events_of_one_name_one_is_burnt(credits: Credits, api: Api) -> None:
    account = await credits.open()
    await credits.use(used(account, "teleport", 1, id="1"))
    await credits.use(used(account, "telepathy", 2, id="1"))
    first, second = await rejected(api)
    assert (await replay(api, first, meter="credit")).status_code == 200
    assert problem(await replay(api, second, meter="credit")) == (409, "PAY024")
    assert len(await rejected(api, state="replayed")) == 1


async def test_usage_of_long_ago_is_burnt_by_the_prices_of_then(credits: Credits, api: Api, travel: Travel) -> None:
    account = await credits.open()
    await credits.use(used(account, "credit", 30).model_copy(update={"time": credits.clock.now()}))
    dearer = {"version": "test-2", "meters": {"credit": {"unit": "credit", "prices": [{"credits": "3"}]}}}
    await api.put("/price-books/test-2", dearer)
    await api.post("/price-books/test-2/activate")
    await travel(days=60)
    await credits.use(used(account, "credit", 30))
    await credits.tell_payment(account, "500")
    now, then = await rejected(api)
    assert [(await replay(api, each)).json()["replay"]["credits"] for each in (now, then)] == ["90", "30"]


async def test_rejected_usage_that_nobody_knows_is_not_found(api: Api) -> None:
    assert problem(await api.get(f"/rejected-usage/{'0' * 64}")) == (404, "PAY010")
    assert problem(await api.get("/rejected-usage/1")) == (422, "PAY007")
    assert problem(await api.get("/rejected-usage", cursor="x")) == (422, "PAY007")
