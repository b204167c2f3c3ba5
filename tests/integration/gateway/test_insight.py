"""Where credits went, through the gateway: who may ask, and what reaches credits."""

import pytest

from libs.contracts.ids import new_id, show
from tests.integration.gateway.gateways import Gateway
from tests.integration.gateway.past import Question
from tests.integration.gateway.stand_ins import CreditsStandIn
from tests.integration.gateway.test_spending import problem

SPAN = {"from": "2026-11-01", "to": "2026-11-30"}
ROUTES = {"summary": "meter", "daily": "day", "by-meter": "meter", "by-model": "property:model"}


@pytest.mark.parametrize(("route", "by"), ROUTES.items())
async def test_sums_are_asked_of_credits(gateway: Gateway, credits: CreditsStandIn, route: str, by: str) -> None:
    user = await gateway.sign_up()
    answer = await user.get(f"/v1/usage/{route}", **SPAN)
    assert (answer.status_code, answer.json()["credits"]) == (200, "5")
    assert credits.past.asked[-1] == Question("usage", user.account, SPAN | {"by": by})


async def test_a_summary_is_told_apart_by_what_one_asks_for(gateway: Gateway, credits: CreditsStandIn) -> None:
    user = await gateway.sign_up()
    await user.get("/v1/usage/summary", **SPAN, by="actor", meter="image")
    assert credits.past.asked[-1].params == SPAN | {"by": "actor", "meter": "image"}


async def test_a_forecast_is_asked_of_credits(gateway: Gateway, credits: CreditsStandIn) -> None:
    user = await gateway.sign_up()
    answer = await user.get("/v1/usage/forecast")
    assert (answer.status_code, answer.json()["confidence_percent"]) == (200, 80)
    assert credits.past.asked[-1].path == "forecast"


async def test_unusual_days_are_asked_of_credits(gateway: Gateway, credits: CreditsStandIn) -> None:
    user = await gateway.sign_up()
    answer = await user.get("/v1/usage/unusual")
    assert (answer.status_code, answer.json()["data"][0]["burnt"]) == (200, "9")
    assert credits.past.asked[-1] == Question("unusual-days", user.account, {})


@pytest.mark.parametrize("route", [*ROUTES, "forecast", "unusual"])
async def test_only_who_may_look_may_ask_and_only_about_his_own(
    gateway: Gateway, credits: CreditsStandIn, route: str
) -> None:
    user = await gateway.sign_up()
    params = SPAN if route in ROUTES else {}
    path = f"/v1/usage/{route}"
    assert problem(await gateway.http.get(path, params=params)) == (401, "PAY011")
    reporter = {"X-Api-Key": await user.make_key("usage:write")}
    assert problem(await gateway.http.get(path, params=params, headers=reporter)) == (403, "PAY012")
    other = {**params, "account": show("account", new_id())}
    assert problem(await user.get(path, **other)) == (403, "PAY012")
    assert credits.past.asked == []


@pytest.mark.parametrize("wrong", [{}, SPAN | {"to": "2026-10-01"}, SPAN | {"by": "weather"}, SPAN | {"x": "1"}])
async def test_a_question_that_makes_no_sense_is_a_clear_problem(gateway: Gateway, wrong: dict[str, str]) -> None:
    user = await gateway.sign_up()
    assert problem(await user.get("/v1/usage/summary", **wrong)) == (422, "PAY007")
