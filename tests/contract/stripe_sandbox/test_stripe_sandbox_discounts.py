"""Coupons and promotion codes, and what Checkout then charges."""

import time
from typing import Any

import pytest
import stripe

from tests.support.stripe_sandbox import Receiver, RunningSandbox, until

SUCCESS = "https://shop.example/done"


async def a_coupon(client: stripe.StripeClient, **more: Any) -> stripe.Coupon:
    terms: Any = more if "amount_off" in more else {"percent_off": 25.5, **more}
    return await client.v1.coupons.create_async(terms)


async def a_code(client: stripe.StripeClient, coupon: str, **more: Any) -> stripe.PromotionCode:
    params: Any = {"promotion": {"type": "coupon", "coupon": coupon}, **more}
    return await client.v1.promotion_codes.create_async(params)


async def a_session(client: stripe.StripeClient, *amounts: int, **more: Any) -> stripe.checkout.Session:
    lines = [
        {"price_data": {"currency": "usd", "unit_amount": amount, "product_data": {"name": "Credits"}}, "quantity": 1}
        for amount in amounts or (1000,)
    ]
    params: Any = {"mode": "payment", "line_items": lines, "success_url": SUCCESS, **more}
    return await client.v1.checkout.sessions.create_async(params)


async def submit(sandbox: RunningSandbox, session: stripe.checkout.Session, **fields: str) -> Any:
    return await sandbox.http.post(f"/c/pay/{session.id}", data={"action": "pay", **fields})


async def received(client: stripe.StripeClient, session: stripe.checkout.Session) -> int:
    paid = await client.v1.checkout.sessions.retrieve_async(session.id, {"expand": ["payment_intent"]})
    assert isinstance(paid.payment_intent, stripe.PaymentIntent)
    return paid.payment_intent.amount_received


async def test_a_coupon_is_made_changed_found_and_deleted(client: stripe.StripeClient, receiver: Receiver) -> None:
    coupon = await a_coupon(client, id="SPRING", name="Spring", duration="repeating", duration_in_months=3)
    assert (coupon.percent_off, coupon.valid, coupon.times_redeemed) == (25.5, True, 0)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await a_coupon(client, id="SPRING")
    assert refused.value.code == "resource_already_exists"
    changed = await client.v1.coupons.update_async("SPRING", {"name": "Late spring", "metadata": {"year": "2026"}})
    assert changed.name == "Late spring"
    assert "SPRING" in [each.id for each in (await client.v1.coupons.list_async({"limit": 100})).data]
    assert (await client.v1.coupons.delete_async("SPRING")).deleted
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.coupons.retrieve_async("SPRING")
    await receiver.until_about("SPRING", "coupon.created", "coupon.updated", "coupon.deleted")


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"percent_off": 0},
        {"percent_off": 100.5},
        {"percent_off": 10, "amount_off": 100, "currency": "usd"},
        {"amount_off": 100},
        {"percent_off": 10, "currency": "usd"},
        {"amount_off": 0, "currency": "usd"},
        {"amount_off": 1001, "currency": "kwd"},
        {"percent_off": 10, "duration": "repeating"},
        {"percent_off": 10, "duration_in_months": 2},
        {"percent_off": 10, "redeem_by": 1},
        {"percent_off": 10, "max_redemptions": 0},
    ],
)
async def test_what_a_coupon_cannot_be_is_refused(client: stripe.StripeClient, wrong: dict[str, Any]) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.coupons.create_async(wrong)  # type: ignore[arg-type]


async def test_a_percentage_is_taken_off_and_the_lines_add_up(
    client: stripe.StripeClient, sandbox: RunningSandbox, receiver: Receiver
) -> None:
    coupon = await a_coupon(client)
    session = await a_session(client, 999, 333, 1, discounts=[{"coupon": coupon.id}])
    assert session.total_details is not None
    assert (session.amount_subtotal, session.total_details.amount_discount, session.amount_total) == (1333, 340, 993)
    lines = (await client.v1.checkout.sessions.line_items.list_async(session.id)).data
    assert [sum(line[name] for line in lines) for name in ("amount_discount", "amount_total")] == [340, 993]
    assert "9.93 usd" in (await sandbox.http.get(str(session.url))).text
    await submit(sandbox, session)
    assert await received(client, session) == 993
    assert (await client.v1.coupons.retrieve_async(coupon.id)).times_redeemed == 1
    await receiver.until_about(session.id, "checkout.session.completed")
    [told] = receiver.about(session.id)
    assert told.event["data"]["object"]["total_details"]["amount_discount"] == 340


async def test_an_amount_is_taken_off_in_its_currency_alone(client: stripe.StripeClient) -> None:
    coupon = (await a_coupon(client, amount_off=300, currency="usd")).id
    assert (await a_session(client, discounts=[{"coupon": coupon}])).amount_total == 700
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await a_session(client, 320, discounts=[{"coupon": coupon}])
    assert refused.value.code == "amount_too_small"
    euros = (await a_coupon(client, amount_off=300, currency="eur")).id
    with pytest.raises(stripe.InvalidRequestError, match="cannot be applied"):
        await a_session(client, discounts=[{"coupon": euros}])


