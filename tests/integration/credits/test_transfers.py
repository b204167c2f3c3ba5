"""Transfers over HTTP: off unless the catalogue allows them, and never more than it says."""

import asyncio
from typing import Any
from uuid import UUID

import httpx2
import pytest

from libs.contracts import ids
from libs.contracts.catalogue import Catalogue
from libs.contracts.http.spending_v1 import Transfer
from tests.integration.credits.serving import Api, problem
from tests.support.ledger import CATALOGUE, Credits


@pytest.fixture
def catalogue(request: pytest.FixtureRequest) -> Catalogue:
    """One transfer may move eight credits, unless the test wants other policies."""
    policies = getattr(request, "param", {"transfers": {"maximum": "8"}})
    return Catalogue.of(CATALOGUE.model_dump(mode="json") | {"policies": policies})


async def give(api: Api, account: UUID, to: UUID, amount: Any, *, key: str | None = None) -> httpx2.Response:
    body = {"account": ids.show("account", account), "to": ids.show("account", to), "amount": amount}
    return await api.post("/transfers", body, key=key)


async def test_a_transfer_moves_credits_as_a_lot_of_their_own(credits: Credits, api: Api) -> None:
    account, other = await credits.open(), await credits.open()
    answer = await give(api, account, other, "4")
    done = Transfer.model_validate_json(answer.content)
    assert (answer.status_code, done.account, done.to, done.credits) == (201, account, other, 4_000_000)
    assert done.balance.available == 6_000_000
    assert (await credits.balance(other)).by_kind == {"promotional": 10_000_000, "transferred": 4_000_000}


async def test_a_transfer_retried_under_its_key_moves_once(credits: Credits, api: Api) -> None:
    account, other = await credits.open(), await credits.open()
    answers = await asyncio.gather(*(give(api, account, other, "4", key="once") for _ in range(4)))
    assert len({answer.content for answer in answers}) == 1
    assert await credits.available(account) == 6_000_000


async def test_transfers_to_and_fro_at_once_lose_and_make_nothing(credits: Credits, api: Api) -> None:
    accounts = [await credits.open() for _ in range(4)]
    pairs = [(one, other) for one in accounts for other in accounts if one != other] * 5
    answers = await asyncio.gather(*(give(api, one, other, "3") for one, other in pairs))
    assert {answer.status_code for answer in answers} <= {201, 402}
    assert sum([await credits.available(account) for account in accounts]) == 40_000_000


@pytest.mark.parametrize("catalogue", [{}], indirect=True)
async def test_without_a_policy_credits_do_not_change_hands(credits: Credits, api: Api) -> None:
    account, other = await credits.open(), await credits.open()
    assert problem(await give(api, account, other, "1")) == (403, "PAY042")
    assert await credits.available(other) == 10_000_000


async def test_more_than_the_maximum_is_refused(credits: Credits, api: Api) -> None:
    account, other = await credits.open(), await credits.open()
    answer = await give(api, account, other, "8.000001")
    assert (problem(answer), answer.json()["maximum"]) == ((422, "PAY006"), "8")
    assert await credits.available(account) == 10_000_000


async def test_what_is_not_there_cannot_be_given(credits: Credits, api: Api) -> None:
    account, other = await credits.open(), await credits.open()
    await give(api, account, other, "8")
    answer = await give(api, account, other, "3")
    assert problem(answer) == (402, "PAY001")
    assert (answer.json()["required"], answer.json()["available"]) == ("3", "2")


async def test_nothing_goes_to_nobody_oneself_or_a_frozen_account(credits: Credits, api: Api) -> None:
    account, other = await credits.open(), await credits.open()
    assert problem(await give(api, account, ids.new_id(), "1")) == (404, "PAY028")
    assert problem(await give(api, ids.new_id(), account, "1")) == (404, "PAY028")
    assert problem(await give(api, account, account, "1")) == (422, "PAY007")
    async with credits.pool.connection() as conn:
        await conn.execute("UPDATE account SET state = 'frozen' WHERE id = $1", other)
    assert problem(await give(api, account, other, "1")) == (409, "PAY023")
    assert await credits.available(account) == 10_000_000


@pytest.mark.parametrize("amount", ["0", "-1", 1, "x", None])
async def test_an_amount_that_is_none_is_a_clear_problem(credits: Credits, api: Api, amount: Any) -> None:
    account, other = await credits.open(), await credits.open()
    assert problem(await give(api, account, other, amount)) == (422, "PAY007")
