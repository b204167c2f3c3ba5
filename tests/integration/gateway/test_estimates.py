"""Estimates at the gateway: who may ask, about which account."""

import pytest

from libs.contracts.ids import show
from tests.integration.gateway.gateways import Gateway
from tests.integration.gateway.stand_ins import CreditsStandIn
from tests.integration.gateway.test_spending import problem

ORDER = {"meter": "video", "quantity": "3", "properties": {"resolution": "720p"}}
PATH = "/v1/estimates"


async def test_a_user_asks_what_something_would_cost_him(gateway: Gateway, credits: CreditsStandIn) -> None:
    user = await gateway.sign_up()
    answer = await user.post(PATH, ORDER)
    assert answer.status_code == 200
    told = answer.json()
    assert (told["credits"], told["affordable"], told["price_version"]) == ("0.000002", True, "v1")
    (asked,) = credits.spending.asked
    assert (asked.path, asked.account, asked.caller.split("_")[0]) == ("/estimates", user.account, "user:usr")
    assert {name: asked.body[name] for name in ORDER} == ORDER


@pytest.mark.parametrize("scope", ["credits:read", "charges:write", "holds:write"])
async def test_a_key_that_may_look_or_spend_may_ask(gateway: Gateway, credits: CreditsStandIn, scope: str) -> None:
    user = await gateway.sign_up()
    headers = {"X-Api-Key": await user.make_key(scope)}
    body = {"amount": "2.5", "account": show("account", user.account)}
    assert (await gateway.http.post(PATH, json=body, headers=headers)).status_code == 200
    (asked,) = credits.spending.asked
    assert (asked.account, asked.body["amount"], asked.caller.split("_")[0]) == (user.account, "2.5", "key:key")


async def test_a_key_that_only_reports_may_not_ask(gateway: Gateway, credits: CreditsStandIn) -> None:
    user = await gateway.sign_up()
    headers = {"X-Api-Key": await user.make_key("usage:write")}
    assert problem(await gateway.http.post(PATH, json=ORDER, headers=headers)) == (403, "PAY012")
    assert problem(await gateway.http.post(PATH, json=ORDER)) == (401, "PAY011")
    assert credits.spending.asked == []


async def test_only_an_operators_key_asks_about_another_account(gateway: Gateway, credits: CreditsStandIn) -> None:
    user, other = await gateway.sign_up(), await gateway.sign_up()
    body = ORDER | {"account": show("account", other.account)}
    assert problem(await user.post(PATH, body)) == (403, "PAY012")
    assert credits.spending.asked == []
    headers = {"X-Api-Key": await gateway.operators_key(user.account, "admin")}
    assert (await gateway.http.post(PATH, json=body, headers=headers)).status_code == 200
    assert [asked.account for asked in credits.spending.asked] == [other.account]


@pytest.mark.parametrize("body", [{}, {"amount": "1", "meter": "video"}, {"amount": 1}, {"meter": "video", "x": 1}])
async def test_a_question_that_cannot_be_read_is_a_clear_problem(gateway: Gateway, body: dict[str, object]) -> None:
    user = await gateway.sign_up()
    assert problem(await user.post(PATH, body)) == (422, "PAY007")


async def test_without_credits_an_estimate_is_a_503_that_may_be_retried(
    gateway: Gateway, credits: CreditsStandIn
) -> None:
    user = await gateway.sign_up()
    await credits.go()
    assert problem(await user.post(PATH, ORDER)) == (503, "PAY014")