async def test_a_code_stands_for_its_coupon(
    client: stripe.StripeClient, sandbox: RunningSandbox, receiver: Receiver
) -> None:
    coupon = await a_coupon(client, percent_off=50)
    code = await a_code(client, coupon.id, code="HALF-OFF", max_redemptions=1, metadata={"campaign": "7"})
    assert (code.active, code.promotion.coupon) == (True, coupon.id)
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        await a_code(client, coupon.id, code="half-off")
    found = await client.v1.promotion_codes.list_async({"code": "half-off", "expand": ["data.promotion.coupon"]})
    assert [isinstance(each.promotion.coupon, stripe.Coupon) for each in found.data] == [True]
    session = await a_session(client, discounts=[{"promotion_code": code.id}], expand=["discounts.promotion_code"])
    assert session.amount_total == 500
    assert session.discounts is not None
    assert isinstance(session.discounts[0].promotion_code, stripe.PromotionCode)
    await submit(sandbox, session)
    assert await received(client, session) == 500
    after = await client.v1.promotion_codes.retrieve_async(code.id)
    assert (after.times_redeemed, after.active) == (1, False)
    with pytest.raises(stripe.InvalidRequestError, match="cannot be redeemed"):
        await a_session(client, discounts=[{"promotion_code": code.id}])
    with pytest.raises(stripe.InvalidRequestError, match="cannot be activated"):
        await client.v1.promotion_codes.update_async(code.id, {"active": True})
    await receiver.until_about(code.id, "promotion_code.created")


async def test_a_code_can_be_switched_off(client: stripe.StripeClient, receiver: Receiver) -> None:
    coupon = (await a_coupon(client)).id
    code = await a_code(client, coupon)
    assert len(code.code) == 8
    await client.v1.promotion_codes.update_async(code.id, {"active": False})
    await receiver.until_about(code.id, "promotion_code.updated")
    with pytest.raises(stripe.InvalidRequestError, match="inactive"):
        await a_session(client, discounts=[{"promotion_code": code.id}])
    assert (await client.v1.promotion_codes.list_async({"coupon": coupon, "active": True})).data == []
    other = await a_code(client, coupon)
    await client.v1.coupons.delete_async(coupon)
    assert not (await client.v1.promotion_codes.retrieve_async(other.id)).active


async def test_time_alone_ends_a_coupon_and_its_codes(client: stripe.StripeClient) -> None:
    coupon = (await a_coupon(client, redeem_by=int(time.time()) + 2)).id
    code = (await a_code(client, coupon)).id

    async def over() -> bool:
        return not (await client.v1.coupons.retrieve_async(coupon)).valid

    assert not await over()
    await until(over)
    after = await client.v1.promotion_codes.retrieve_async(code, {"expand": ["promotion.coupon"]})
    assert isinstance(after.promotion.coupon, stripe.Coupon)
    assert (after.active, after.promotion.coupon.valid) == (False, False)
    for discount in ({"coupon": coupon}, {"promotion_code": code}):
        with pytest.raises(stripe.InvalidRequestError):
            await a_session(client, discounts=[discount])


async def test_a_code_may_be_restricted(client: stripe.StripeClient, sandbox: RunningSandbox) -> None:
    coupon = (await a_coupon(client, percent_off=10)).id
    owner, other = [(await client.v1.customers.create_async({})).id for _ in range(2)]
    restrictions: Any = {"first_time_transaction": True, "minimum_amount": 900, "minimum_amount_currency": "usd"}
    code = (await a_code(client, coupon, customer=owner, restrictions=restrictions)).id
    for amount, customer in ((1000, other), (899, owner)):
        with pytest.raises(stripe.InvalidRequestError, match="cannot be redeemed"):
            await a_session(client, amount, customer=customer, discounts=[{"promotion_code": code}])
    session = await a_session(client, 900, customer=owner, discounts=[{"promotion_code": code}])
    await submit(sandbox, session)
    assert await received(client, session) == 810
    with pytest.raises(stripe.InvalidRequestError, match="first purchase"):
        await a_session(client, customer=owner, discounts=[{"promotion_code": code}])


async def test_a_code_can_be_typed_in_on_the_page(client: stripe.StripeClient, sandbox: RunningSandbox) -> None:
    code = await a_code(
        client, (await a_coupon(client, percent_off=20)).id, code="TYPED", expires_at=int(time.time()) + 99
    )
    session = await a_session(client, allow_promotion_codes=True)
    assert "promotion_code" in (await sandbox.http.get(str(session.url))).text
    wrong = await submit(sandbox, session, promotion_code="TIPED")
    assert (wrong.status_code, "This code is invalid" in wrong.text) == (402, True)
    assert (await submit(sandbox, session, promotion_code="typed", action="decline")).status_code == 402
    await submit(sandbox, session)
    assert await received(client, session) == 800
    assert (await client.v1.promotion_codes.retrieve_async(code.id)).times_redeemed == 1
    closed = await a_session(client)
    assert (await submit(sandbox, closed, promotion_code="TYPED")).status_code == 402


@pytest.mark.parametrize(
    "wrong",
    [
        {"code": "no spaces"},
        {"customer": "cus_none"},
        {"restrictions": {"minimum_amount": 100}},
        {"promotion": {"type": "coupon", "coupon": "none"}},
    ],
)
async def test_what_a_code_cannot_be_is_refused(client: stripe.StripeClient, wrong: dict[str, Any]) -> None:
    coupon = (await a_coupon(client)).id
    with pytest.raises(stripe.InvalidRequestError):
        await a_code(client, coupon, **wrong)
