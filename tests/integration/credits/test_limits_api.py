"""Limits over HTTP: what others set and ask, and what spending is answered."""

from typing import Any
from uuid import UUID

import httpx2
import pytest

from libs.contracts import ids
from libs.contracts.catalogue import Catalogue, Limits, RunawayGuard
from libs.contracts.credits import MICRO
from tests.integration.credits.serving import CALLER, Api, problem
from tests.support.ledger import CATALOGUE, Credits, used


@pytest.fixture
def catalogue() -> Catalogue:
    """Fifty credits an hour, and an account may have two hundred."""
    guard = RunawayGuard(account_per_hour=50 * MICRO)
    limits = Limits(maximum_balance=200 * MICRO, runaway=guard)
    return CATALOGUE.model_copy(update={"limits": limits})


def path(account: UUID, *rest: str) -> str:
    return "/".join(["/accounts", ids.show("account", account), *rest])


async def put(api: Api, where: str, body: dict[str, Any]) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {api.signer.token('credits')}"}
    return await api.http.put(f"/internal/v1{where}", json=body, headers=headers)


async def test_who_charges_is_held_to_his_own_limit(credits: Credits, api: Api) -> None:
    account = await credits.open_with("100")
    limit = await put(api, path(account, "actors", CALLER), {"per_month": "7"})
    assert (limit.json()["per_month"], limit.json()["per_day"]) == ("7", None)
    assert (await api.charge(account, "5")).status_code == 201
    refused = await api.charge(account, "3", key="dear")
    assert problem(refused) == (422, "PAY006")
    assert problem(await api.charge(account, "3", key="dear")) == (422, "PAY006")
    assert await credits.use(used(account, quantity=20)) == ["burnt"]
    (actor,) = (await api.get(path(account, "actors"), account=account)).json()["data"]
    assert (actor["actor"], actor["spent_this_month"], actor["stopped"]) == (CALLER, "5", False)


async def test_a_runaway_over_http_is_stopped_until_somebody_resumes_it(credits: Credits, api: Api) -> None:
    account = await credits.open_with("100")
    assert (await api.charge(account, "50")).status_code == 201
    for amount in ("1", "0.1"):
        assert problem(await api.charge(account, amount)) == (422, "PAY006")
    assert problem(await api.hold(account, "1")) == (422, "PAY006")
    assert (await api.get(path(account, "limits"), account=account)).json()["state"] == "stopped"
    resumed = await api.post(path(account, "resume"), {}, caller="staff:eve")
    assert resumed.json()["state"] == "open"
    assert (await api.charge(account, "1")).status_code == 201


async def test_a_purchase_is_checked_and_the_limit_named(credits: Credits, api: Api) -> None:
    account = await credits.open()
    allowed = await api.post(path(account, "purchase-check"), {"credits": "190"})
    assert allowed.json() == {"credits": "190", "balance_after": "200"}
    refused = await api.post(path(account, "purchase-check"), {"credits": "190.000001"})
    assert problem(refused) == (422, "PAY006")
    assert refused.json()["limit"] == "maximum_balance"


async def test_who_has_no_account_yet_may_buy_as_much_as_an_account_may_have(api: Api) -> None:
    nobody = ids.new_id()
    assert (await api.post(path(nobody, "purchase-check"), {"credits": "200"})).status_code == 200
    refused = await api.post(path(nobody, "purchase-check"), {"credits": "200.000001"})
    assert problem(refused) == (422, "PAY006")


async def test_limits_of_nobody_and_for_nobody_are_refused(credits: Credits, api: Api) -> None:
    account, nobody = await credits.open(), ids.new_id()
    assert problem(await put(api, path(nobody, "actors", CALLER), {"per_day": "7"})) == (404, "PAY028")
    assert problem(await put(api, path(nobody, "overdraft"), {"limit": "7"})) == (404, "PAY028")
    assert problem(await put(api, path(nobody, "low-balance"), {"threshold": "7"})) == (404, "PAY028")
    assert problem(await api.post(path(nobody, "resume"), {})) == (404, "PAY028")
    assert problem(await put(api, path(account, "actors", "ada"), {"per_day": "7"})) == (422, "PAY007")
    assert problem(await put(api, path(account, "actors", CALLER), {"per_day": "-7"})) == (422, "PAY007")
    assert problem(await api.post(path(account, "purchase-check"), {"credits": "0"})) == (422, "PAY007")
