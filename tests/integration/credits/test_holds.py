"""Holds over HTTP: reserve, capture in steps, extend, release, expire."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from libs.contracts import ids
from libs.contracts.catalogue import Catalogue
from libs.contracts.http.base import Page
from libs.contracts.http.spending_v1 import Hold, HoldChanged
from services.credits.operations.expiry import settle_due
from tests.integration.credits.serving import Api, problem
from tests.integration.credits.travelling import Travel
from tests.support.ledger import CATALOGUE, Credits

JOB = {"type": "render", "id": "job-1"}


@pytest.fixture
def catalogue() -> Catalogue:
    """Holds live a minute, an hour at most."""
    document = CATALOGUE.model_dump(mode="json")
    return Catalogue.of(document | {"policies": {"hold_seconds": 60, "longest_hold_seconds": 3600}})


async def state_of(api: Api, account: UUID, hold: str) -> str:
    return str((await api.get(f"/holds/{hold}", account=account)).json()["state"])


async def test_a_hold_reserves_and_says_until_when(credits: Credits, api: Api) -> None:
    account = await credits.open()
    more: dict[str, Any] = {"reference": JOB, "properties": {"resolution": "4k"}, "expires_in": 600}
    answer = await api.hold(account, "4", **more)
    placed = HoldChanged.model_validate_json(answer.content)
    assert (answer.status_code, placed.state, placed.reserved, placed.held) == (201, "pending", 4_000_000, 4_000_000)
    assert (placed.expires_at - placed.placed_at).total_seconds() == pytest.approx(600, abs=5)
    assert (placed.ends_by - placed.placed_at).total_seconds() == pytest.approx(3600, abs=5)
    assert (placed.balance.available, placed.balance.held) == (6_000_000, 4_000_000)
    assert (answer.json()["reference"], placed.properties) == (JOB, {"resolution": "4k"})
    shown = await api.get(f"/holds/{ids.show('hold', placed.id)}", account=account)
    assert Hold.model_validate_json(shown.content) == Hold(**placed.model_dump(exclude={"balance"}))


async def test_a_hold_for_a_usage_reserves_what_the_price_book_says(credits: Credits, api: Api) -> None:
    account = await credits.open()
    answer = await api.hold(account, None, meter="video", quantity=1, properties={"resolution": "1080p"})
    assert (answer.json()["reserved"], answer.json()["meter"]) == ("8", "video")


async def test_two_holds_cannot_reserve_the_same_credits(credits: Credits, api: Api) -> None:
    account = await credits.open()
    answers = await asyncio.gather(api.hold(account, "7"), api.hold(account, "7"))
    assert sorted(answer.status_code for answer in answers) == [201, 402]
    (refused,) = [answer for answer in answers if answer.status_code == 402]
    assert (refused.json()["required"], refused.json()["available"]) == ("7", "3")


async def test_a_final_capture_burns_its_cost_and_frees_the_rest(credits: Credits, api: Api) -> None:
    account = await credits.open()
    hold = await api.placed(account, "7")
    answer = await api.post(f"/holds/{hold}/capture", {"amount": "5"}, account=account)
    captured = HoldChanged.model_validate_json(answer.content)
    assert (captured.state, captured.captured, captured.held) == ("captured", 5_000_000, 0)
    assert (captured.balance.available, captured.balance.held) == (5_000_000, 0)
    assert (await credits.balance(account)).totals.spent == 5_000_000


async def test_captures_in_steps_leave_the_rest_reserved(credits: Credits, api: Api) -> None:
    account = await credits.open()
    hold = await api.placed(account, "7")
    for step in ("2", "3"):
        answer = await api.post(f"/holds/{hold}/capture", {"amount": step, "final": False}, account=account)
        assert answer.json()["state"] == "pending"
    assert (answer.json()["captured"], answer.json()["held"]) == ("5", "2")
    assert (await api.post(f"/holds/{hold}/release", account=account)).json()["state"] == "captured"
    assert await credits.available(account) == 5_000_000


async def test_captures_at_once_each_tell_of_the_hold_as_it_was_right_after(credits: Credits, api: Api) -> None:
    account = await credits.open()
    hold = await api.placed(account, "4")
    body = {"amount": "1", "final": False}
    answers = await asyncio.gather(*(api.post(f"/holds/{hold}/capture", body, account=account) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201] * 4 + [409] * 2
    assert sorted(a.json()["captured"] for a in answers if a.status_code == 201) == ["1", "2", "3", "4"]


async def test_a_capture_above_the_hold_is_refused_and_says_what_is_left(credits: Credits, api: Api) -> None:
    account = await credits.open()
    hold = await api.placed(account, "4")
    answer = await api.post(f"/holds/{hold}/capture", {"amount": "4.5"}, account=account)
    assert (problem(answer), answer.json()["left"]) == ((422, "PAY038"), "4")
    assert await state_of(api, account, hold) == "pending"


async def test_a_released_hold_gives_all_back_once(credits: Credits, api: Api) -> None:
    account = await credits.open()
    hold = await api.placed(account, "4")
    answers = [await api.post(f"/holds/{hold}/release", account=account, key="once") for _ in range(2)]
    assert answers[0].content == answers[1].content
    assert (answers[0].json()["state"], answers[0].json()["balance"]["available"]) == ("released", "10")
    assert problem(await api.post(f"/holds/{hold}/release", account=account)) == (409, "PAY036")
    assert problem(await api.post(f"/holds/{hold}/capture", {"amount": "1"}, account=account)) == (409, "PAY036")
    assert problem(await api.post(f"/holds/{hold}/extend", {"expires_in": 9}, account=account)) == (409, "PAY036")
    assert await credits.available(account) == 10_000_000


async def test_a_hold_that_nobody_settles_frees_itself(credits: Credits, api: Api, travel: Travel) -> None:
    account = await credits.open()
    hold = await api.placed(account, "4")
    await travel(seconds=61)
    assert await state_of(api, account, hold) == "expired"
    assert problem(await api.post(f"/holds/{hold}/capture", {"amount": "1"}, account=account)) == (409, "PAY037")
    assert problem(await api.post(f"/holds/{hold}/extend", {"expires_in": 60}, account=account)) == (409, "PAY037")
    assert problem(await api.post(f"/holds/{hold}/release", account=account)) == (409, "PAY037")
    assert await credits.available(account) == 10_000_000


async def test_an_expired_hold_is_captured_no_more_even_if_no_job_came_by(
    credits: Credits, api: Api, travel: Travel
) -> None:
    account = await credits.open()
    hold = await api.placed(account, "10")
    await travel(seconds=61)
    capture, charge = await asyncio.gather(
        api.post(f"/holds/{hold}/capture", {"amount": "10"}, account=account), api.charge(account, "10")
    )
    assert (problem(capture), charge.status_code) == ((409, "PAY037"), 201)


async def test_the_job_frees_what_is_due_once(credits: Credits, api: Api, travel: Travel) -> None:
    account = await credits.open()
    await api.placed(account, "4")
    assert await settle_due(credits.pool, credits.ledger, credits.clock) == 0
    await travel(seconds=61)
    assert [await settle_due(credits.pool, credits.ledger, credits.clock) for _ in range(2)] == [1, 0]
    assert await credits.available(account) == 10_000_000


async def test_heartbeats_keep_a_hold_alive_until_its_longest_life(credits: Credits, api: Api, travel: Travel) -> None:
    account = await credits.open()
    hold = await api.placed(account, "4", expires_in=1800)
    await travel(minutes=29)
    answer = await api.post(f"/holds/{hold}/extend", {"expires_in": 1800}, account=account)
    extended = HoldChanged.model_validate_json(answer.content)
    assert (extended.expires_at - extended.placed_at).total_seconds() == pytest.approx(59 * 60, abs=5)
    assert extended.balance.sequence == 2
    await travel(minutes=29)
    assert problem(await api.post(f"/holds/{hold}/extend", {"expires_in": 1800}, account=account)) == (422, "PAY039")
    assert await state_of(api, account, hold) == "pending"
    await travel(minutes=2)
    assert await state_of(api, account, hold) == "expired"


async def test_a_heartbeat_never_shortens_a_holds_life(credits: Credits, api: Api) -> None:
    account = await credits.open()
    placed = (await api.hold(account, "4", expires_in=600)).json()
    answer = await api.post(f"/holds/{placed['id']}/extend", {"expires_in": 1}, account=account)
    assert answer.json()["expires_at"] == placed["expires_at"]


async def test_a_hold_of_another_account_is_not_there(credits: Credits, api: Api) -> None:
    account, other = await credits.open(), await credits.open()
    hold = await api.placed(account, "4")
    answers = [
        await api.get(f"/holds/{hold}", account=other),
        await api.post(f"/holds/{hold}/capture", {"amount": "1"}, account=other),
        await api.post(f"/holds/{hold}/extend", {"expires_in": 9}, account=other),
        await api.post(f"/holds/{hold}/release", account=other),
    ]
    assert [problem(answer) for answer in answers] == [(404, "PAY010")] * 4
    assert (await credits.balance(account)).held == 4_000_000


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"amount": "0"}, "PAY007"),
        ({"amount": "-1"}, "PAY007"),
        ({"amount": "1", "expires_in": 0}, "PAY007"),
        ({"amount": "1", "expires_in": 1.5}, "PAY007"),
        ({"amount": "1", "expires_in": "60"}, "PAY007"),
        ({"amount": "1", "expires_in": 3601}, "PAY039"),
        ({"amount": "1", "final": True}, "PAY007"),
        ({"meter": "credit", "quantity": 0}, "PAY007"),
        ({"meter": "teleport"}, "PAY021"),
    ],
    ids=str,
)
async def test_a_hold_that_cannot_be_placed_is_a_clear_problem(
    credits: Credits, api: Api, wrong: dict[str, Any], code: str
) -> None:
    account = await credits.open()
    assert problem(await api.post("/holds", {"account": ids.show("account", account)} | wrong)) == (422, code)
    assert (await credits.balance(account)).held == 0


@pytest.mark.parametrize(
    "body", [{}, {"amount": "0"}, {"amount": "1", "final": "yes"}, {"amount": "1", "x": 1}], ids=str
)
async def test_a_capture_that_cannot_be_read_is_a_clear_problem(
    credits: Credits, api: Api, body: dict[str, Any]
) -> None:
    account = await credits.open()
    hold = await api.placed(account, "4")
    assert problem(await api.post(f"/holds/{hold}/capture", body, account=account)) == (422, "PAY007")
    assert await state_of(api, account, hold) == "pending"


async def test_what_is_no_hold_or_account_id_is_a_clear_problem(credits: Credits, api: Api) -> None:
    account = await credits.open()
    for wrong in ("x", "chg_" + "0" * 32, "hld_" + "z" * 32):
        assert problem(await api.post(f"/holds/{wrong}/capture", {"amount": "1"}, account=account)) == (422, "PAY007")
    hold = await api.placed(account, "1")
    assert problem(await api.post(f"/holds/{hold}/capture", {"amount": "1"})) == (422, "PAY007")


async def test_a_frozen_account_reserves_nothing_new_and_settles_what_it_had(credits: Credits, api: Api) -> None:
    account = await credits.open()
    hold = await api.placed(account, "4")
    async with credits.pool.connection() as conn:
        await conn.execute("UPDATE account SET state = 'frozen' WHERE id = $1", account)
    assert problem(await api.hold(account)) == (409, "PAY023")
    assert (await api.post(f"/holds/{hold}/capture", {"amount": "1"}, account=account)).status_code == 201


async def test_holds_are_listed_by_state_and_reference_a_page_at_a_time(credits: Credits, api: Api) -> None:
    account, other = await credits.open(), await credits.open()
    first, second, third = [
        await api.placed(account, "1", reference={"type": "render", "id": f"job-{i % 2}"}) for i in range(3)
    ]
    await api.placed(other, "1", reference=JOB)
    await api.post(f"/holds/{second}/release", account=account)

    async def listed(**wanted: str | int) -> tuple[list[str], str | None]:
        answer = await api.get("/holds", account=account, **wanted)
        page = Page[Hold].model_validate_json(answer.content)
        return [row["id"] for row in answer.json()["data"]], page.next_cursor

    assert await listed() == ([third, second, first], None)
    assert await listed(state="pending") == ([third, first], None)
    assert await listed(reference_type="render", reference_id="job-1") == ([second], None)
    page, cursor = await listed(limit=2)
    assert (page, cursor) == ([third, second], second)
    assert await listed(limit=2, cursor=cursor or "") == ([first], None)
    assert problem(await api.get("/holds", account=account, cursor="x")) == (422, "PAY007")
    assert problem(await api.get("/holds", account=account, state="lost")) == (422, "PAY007")
