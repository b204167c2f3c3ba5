"""Paying with a saved card: at once, at most once, and with the buyer there to answer his bank."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from stripe import StripeClient

from libs.chassis.errors import DomainError, UnavailableError
from libs.contracts import ids
from libs.contracts.http.payments_v1 import Buyer, Purchase, PurchaseOrder
from services.payments.domain.errors import NoSuchCardError
from services.payments.operations.resolving import cancel_abandoned, look_at_waiting, resolve_purchases
from services.payments.operations.seeing_to_cards import PATIENCE
from tests.integration.payments.shop import RETURN_URL, Shop, a_buyer
from tests.integration.payments.test_dying import STARTING, Arm, DiedError, arm
from tests.integration.payments.test_unknown_outcomes import KINDS, fault
from tests.integration.payments.wallets import (
    ASKS_ALWAYS,
    DECLINED_WHEN_CHARGED,
    MASTERCARD,
    answer_bank,
    come_round,
    digits,
    events_of,
    method_of,
    remove,
    save,
    saved,
)

__all__ = ["arm"]

CONFIRM = "/v1/payment_intents/*/confirm"
DYING = [point for point in STARTING if "customer" not in point]  # who has a card is known to Stripe
DYING += ["payments.confirm.before_look", "payments.look.before_commit", "payments.look.after_commit"]


async def buy(shop: Shop, buyer: Buyer, *, key: str | None = None, **order: Any) -> Purchase:
    """Buy the pro pack with the default card, if nothing else is said."""
    return await shop.start(buyer, key=key, **{"pack": "pro", "payment_method": "default", **order})


async def insist(shop: Shop, buyer: Buyer, key: str) -> Purchase:
    """Buy as somebody does who tries again under his key as long as he is told that he may."""
    return await shop.start_insisting(buyer, key=key, pack="pro", payment_method="default")


async def charges(shop: Shop, buyer: Buyer) -> list[str]:
    """Tell how the payments of a buyer stand at Stripe."""
    return [payment["status"] for payment in await shop.at_stripe(buyer)]


async def test_the_default_card_pays_at_once(shop: Shop) -> None:
    buyer = a_buyer()
    await save(shop, buyer)
    purchase = await buy(shop, buyer)
    assert (purchase.state, purchase.client_secret) == ("succeeded", None)
    assert len(await shop.successes(purchase)) == 1
    for event in await shop.events(purchase):
        await shop.tell(event)
    assert await charges(shop, buyer) == ["succeeded"]
    assert len(await shop.successes(purchase)) == 1


async def test_a_named_card_pays_and_no_other(shop: Shop, dashboard: StripeClient) -> None:
    buyer = a_buyer()
    await save(shop, buyer)
    other = await save(shop, buyer, MASTERCARD)
    purchase = await buy(shop, buyer, payment_method=ids.show("payment_method", other.id))
    paid = await dashboard.v1.payment_intents.retrieve_async(await shop.payment_intent(purchase) or "")
    assert paid.payment_method == await method_of(shop, other)


async def test_nobody_pays_with_anothers_card_or_one_that_is_not_there(shop: Shop) -> None:
    buyer, stranger = a_buyer(), a_buyer()
    card = await save(shop, buyer)
    named = ids.show("payment_method", card.id)
    for payment_method in (named, "default", ids.show("payment_method", ids.new_id())):
        with pytest.raises(NoSuchCardError) as refused:
            await buy(shop, stranger, key="k", payment_method=payment_method)
        assert refused.value.code.status == 404
    await remove(shop, card, buyer.account)
    for payment_method in (named, "default"):
        with pytest.raises(NoSuchCardError):
            await buy(shop, buyer, payment_method=payment_method)
    assert await shop.states() == []


@pytest.mark.parametrize(
    "order",
    [
        {"payment_method": "default", "save_card": True},
        {"payment_method": "default", "method": "checkout", "return_url": RETURN_URL},
        {"payment_method": "pm_card_visa"},
        {"payment_method": "4242424242424242"},
        {"card": {"number": "4242424242424242"}},
    ],
)
def test_an_order_that_makes_no_sense_cannot_be_written(order: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PurchaseOrder.model_validate({"pack": "pro", **order})


@pytest.mark.parametrize(("outcome", "ends"), [("pass", "succeeded"), ("fail", "failed")])
async def test_a_bank_that_asks_is_answered_in_the_browser(shop: Shop, outcome: str, ends: str) -> None:
    buyer = a_buyer()
    await save(shop, buyer, ASKS_ALWAYS)
    purchase = await buy(shop, buyer, key="k")
    assert purchase.state == "requires_action"
    assert await buy(shop, buyer, key="k") == purchase
    intent = await shop.payment_intent(purchase) or ""
    await answer_bank(shop, intent, purchase.client_secret, outcome)
    assert (await shop.confirm(purchase)).state == ends
    assert len(await shop.successes(purchase)) == (ends == "succeeded")


async def test_a_declined_card_is_told_in_plain_words_and_another_may_pay(shop: Shop) -> None:
    buyer = a_buyer()
    await save(shop, buyer, DECLINED_WHEN_CHARGED)
    for _ in range(2):
        with pytest.raises(DomainError) as refused:
            await buy(shop, buyer, key="k")
        assert (refused.value.code.code, refused.value.code.status) == ("PAY002", 402)
        assert refused.value.detail == "Your card was declined."
    [purchase] = await shop.listed(buyer)
    assert (purchase.state, purchase.failure) == ("failed", "Your card was declined.")
    assert refused.value.facts == {"purchase": ids.show("purchase", purchase.id or ids.new_id())}
    failures = [event for event in await shop.told(purchase) if event.type == "scrip.payment.failed.v1"]
    assert len(failures) == 1
    assert await shop.pay(purchase) == "succeeded"
    assert (await shop.confirm(purchase)).state == "succeeded"
    assert await charges(shop, buyer) == ["succeeded"]


async def test_a_card_that_was_removed_at_the_dashboard_charges_nobody_and_is_forgotten(
    shop: Shop, dashboard: StripeClient
) -> None:
    buyer = a_buyer()
    await dashboard.v1.payment_methods.detach_async(await method_of(shop, await save(shop, buyer)))
    with pytest.raises(DomainError) as refused:
        await buy(shop, buyer)
    assert (refused.value.code.code, "no longer" in refused.value.detail) == ("PAY002", True)
    assert await charges(shop, buyer) == []
    assert await come_round(shop) == (0, 1)
    assert await saved(shop, buyer) == []


@pytest.mark.parametrize("method", ["payment_intent", "checkout"])
async def test_the_card_that_somebody_pays_with_is_saved_if_he_wishes(shop: Shop, method: str) -> None:
    buyer = a_buyer()
    await shop.paid(buyer, pack="pro")
    assert await come_round(shop) == (0, 0)
    purchase = await shop.start(buyer, pack="pro", method=method, return_url=RETURN_URL, save_card=True)
    await (shop.pay(purchase) if method == "payment_intent" else shop.pay_page(purchase))
    assert (await shop.confirm(purchase)).state == "succeeded"
    assert await come_round(shop) == (0, 1)
    assert await digits(shop, buyer) == [("4242", True)]
    assert (await buy(shop, buyer)).state == "succeeded"


async def test_the_card_of_a_payment_is_known_by_its_event_too(shop: Shop) -> None:
    buyer = a_buyer()
    await shop.pay(await shop.start(buyer, pack="pro", save_card=True))
    [event] = await events_of(shop, buyer, "payment_method.attached")
    await shop.tell(event)
    assert await digits(shop, buyer) == [("4242", True)]


async def test_twins_pay_once(shop: Shop) -> None:
    buyer = a_buyer()
    await save(shop, buyer)
    first, *others = await asyncio.gather(*(insist(shop, buyer, "k") for _ in range(6)))
    assert all(other == first for other in others)
    assert first.state == "succeeded"
    assert await charges(shop, buyer) == ["succeeded"]
    assert len(await shop.successes(first)) == 1


async def test_twins_are_declined_once(shop: Shop, dashboard: StripeClient) -> None:
    buyer = a_buyer()
    await save(shop, buyer, DECLINED_WHEN_CHARGED)
    answers = await asyncio.gather(*(insist(shop, buyer, "k") for _ in range(4)), return_exceptions=True)
    assert [answer.code.code for answer in answers if isinstance(answer, DomainError)] == ["PAY002"] * 4
    [purchase] = await shop.listed(buyer)
    assert len([event for event in await shop.told(purchase) if event.type == "scrip.payment.failed.v1"]) == 1
    intent = await shop.payment_intent(purchase) or ""
    assert len((await dashboard.v1.charges.list_async({"payment_intent": intent})).data) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_lost_answer_never_charges_twice(shop: Shop, kind: str) -> None:
    buyer = a_buyer()
    await save(shop, buyer)
    await shop.faults(fault(kind, CONFIRM))
    with pytest.raises(UnavailableError) as unknown:
        await buy(shop, buyer, key="k")
    assert str(unknown.value.facts["purchase"]).startswith("pur_")
    assert await shop.states() == ["unknown"]
    purchase = await insist(shop, buyer, "k")
    assert purchase.state == "succeeded"
    assert await charges(shop, buyer) == ["succeeded"]
    assert len(await shop.successes(purchase)) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_lost_answer_is_resolved_though_nobody_retries_and_nobody_is_charged_later(
    shop: Shop, kind: str
) -> None:
    buyer = a_buyer()
    await save(shop, buyer)
    await shop.faults(fault(kind, CONFIRM))
    with pytest.raises(UnavailableError):
        await buy(shop, buyer, key="k")
    await shop.faults()
    shop.travel(PATIENCE)
    assert await look_at_waiting(shop.pool, shop.stripe, clock=shop.clock) == 1
    charged = kind.endswith("_after")
    assert await shop.states() == ["succeeded" if charged else "created"]
    shop.travel(timedelta(hours=25))
    assert await cancel_abandoned(shop.pool, shop.stripe, clock=shop.clock) == (not charged)
    assert await shop.states() == ["succeeded" if charged else "canceled"]
    assert (await buy(shop, buyer, key="k")).state == ("succeeded" if charged else "canceled")
    assert await charges(shop, buyer) == ["succeeded" if charged else "canceled"]


async def test_while_stripe_cannot_be_read_a_confirmed_purchase_is_unknown(shop: Shop) -> None:
    buyer = a_buyer()
    await save(shop, buyer)
    await shop.faults({"kind": "reset_before", "method": "GET", "path": "/v1/payment_intents/*", "count": 1})
    with pytest.raises(UnavailableError):
        await buy(shop, buyer, key="k")
    assert await shop.states() == ["unknown"]
    assert (await buy(shop, buyer, key="k")).state == "succeeded"
    assert await charges(shop, buyer) == ["succeeded"]


@pytest.mark.parametrize("point", DYING)
async def test_a_payment_that_died_is_made_once_when_it_is_asked_for_again(shop: Shop, arm: Arm, point: str) -> None:
    buyer = a_buyer()
    await save(shop, buyer)
    arm(point)
    with pytest.raises(DiedError):
        await buy(shop, buyer, key="k")
    purchase = await buy(shop, buyer, key="k")
    assert purchase.state == "succeeded"
    assert purchase == await buy(shop, buyer, key="k")
    assert await charges(shop, buyer) == ["succeeded"]
    assert len(await shop.successes(purchase)) == 1


async def test_nobodys_card_is_charged_after_he_has_gone(shop: Shop, arm: Arm) -> None:
    buyer = a_buyer()
    await save(shop, buyer)
    arm("payments.start.after_commit")
    with pytest.raises(DiedError):
        await buy(shop, buyer, key="k")
    shop.travel(timedelta(hours=1))
    assert await resolve_purchases(shop.pool, shop.stripe, clock=shop.clock) == 1
    await look_at_waiting(shop.pool, shop.stripe, clock=shop.clock)
    assert await shop.states() == ["created"]
    shop.travel(timedelta(hours=25))
    assert await cancel_abandoned(shop.pool, shop.stripe, clock=shop.clock) == 1
    assert await charges(shop, buyer) == ["canceled"]
    assert (await buy(shop, buyer, key="k")).state == "canceled"
