"""Codes and gift cards: handed on to payments with the caller and his key; guessing codes is slowed."""

import pytest

from libs.contracts import ids
from tests.integration.gateway.conftest import RunGateway
from tests.integration.gateway.gateways import NOWHERE, Gateway
from tests.integration.gateway.stand_ins import PaymentsStandIn

GIFT = {"product": "gift-50", "recipient": {"email": "grace@example.com", "name": "Grace"}}


async def test_a_code_is_redeemed_for_ones_own_account_under_ones_key(
    gateway: Gateway, payments: PaymentsStandIn
) -> None:
    user = await gateway.sign_up()
    answer = await user.post("/v1/vouchers/redeem", {"code": "good"}, key="k")
    assert (answer.status_code, answer.json()["credits"]) == (201, "50")
    assert payments.redeemed == {"good": user.account}
    asked = payments.asked[-1]
    assert (asked.caller, asked.key) == (f"user:{ids.show('user', user.session.user.id)}", "k")
    again = await user.post("/v1/vouchers/redeem", {"code": "good"}, key="k")
    assert again.headers["idempotency-replayed"] == "true"
    refused = await (await gateway.sign_up()).post("/v1/vouchers/redeem", {"code": "good"}, key="k")
    assert (refused.status_code, refused.json()["code"]) == (422, "PAY003")


@pytest.mark.parametrize(
    "body", [{}, {"code": ""}, {"code": 5}, {"code": "x" * 101}, {"code": "x", "account": "acc_1"}]
)
async def test_a_code_that_is_none_is_refused_here(gateway: Gateway, payments: PaymentsStandIn, body: object) -> None:
    user = await gateway.sign_up()
    answer = await user.post("/v1/vouchers/redeem", body, key="k")
    assert (answer.status_code, answer.json()["code"]) == (422, "PAY007")
    assert (await user.post("/v1/vouchers/redeem", {"code": "good"})).json()["code"] == "PAY008"
    assert payments.asked == []


async def test_only_signed_in_users_try_codes(gateway: Gateway) -> None:
    answer = await gateway.http.post("/v1/vouchers/redeem", json={"code": "good"}, headers={"Idempotency-Key": "k"})
    assert answer.status_code == 401
    user = await gateway.sign_up()
    headers = {"Authorization": f"Bearer {await user.make_key('holds:write')}", "Idempotency-Key": "k"}
    answer = await gateway.http.post("/v1/vouchers/redeem", json={"code": "good"}, headers=headers)
    assert answer.status_code == 403


@pytest.mark.parametrize("redis", [{}, {"redis_url": f"redis://{NOWHERE}/0"}])
async def test_who_tries_many_codes_is_slowed_with_and_without_redis(
    run_gateway: RunGateway, redis: dict[str, str]
) -> None:
    async with run_gateway(codes_per_user_a_minute=3, **redis) as gateway:
        user, other = await gateway.sign_up(), await gateway.sign_up()
        tries = [await user.post("/v1/vouchers/redeem", {"code": "guess"}, key=f"k{number}") for number in range(4)]
        assert [answer.status_code for answer in tries] == [422, 422, 422, 429]
        assert tries[-1].headers["ratelimit-policy"] == '"codes";q=3;w=60'
        assert (await user.get("/v1/balance")).status_code == 200
        assert (await other.post("/v1/vouchers/redeem", {"code": "good"}, key="k")).status_code == 201


async def test_who_tries_codes_as_many_users_is_slowed_by_his_address(run_gateway: RunGateway) -> None:
    async with run_gateway(codes_per_address_a_minute=3) as gateway:
        users = [await gateway.sign_up() for _ in range(4)]
        tries = [await user.post("/v1/vouchers/redeem", {"code": "guess"}, key="k") for user in users]
        assert [answer.status_code for answer in tries] == [422, 422, 422, 429]


async def test_a_gift_card_is_bought_in_the_name_of_whoever_is_signed_in(
    gateway: Gateway, payments: PaymentsStandIn
) -> None:
    user = await gateway.sign_up()
    answer = await user.post("/v1/gift-cards", GIFT, key="k")
    assert answer.status_code == 201, answer.text
    (order,) = payments.gift_orders
    assert (order.buyer.account, order.buyer.email) == (user.account, user.session.user.email)
    assert (await user.post("/v1/gift-cards", GIFT)).json()["code"] == "PAY008"
    cards = await user.get("/v1/gift-cards", limit=1)
    assert [card["state"] for card in cards.json()["data"]] == ["delivered"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"recipient": {"email": "nobody", "name": "Grace"}},
        {"recipient": {"email": "grace@example.com", "name": " "}},
        {"message": "x" * 501},
        {"deliver_at": "2026-12-24T18:00:00"},
        {"method": "checkout"},
        {"credits": "1000"},
    ],
)
async def test_an_order_that_makes_no_sense_is_refused_here(
    gateway: Gateway, payments: PaymentsStandIn, wrong: dict[str, object]
) -> None:
    user = await gateway.sign_up()
    answer = await user.post("/v1/gift-cards", GIFT | wrong, key="k")
    assert (answer.status_code, answer.json()["code"]) == (422, "PAY007")
    assert payments.gift_orders == []


async def test_everybody_sees_which_gift_cards_are_on_offer(gateway: Gateway) -> None:
    answer = await gateway.http.get("/v1/gift-card-offers")
    assert [card["id"] for card in answer.json()["data"]] == ["gift-50"]
    etag = {"If-None-Match": answer.headers["etag"]}
    assert (await gateway.http.get("/v1/gift-card-offers", headers=etag)).status_code == 304
