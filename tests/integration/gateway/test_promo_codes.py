"""Promo codes: tried for the user by payments, and not often, so that they cannot be guessed."""

import asyncio
from typing import Any

import httpx2
import pytest

from tests.integration.gateway.conftest import RunGateway
from tests.integration.gateway.gateways import NOWHERE, Gateway, User
from tests.integration.gateway.stand_ins import PaymentsStandIn


async def validate(user: User, code: str = "spring", **wanted: Any) -> httpx2.Response:
    """Try a code, for the pack if nothing else is said."""
    return await user.post("/v1/promo-codes/validate", {"code": code, **(wanted or {"pack": "starter"})})


async def test_a_code_is_tried_as_a_quote_for_the_user(gateway: Gateway, payments: PaymentsStandIn) -> None:
    user = await gateway.sign_up()
    answer = await validate(user)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["price"]["amount_minor"], answer.json()["discount"]["amount_minor"]) == (999, 0)
    await validate(user, amount_credits="12.5", currency="eur")
    await validate(user, amount_money={"amount_minor": 500, "currency": "usd"})
    orders = [asked.order.model_dump(mode="json", exclude_defaults=True) for asked in payments.orders]
    named = {"promo_code": "SPRING", "quote_only": True}
    assert orders == [
        {"pack": "starter", **named},
        {"amount_credits": "12.5", "currency": "eur", **named},
        {"amount_money": {"amount_minor": 500, "currency": "usd"}, **named},
    ]
    assert {asked.buyer.account for asked in payments.orders} == {user.account}
    assert [asked.key for asked in payments.asked] == [None] * 3


async def test_a_code_that_cannot_be_used_is_one_problem_wherever_it_is_named(gateway: Gateway) -> None:
    user = await gateway.sign_up()
    order = {"pack": "starter", "promo_code": "WRONG"}
    answers = [
        await validate(user, "WRONG"),
        await user.post("/v1/purchases", order, key="key-1"),
        await user.post("/v1/purchases", order | {"quote_only": True}),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(422, "PAY003")] * 3
    assert len({answer.json()["detail"] for answer in answers}) == 1


async def test_a_purchase_names_its_code_in_any_case(gateway: Gateway, payments: PaymentsStandIn) -> None:
    user = await gateway.sign_up()
    answer = await user.post("/v1/purchases", {"pack": "starter", "promo_code": "Spring"}, key="key-1")
    assert answer.status_code == 201
    assert payments.orders[0].order.promo_code == "SPRING"


async def test_what_cannot_be_a_code_reaches_nobody(gateway: Gateway, payments: PaymentsStandIn) -> None:
    user = await gateway.sign_up()
    for wrong in ("", "AB", "A" * 41, "SAVE 10", "SAVE'--", "\u017fAVE", "SAVE\x00", None, 1000):
        answers = [await user.post("/v1/promo-codes/validate", {"code": wrong, "pack": "starter"})]
        if wrong is not None:
            answers.append(await user.post("/v1/purchases", {"pack": "starter", "promo_code": wrong}, key="key-1"))
        assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(422, "PAY007")] * len(answers)
    for wrongs in ({"pack": "starter", "amount_credits": "5"}, {"pack": "starter", "method": "checkout"}, {"x": 1}):
        answer = await validate(user, **wrongs)
        assert (answer.status_code, answer.json()["code"]) == (422, "PAY007")
    assert payments.asked == []


async def test_api_keys_try_no_codes(gateway: Gateway) -> None:
    user = await gateway.sign_up()
    headers = {"Authorization": f"Bearer {await user.make_key('credits:read')}"}
    body = {"code": "SPRING", "pack": "starter"}
    answer = await gateway.http.post("/v1/promo-codes/validate", json=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "PAY012")


async def test_who_names_codes_too_often_is_told_when_to_come_back(run_gateway: RunGateway) -> None:
    async with run_gateway(codes_per_user_a_minute=3) as gateway:
        ada, bob = await gateway.sign_up(), await gateway.sign_up()
        order = {"pack": "starter", "promo_code": "WRONG"}
        statuses = [
            (await validate(ada, "WRONG")).status_code,
            (await ada.post("/v1/purchases", order, key="key-1")).status_code,
            (await ada.post("/v1/purchases", order | {"quote_only": True})).status_code,
        ]
        assert statuses == [422, 422, 422]
        refused = await validate(ada)
        assert (refused.status_code, refused.json()["code"]) == (429, "PAY013")
        assert 1 <= int(refused.headers["retry-after"]) <= 20
        assert refused.headers["ratelimit-policy"] == '"codes";q=3;w=60'
        assert (await ada.post("/v1/purchases", order, key="key-2")).status_code == 429
        assert (await ada.post("/v1/purchases", {"pack": "starter"}, key="key-3")).status_code == 201
        assert (await validate(bob)).status_code == 200


async def test_many_users_of_one_address_guess_no_more_than_one_address_may(run_gateway: RunGateway) -> None:
    async with run_gateway(codes_per_address_a_minute=4) as gateway:
        users = [await gateway.sign_up() for _ in range(4)]
        answers = await asyncio.gather(*(validate(user, "WRONG") for user in users for _ in range(5)))
        assert [answer.status_code for answer in answers].count(422) == 4
        assert {answer.status_code for answer in answers} == {422, 429}


@pytest.mark.parametrize("limit", ["codes_per_user_a_minute", "codes_per_address_a_minute"])
async def test_without_redis_codes_stay_guarded(run_gateway: RunGateway, limit: str) -> None:
    async with run_gateway(redis_url=f"redis://{NOWHERE}/0", **{limit: 2}) as gateway:
        user = await gateway.sign_up()
        assert [(await validate(user)).status_code for _ in range(3)] == [200, 200, 429]
