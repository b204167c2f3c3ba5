"""Bad input, over every route that it can come by: a clear problem with its code, and nothing changed."""

from asyncio import gather
from typing import Any
from uuid import UUID

import pytest

from libs.contracts import ids
from libs.contracts.catalogue import Catalogue
from libs.contracts.credits import MICRO
from tests.integration.credits.serving import Api, problem
from tests.support.ledger import CATALOGUE, Credits, used

IMPOSSIBLE: tuple[Any, ...] = ("0", "-1", "0.0000001", "9223372036854.775808", 5)
BOOKING = {"type": "booking", "id": "b-1"}


@pytest.fixture
def catalogue() -> Catalogue:
    """Credits may be given to others, and a hold be captured for more than it reserves."""
    policies = {"transfers": {"maximum": "100"}, "capture_above_hold": True}
    return Catalogue.of(CATALOGUE.model_dump(mode="json") | {"policies": policies})


def shown(account: UUID) -> str:
    return ids.show("account", account)


async def set_state(credits: Credits, account: UUID, state: str) -> None:
    async with credits.pool.connection() as conn:
        await conn.execute("UPDATE account SET state = $2 WHERE id = $1", account, state)


async def spends(api: Api, account: UUID, to: UUID) -> list[tuple[int, str]]:
    """Try to spend of an account by every route; gives the problems."""
    whose = {"account": shown(account), "amount": "1"}
    answers = [
        await api.post("/charges", whose),
        await api.post("/holds", whose),
        await api.post("/transfers", whose | {"to": shown(to)}),
    ]
    (row,) = (await api.post("/charges/batch", {"charges": [whose]})).json()["data"]
    return [*(problem(answer) for answer in answers), (row["status"], row["problem"]["code"])]


async def test_an_amount_that_can_be_none_is_refused_by_every_route(credits: Credits, api: Api) -> None:
    account, other = await credits.open(), await credits.open()
    hold = await api.placed(account, "2")
    charge = (await api.charge(account, "2")).json()["id"]
    whose = {"account": shown(account)}
    for amount in IMPOSSIBLE:
        answers = await gather(
            api.post("/charges", whose | {"amount": amount}),
            api.post(f"/charges/{charge}/refunds", {"amount": amount}, account=account),
            api.post("/holds", whose | {"amount": amount}),
            api.post(f"/holds/{hold}/capture", {"amount": amount}, account=account),
            api.post("/transfers", whose | {"to": shown(other), "amount": amount}),
            api.post("/grants", whose | {"credits": amount, "note": "x"}),
            api.post("/grants/bulk", {"rows": [whose | {"credits": amount}], "note": "x"}),
            api.post(f"/accounts/{shown(account)}/purchase-check", {"credits": amount}),
        )
        assert [problem(answer) for answer in answers] == [(422, "PAY007")] * len(answers), amount
        rows = [whose | {"amount": amount}, whose | {"amount": "0.000001"}]
        batch = (await api.post("/charges/batch", {"charges": rows})).json()["data"]
        assert [row["status"] for row in batch] == [422, 201], amount
    balance = await credits.balance(account)
    assert (balance.available, balance.held) == (6 * MICRO - len(IMPOSSIBLE), 2 * MICRO)
    assert await credits.available(other) == 10 * MICRO


async def test_an_unknown_account_can_do_nothing_by_any_route(credits: Credits, api: Api) -> None:
    account, nobody = await credits.open(), ids.new_id()
    hold, charge = await api.placed(account, "2"), (await api.charge(account, "2")).json()["id"]
    assert await spends(api, nobody, account) == [(404, "PAY028")] * 4
    assert await credits.use(used(nobody)) == ["PAY028"]
    grant = {"account": shown(nobody), "credits": "1", "note": "x"}
    assert problem(await api.post("/grants", grant)) == (404, "PAY028")
    answers = [
        await api.post(f"/charges/{charge}/refunds", {}, account=nobody),
        await api.post(f"/holds/{hold}/capture", {"amount": "1"}, account=nobody),
        await api.post(f"/holds/{hold}/extend", {"expires_in": 9}, account=nobody),
        await api.post(f"/holds/{hold}/release", account=nobody),
    ]
    assert {problem(answer) for answer in answers} <= {(404, "PAY010"), (404, "PAY028")}
    assert (await credits.balance(account)).held == 2 * MICRO


@pytest.mark.parametrize("state", ["frozen", "closed", "stopped"])
async def test_an_account_that_is_not_open_spends_by_no_route(credits: Credits, api: Api, state: str) -> None:
    account, other = await credits.open(), await credits.open()
    hold = await api.placed(account, "2")
    await set_state(credits, account, state)
    refused = (422, "PAY006") if state == "stopped" else (409, "PAY023")
    assert await spends(api, account, other) == [refused] * 4
    assert await credits.use(used(account)) == [refused[1]]
    above = await api.post(f"/holds/{hold}/capture", {"amount": "2.5"}, account=account)
    assert problem(above) == refused
    balance = await credits.balance(account)
    assert (balance.available, balance.held) == (8 * MICRO, 2 * MICRO)


@pytest.mark.parametrize("state", ["frozen", "closed"])
async def test_nobody_gives_to_an_account_that_is_frozen_or_closed(credits: Credits, api: Api, state: str) -> None:
    account, other = await credits.open(), await credits.open()
    await set_state(credits, other, state)
    give = {"account": shown(account), "to": shown(other), "amount": "1"}
    assert problem(await api.post("/transfers", give)) == (409, "PAY023")
    assert await credits.available(account) == 10 * MICRO


async def test_a_charge_or_hold_that_never_was_is_not_there(credits: Credits, api: Api) -> None:
    account = await credits.open()
    charge, hold = ids.show("charge", ids.new_id()), ids.show("hold", ids.new_id())
    answers = [
        await api.get(f"/charges/{charge}", account=account),
        await api.post(f"/charges/{charge}/refunds", {}, account=account),
        await api.get(f"/holds/{hold}", account=account),
        await api.post(f"/holds/{hold}/capture", {"amount": "1"}, account=account),
        await api.post(f"/holds/{hold}/extend", {"expires_in": 9}, account=account),
        await api.post(f"/holds/{hold}/release", account=account),
    ]
    assert [problem(answer) for answer in answers] == [(404, "PAY010")] * len(answers)
    assert await credits.available(account) == 10 * MICRO


async def test_a_reference_reused_with_another_amount_spoils_no_other_row_of_its_batch(
    credits: Credits, api: Api
) -> None:
    account = await credits.open()
    rows = [{"amount": amount, "reference": BOOKING} for amount in ("1", "2", "1")] + [{"amount": "3"}]
    answer = await api.post("/charges/batch", {"account": shown(account), "charges": rows})
    done = answer.json()["data"]
    assert [row["status"] for row in done] == [201, 409, 201, 201]
    assert done[1]["problem"]["code"] == "PAY041"
    assert done[0]["charge"]["id"] == done[2]["charge"]["id"]
    assert await credits.available(account) == 6 * MICRO
