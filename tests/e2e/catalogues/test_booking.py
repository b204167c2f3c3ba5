"""Booking: packs, any amount, promo codes of four kinds; the oldest burn first; cancellations come back as new lots."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
import yaml

from deploy.cli.customer import Customer, Refused, good
from deploy.embedded.settings import PROJECT
from deploy.embedded.stack import Stack
from libs.contracts.catalogue import Catalogue
from libs.contracts.http.gateway_v1 import Session
from libs.contracts.promo_codes import PromoTerms
from tests.e2e.catalogues.story import available, bought, by_kind, history, refunded, usd
from tests.e2e.conftest import move_clock
from tests.e2e.test_path import mail_to
from tests.e2e.test_promo_codes import put_code
from tests.e2e.test_spending import Worker

CATALOGUE = "booking"


@pytest.fixture(scope="module", autouse=True)
async def codes(stack: Stack) -> None:
    """Bring the promo codes of the catalogue's file to payments, as staff do."""
    file = PROJECT / "deploy" / "catalogues" / "booking.yaml"
    for promo in Catalogue.of(yaml.safe_load(file.read_text("utf-8"))).promo_codes:
        terms = promo.model_dump(mode="json", exclude={"code"})
        await put_code(stack, promo.code, PromoTerms.model_validate(terms))


async def refused(asked: Callable[[], Awaitable[object]], code: str) -> None:
    """Ask for what is refused with a code."""
    with pytest.raises(Refused, match=code):
        await asked()


@pytest.mark.parametrize(
    ("code", "pack", "price", "credits"),
    [
        ("WELCOME10", "small", "22.50 USD", {"purchased": "25"}),
        ("SPRING25", "medium", "75.00 USD", {"purchased": "105"}),
        ("HALF50", "large", "250.00 USD", {"purchased": "550"}),
        ("TAKE5", "small", "20.00 USD", {"purchased": "25"}),
        ("TAKE50", "large", "450.00 USD", {"purchased": "550"}),
        ("BONUS20", "medium", "100.00 USD", {"purchased": "105", "promotional": "20"}),
    ],
)
async def test_a_promo_code_makes_a_pack_cheaper_or_larger(
    customer: Customer, code: str, pack: str, price: str, credits: dict[str, str]
) -> None:
    purchase = await bought(customer, pack, promo_code=code.lower())
    assert str(purchase.quote.price) == price
    assert await by_kind(customer) == credits


async def test_a_promo_code_is_for_what_and_for_whom_the_catalogue_says(customer: Customer, stack: Stack) -> None:
    await refused(lambda: customer.buy("small", promo_code="HALF50"), "PAY003")
    await refused(lambda: customer.buy(amount_credits="60", promo_code="HALF50"), "PAY003")
    await refused(lambda: customer.buy(amount_credits="20", promo_code="TAKE5"), "PAY003")
    await refused(lambda: customer.buy("small", promo_code="TRIAL14"), "PAY003")
    await bought(customer, "small", promo_code="SPRING25")
    assert "18.75 USD" in await mail_to(stack, customer, "receipt")
    await refused(lambda: customer.buy("small", promo_code="SPRING25"), "PAY003")
    await refused(lambda: customer.buy("small", promo_code="WELCOME10"), "PAY003")
    assert await history(customer) == [("purchase", "25")]


async def test_the_oldest_credits_burn_first_of_whatever_kind(customer: Customer, worker: Worker) -> None:
    assert (await available(customer), await history(customer)) == ("0", [])
    own = await bought(customer, amount_money=usd(3000))
    assert (own.quote.credits, str(own.quote.price)) == (30_000_000, "30.00 USD")
    await bought(customer, "medium", promo_code="BONUS20")
    await worker.done("/v1/charges", {"amount": "40", "reference": {"type": "booking", "id": "1"}})
    assert await by_kind(customer) == {"purchased": "95", "promotional": "20"}


async def test_a_cancelled_booking_comes_back_for_a_year_and_a_payment_is_refunded_in_parts(
    customer: Customer, worker: Worker, stack: Stack
) -> None:
    small = await bought(customer, "small")
    booking = await worker.done("/v1/charges", {"amount": "20", "reference": {"type": "booking", "id": "2"}})
    for amount, back in (({"amount": "5"}, "5"), ({}, "20")):
        await worker.done(f"/v1/charges/{booking['id']}/refunds", amount)
        assert await by_kind(customer) == {"purchased": "5", "refunded": back}
    expiry = (await customer.balance()).next_expiry
    assert expiry is not None
    assert abs(expiry.at - datetime.now(UTC) - timedelta(days=365)) < timedelta(minutes=5)
    await refunded(customer, small, credits=5, amount=usd(500))
    assert (await customer.purchase(small)).state == "partially_refunded"
    assert await by_kind(customer) == {"refunded": "20"}
    assert "5.00 USD" in await mail_to(stack, customer, "refund")
    moved = ["purchase", "charge", "charge_refund", "charge_refund", "hold", "payment_refund"]
    assert [what for what, _ in await history(customer)] == moved


async def test_who_buys_keeps_to_the_limits(customer: Customer) -> None:
    await refused(lambda: customer.buy(amount_credits="9.99"), "PAY006")
    await refused(lambda: customer.buy(amount_credits="5000.01"), "PAY006")
    for _ in range(2):
        await bought(customer, amount_credits="5000")
    assert await available(customer) == "10000"
    await refused(lambda: customer.buy(amount_credits="10"), "PAY006")
    assert await history(customer) == [("purchase", "5000"), ("purchase", "5000")]


async def test_who_spends_keeps_to_the_limits(customer: Customer, worker: Worker) -> None:
    for credits in ("5000", "500"):
        await bought(customer, amount_credits=credits)
    await refused(lambda: worker.done("/v1/charges", {"amount": "5000.01"}), "PAY006")
    await worker.done("/v1/charges", {"amount": "5000"})
    many = await worker.done("/v1/charges/batch", {"charges": [{"amount": "1"}] * 100})
    assert [charge["status"] for charge in many["data"]] == [201] * 99 + [422]
    assert many["data"][-1]["problem"]["code"] == "PAY006"
    assert await available(customer) == "451"


async def a_while_later(stack: Stack, gateway: httpx2.AsyncClient, customer: Customer, *, days: int) -> None:
    """Have days pass, and the customer log in again."""
    move_clock(stack, minutes=days * 24 * 60)
    await asyncio.sleep(0.3)  # clocks look at their file ten times a second
    body = {"email": customer.session.user.email, "password": "correct horse battery"}
    customer.session = Session.model_validate_json(good(await gateway.post("/v1/auth/login", json=body)))


async def test_what_is_bought_expires_lot_by_lot_a_year_after_it_was_paid(
    customer: Customer, worker: Worker, stack: Stack, gateway: httpx2.AsyncClient
) -> None:
    """The last of the story: a year goes by."""
    pack = await bought(customer, "small")
    assert pack.quote.expires_after_days == 365
    await a_while_later(stack, gateway, customer, days=100)
    await bought(customer, amount_credits="30")
    await a_while_later(stack, gateway, customer, days=264)
    await worker.done("/v1/charges", {"amount": "5"})
    assert await available(customer) == "50"
    await a_while_later(stack, gateway, customer, days=2)
    assert await available(customer) == "30"
    await refused(lambda: worker.done("/v1/charges", {"amount": "30.000001"}), "PAY001")
    await worker.done("/v1/charges", {"amount": "30"})
    assert [credits for what, credits in await history(customer) if what == "expiry"] == ["-20"]
