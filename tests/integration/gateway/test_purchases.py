"""Purchases: handed on to payments with the caller and his key; only one's own."""

from typing import Any
from uuid import uuid4

from libs.contracts import ids
from tests.integration.gateway.gateways import Gateway, User
from tests.integration.gateway.stand_ins import Asked, PaymentsStandIn


async def a_purchase(user: User) -> str:
    """Start a purchase; gives its id."""
    answer = await user.post("/v1/purchases", {"pack": "starter"}, key=uuid4().hex)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_a_purchase_is_started_for_the_user_and_his_key(gateway: Gateway, payments: PaymentsStandIn) -> None:
    user = await gateway.sign_up("ada@example.com")
    answer = await user.post("/v1/purchases", {"pack": "starter", "method": "payment_intent"}, key="key-1")
    assert answer.status_code == 201
    purchase = answer.json()
    assert purchase["state"] == "requires_action"
    assert purchase["client_secret"] == "pi_1_secret_1"
    assert purchase["quote"]["price"] == {"amount_minor": 999, "currency": "usd"}
    who = user.session.model_dump(mode="json")["user"]
    assert payments.asked == [Asked("/purchases", f"user:{who['id']}", "key-1")]
    buyer = payments.orders[0].buyer.model_dump(mode="json")
    assert buyer == {"account": who["account"], "user": who["id"], "email": "ada@example.com", "name": "Ada"}


async def test_a_retry_is_answered_alike_and_says_so(gateway: Gateway) -> None:
    user = await gateway.sign_up()
    first = await user.post("/v1/purchases", {"pack": "starter"}, key="key-1")
    again = await user.post("/v1/purchases", {"pack": "starter"}, key="key-1")
    assert again.content == first.content
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"


async def test_the_same_key_of_another_user_is_another_key(gateway: Gateway) -> None:
    ada, bob = await gateway.sign_up(), await gateway.sign_up()
    of_ada = await ada.post("/v1/purchases", {"pack": "starter"}, key="key-1")
    of_bob = await bob.post("/v1/purchases", {"pack": "starter"}, key="key-1")
    assert of_ada.json()["id"] != of_bob.json()["id"]


async def test_a_purchase_or_refund_without_a_good_key_is_refused(gateway: Gateway, payments: PaymentsStandIn) -> None:
    user = await gateway.sign_up()
    for headers in ({}, {"Idempotency-Key": "x" * 256}, {"Idempotency-Key": "with space"}):
        for path, body in (("", {"pack": "starter"}), (f"/{ids.show('purchase', ids.new_id())}/refunds", {})):
            answer = await gateway.http.post(f"/v1/purchases{path}", json=body, headers=user.headers | headers)
            assert (answer.status_code, answer.json()["code"]) == (400, "PAY008")
    latin = [(b"Authorization", user.headers["Authorization"].encode()), (b"Idempotency-Key", b"caf\xe9")]
    answer = await gateway.http.post("/v1/purchases", json={"pack": "starter"}, headers=latin)
    assert answer.status_code == 400
    assert payments.asked == []


async def test_a_quote_needs_no_key(gateway: Gateway, payments: PaymentsStandIn) -> None:
    user = await gateway.sign_up()
    answer = await user.post("/v1/purchases", {"pack": "starter", "quote_only": True})
    assert answer.status_code == 200
    assert (answer.json()["state"], answer.json()["id"]) == ("quoted", None)
    assert payments.asked[0].key is None


async def test_an_order_that_cannot_be_read_reaches_nobody(gateway: Gateway, payments: PaymentsStandIn) -> None:
    user = await gateway.sign_up()
    wrongs: list[dict[str, Any]] = [
        {},
        {"pack": "starter", "amount_credits": "5"},
        {"amount_credits": "0"},
        {"amount_credits": "-5"},
        {"amount_credits": 5},
        {"amount_credits": "5.0000001"},
        {"amount_money": {"amount_minor": 0, "currency": "usd"}},
        {"amount_money": {"amount_minor": -100, "currency": "usd"}},
        {"amount_money": {"amount_minor": 9.99, "currency": "usd"}},
        {"amount_money": {"amount_minor": True, "currency": "usd"}},
        {"pack": "starter", "currency": "dollars"},
        {"pack": "starter", "method": "cash"},
        {"pack": "starter", "method": "checkout"},
        {"pack": "starter", "price": 1},
        {"pack": "../starter"},
    ]
    for wrong in wrongs:
        answer = await user.post("/v1/purchases", wrong, key="key-1")
        assert (answer.status_code, answer.json()["code"]) == (422, "PAY007"), wrong
    assert payments.asked == []


