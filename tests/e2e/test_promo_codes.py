"""A promo code on the whole stack: tried, redeemed with a purchase, paid, credited, and of no use a second time."""

from pathlib import Path

import httpx2
import pytest

from deploy.cli.customer import Customer, Refused, good
from deploy.cli.state import read_state
from deploy.embedded.stack import Stack
from libs.chassis.service_client import ServiceClient
from libs.chassis.tokens import signer
from libs.contracts.http.payments_v1 import Quote
from libs.contracts.http.promo_codes_v1 import PromoCodeCounted
from libs.contracts.promo_codes import PromoTerms
from tests.e2e.conftest import SignUp


async def put_code(stack: Stack, code: str, terms: PromoTerms) -> PromoCodeCounted:
    """Put a code, as staff do by the payments service's own API."""
    state = read_state(stack.home)
    key = Path(state.environments["gateway"]["SCRIP_GATEWAY_SERVICE_KEY_FILE"])
    payments = ServiceClient("payments", base_url=state.addresses.payments, signer=signer("gateway", key))
    try:
        return await payments.put(f"/promo-codes/{code}", terms, PromoCodeCounted)
    finally:
        await payments.stop()


async def validate(gateway: httpx2.AsyncClient, customer: Customer, code: str) -> Quote:
    """Try a code for the pro pack. Raises Refused."""
    headers = {"Authorization": f"Bearer {customer.session.access_token}"}
    body = {"code": code, "pack": "pro"}
    return Quote.model_validate_json(good(await gateway.post("/v1/promo-codes/validate", json=body, headers=headers)))


async def test_a_discount_is_tried_redeemed_paid_and_refused_the_second_time(
    stack: Stack, gateway: httpx2.AsyncClient, customer: Customer, sign_up: SignUp
) -> None:
    terms = PromoTerms.model_validate({"gives": {"kind": "percent", "percent": 20}, "total_limit": 1})
    await put_code(stack, "E2E-20", terms)
    quote = await validate(gateway, customer, "e2e-20")
    assert (str(quote.price), str(quote.discount)) == ("19.99 USD", "5.00 USD")
    purchase = await customer.buy("pro", promo_code="e2e-20")
    assert (await customer.pay(purchase))["amount"] == 1999
    await customer.wait_until(lambda b: b.by_kind == {"promotional": 10_000_000, "purchased": 160_000_000})
    for whoever in (customer, await sign_up()):
        with pytest.raises(Refused, match="PAY003"):
            await whoever.buy("pro", promo_code="E2E-20")
    counted = await put_code(stack, "E2E-20", terms)
    assert (counted.redeemed, counted.paid) == (1, 1)


async def test_bonus_credits_come_with_the_purchase_and_go_back_with_its_money(
    stack: Stack, customer: Customer
) -> None:
    gives = {"kind": "bonus_credits", "credits": "30", "expires_after_days": 30}
    await put_code(stack, "E2E-MORE", PromoTerms.model_validate({"gives": gives}))
    purchase = await customer.buy("starter", promo_code="E2E-MORE")
    await customer.pay(purchase)
    balance = await customer.wait_until(lambda b: b.available == 90_000_000)
    assert balance.by_kind == {"promotional": 40_000_000, "purchased": 50_000_000}
    await customer.refund(purchase)
    balance = await customer.wait_until(lambda b: b.totals.refunded == 80_000_000)
    assert (balance.available, balance.debt) == (10_000_000, 0)