async def test_purchases_are_found_confirmed_canceled_and_refunded(gateway: Gateway, payments: PaymentsStandIn) -> None:
    user = await gateway.sign_up()
    purchase = await a_purchase(user)
    assert (await user.get(f"/v1/purchases/{purchase}")).json()["id"] == purchase
    listed = (await user.get("/v1/purchases", limit=5, cursor="next")).json()
    assert ([each["id"] for each in listed["data"]], listed["next_cursor"]) == ([purchase], "next")
    assert (await user.post(f"/v1/purchases/{purchase}/confirm")).json()["state"] == "succeeded"
    assert (await user.post(f"/v1/purchases/{purchase}/cancel")).json()["state"] == "canceled"
    preview = (await user.post(f"/v1/purchases/{purchase}/refund-preview", {})).json()
    assert (preview["amount"]["amount_minor"], preview["debt"], preview["possible"]) == (999, "0.000001", True)
    refund = await user.post(f"/v1/purchases/{purchase}/refunds", {}, key="key-2")
    assert (refund.status_code, refund.json()["amount"]) == (201, {"amount_minor": 999, "currency": "usd"})
    caller = f"user:{user.session.model_dump(mode='json')['user']['id']}"
    assert payments.asked[1:] == [
        Asked("/confirm", caller, None),
        Asked("/cancel", caller, None),
        Asked("/refunds", caller, "key-2"),
    ]


async def test_a_user_sees_the_loyalty_tier_of_his_own_account(gateway: Gateway, payments: PaymentsStandIn) -> None:
    user = await gateway.sign_up()
    answer = await user.get("/v1/loyalty")
    assert (answer.status_code, answer.json()["tier"]) == (200, None)
    assert answer.json()["next"]["left"] == [{"amount_minor": 999, "currency": "usd"}]
    assert payments.asked == [Asked("/loyalty", ids.show("account", user.account), None)]
    assert (await gateway.http.get("/v1/loyalty")).status_code == 401
    key = {"Authorization": f"Bearer {await user.make_key('credits:read')}"}
    assert (await gateway.http.get("/v1/loyalty", headers=key)).json()["code"] == "PAY012"


async def test_other_peoples_purchases_are_not_there(gateway: Gateway) -> None:
    ada, bob = await gateway.sign_up(), await gateway.sign_up()
    purchase = await a_purchase(ada)
    answers = [
        await bob.get(f"/v1/purchases/{purchase}"),
        await bob.post(f"/v1/purchases/{purchase}/confirm"),
        await bob.post(f"/v1/purchases/{purchase}/cancel"),
        await bob.post(f"/v1/purchases/{purchase}/refunds", {}, key="key-1"),
        await bob.post(f"/v1/purchases/{purchase}/refund-preview", {}),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(404, "PAY010")] * 5
    assert (await bob.get("/v1/purchases")).json()["data"] == []


async def test_what_is_no_purchase_id_is_refused(gateway: Gateway) -> None:
    user = await gateway.sign_up()
    for wrong in ("1", "acc_018f2b6c0d4e7a1b9c3d5e7f90a1b2c3", "pur_xyz", "pur_018f2b6c0d4e7a1b9c3d5e7f90a1b2c3a"):
        assert (await user.get(f"/v1/purchases/{wrong}")).status_code == 422, wrong


async def test_api_keys_cannot_buy(gateway: Gateway) -> None:
    user = await gateway.sign_up()
    headers = {"Authorization": f"Bearer {await user.make_key('credits:read')}", "Idempotency-Key": "key-1"}
    answer = await gateway.http.post("/v1/purchases", json={"pack": "starter"}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "PAY012")


async def test_without_payments_a_purchase_is_a_503_that_may_be_retried(
    gateway: Gateway, payments: PaymentsStandIn
) -> None:
    user = await gateway.sign_up()
    await payments.go()
    answer = await user.post("/v1/purchases", {"pack": "starter"}, key="key-1")
    assert (answer.status_code, answer.json()["code"]) == (503, "PAY014")
    assert answer.headers["retry-after"] == "1"
    await payments.come()
    assert (await user.post("/v1/purchases", {"pack": "starter"}, key="key-1")).status_code == 201
