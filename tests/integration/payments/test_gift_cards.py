"""Gift cards: paid for as anything else is, one voucher for somebody else, void once its price went back."""

import asyncio
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from libs.chassis.errors import DomainError, InvalidRequestError, NotFoundError, UnavailableError
from libs.contracts import ids
from libs.contracts.credits import MICRO
from libs.contracts.events import GiftCardIssued
from services.payments.domain.errors import (
    CurrencyNotOfferedError,
    GiftCardPartError,
    GiftCardRedeemedError,
    InvalidCodeError,
    ReturnAddressRefusedError,
    UnknownGiftCardError,
)
from services.payments.domain.stripe_objects import StripeRefund
from services.payments.domain.vouchers import Codes
from services.payments.operations import gift_cards, settlement, vouchers
from services.payments.store import purchases
from tests.integration.payments.gifts import (
    CODES,
    ORDER,
    SOON,
    bought,
    buy,
    cards_of,
    code_of,
    everything_stored,
    redeem,
    redemptions,
    tell_due,
    told_all,
)
from tests.integration.payments.shop import RETURN_URL, Shop, a_buyer, usd


async def test_a_gift_card_that_is_paid_brings_the_buyer_a_receipt_and_no_lots(shop: Shop) -> None:
    buyer = a_buyer()
    purchase = await bought(shop, buyer)
    assert (purchase.state, purchase.quote.description) == ("succeeded", "Gift card: 50 credits")
    [paid] = await shop.successes(purchase)
    assert (paid.paid, paid.lots, paid.gift_card) == (usd(999), [], purchase.gift_card)
    [card] = await cards_of(shop, buyer.account)
    assert (card.id, card.purchase, card.state) == (purchase.gift_card, purchase.id, "scheduled")


async def test_its_code_is_told_once_and_brings_somebody_else_what_was_paid_for(shop: Shop) -> None:
    buyer, grace = a_buyer(), ids.new_id()
    purchase = await bought(shop, buyer)
    assert await tell_due(shop) == 1
    assert await tell_due(shop) == 0
    [told] = await told_all(shop, GiftCardIssued)
    assert (told.account, told.gift_card, told.credits) == (buyer.account, purchase.gift_card, 50 * MICRO)
    assert (told.recipient_email, told.sender_name, told.message) == ("grace@example.com", "Ada Buyer", "For you")
    await redeem(shop, await code_of(shop, purchase), grace)
    [redeemed] = await redemptions(shop)
    assert (redeemed.account, redeemed.kind, redeemed.credits) == (grace, "purchased", 50 * MICRO)
    assert (redeemed.paid, redeemed.description) == (usd(999), "Gift card: 50 credits")
    assert [card.state for card in await cards_of(shop, buyer.account)] == ["redeemed"]


async def test_its_code_is_readable_nowhere(shop: Shop) -> None:
    purchase = await bought(shop)
    await tell_due(shop)
    code = (await code_of(shop, purchase)).replace("-", "")
    assert code not in (await everything_stored(shop)).upper().replace("-", "")


async def test_the_payments_events_in_every_order_and_twice_each_make_one_card(shop: Shop) -> None:
    types = ("payment_intent.succeeded", "charge.succeeded", "checkout.session.completed")
    for order in permutations(range(len(types))):
        buyer = a_buyer()
        purchase = await buy(shop, buyer, method="checkout", return_url=RETURN_URL)
        await shop.pay_page(purchase)
        events = await shop.events(purchase, *types)
        for place in order:
            await shop.tell(events[place])
            await shop.tell(events[place])
        assert len(await cards_of(shop, buyer.account)) == 1, order
        assert len(await shop.successes(purchase)) == 1, order


async def test_a_gift_card_that_is_not_paid_is_none(shop: Shop) -> None:
    buyer = a_buyer()
    purchase = await buy(shop, buyer)
    assert await shop.pay(purchase, "pm_card_chargeDeclined") == "declined"
    await shop.confirm(purchase)
    assert await cards_of(shop, buyer.account) == []
    assert await tell_due(shop) == 0
    assert (await shop.cancel(purchase)).state == "canceled"


async def test_twins_under_one_key_buy_one_card_by_one_payment(shop: Shop) -> None:
    buyer = a_buyer()
    both = await asyncio.gather(*(buy(shop, buyer, key="k") for _ in range(5)))
    assert len({(purchase.id, purchase.gift_card, purchase.client_secret) for purchase in both}) == 1
    assert len(await shop.at_stripe(buyer)) == 1


async def test_its_code_is_told_when_it_is_due_and_not_before(shop: Shop) -> None:
    buyer = a_buyer()
    later = shop.clock.now() + timedelta(days=30)
    purchase = await bought(shop, buyer, deliver_at=later)
    assert await tell_due(shop) == 0
    [card] = await cards_of(shop, buyer.account)
    assert (card.state, card.deliver_at) == ("scheduled", later)
    shop.travel(timedelta(days=30) + SOON)
    assert sum(await asyncio.gather(*(tell_due(shop) for _ in range(5)))) == 1
    [card] = await cards_of(shop, buyer.account)
    assert card.state == "delivered"
    assert not (await redeem(shop, await code_of(shop, purchase))).replayed


async def test_a_card_that_waits_for_its_day_needs_no_secret_of_today(shop: Shop) -> None:
    purchase = await bought(shop, deliver_at=shop.clock.now() + timedelta(days=30))
    for early in (CODES.of(purchase.gift_card or ids.new_id()), "no code"):
        with pytest.raises(InvalidCodeError):
            await redeem(shop, early)
    shop.travel(timedelta(days=30) + SOON)
    newer = Codes(["a newer secret, the older is gone"])
    assert await tell_due(shop, newer) == 1
    assert not (await redeem(shop, await code_of(shop, purchase), codes=newer)).replayed


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"product": "gift-1"}, UnknownGiftCardError),
        ({"currency": "eur"}, CurrencyNotOfferedError),
        ({"method": "checkout", "return_url": "https://evil.example/"}, ReturnAddressRefusedError),
    ],
)
async def test_an_order_that_cannot_be_filled_leaves_nothing(
    shop: Shop, wrong: dict[str, Any], error: type[Exception]
) -> None:
    buyer = a_buyer()
    with pytest.raises(error):
        await buy(shop, buyer, key="k", **wrong)
    with pytest.raises(InvalidRequestError):
        await buy(shop, buyer, key="k", deliver_at=shop.clock.now() + timedelta(days=400))
    assert await shop.states() == []
    assert (await buy(shop, buyer, key="k")).state == "created"


async def test_a_refund_makes_the_card_void_before_any_money_goes_back(shop: Shop) -> None:
    buyer = a_buyer()
    purchase = await bought(shop, buyer)
    await tell_due(shop)
    await shop.refund(purchase, caller="user:ada")
    assert [card.state for card in await cards_of(shop, buyer.account)] == ["void"]
    with pytest.raises(InvalidCodeError):
        await redeem(shop, await code_of(shop, purchase))
    [told] = await shop.refunded(purchase)
    assert (told.refunded, told.take_back) == (usd(999), [])


async def test_the_code_of_a_card_that_is_void_is_not_told(shop: Shop) -> None:
    purchase = await bought(shop)
    await shop.refund(purchase)
    assert await tell_due(shop) == 0


@pytest.mark.parametrize("caller", ["user:ada", "staff:ada"])
async def test_a_redeemed_card_is_not_refunded(shop: Shop, caller: str) -> None:
    purchase = await bought(shop)
    await tell_due(shop)
    await redeem(shop, await code_of(shop, purchase))
    with pytest.raises(GiftCardRedeemedError):
        await shop.refund(purchase, caller=caller)
    assert (await shop.show(purchase)).state == "succeeded"
    assert await shop.refunded(purchase) == []


async def test_redeeming_and_refunding_at_once_end_in_one_of_both(shop: Shop) -> None:
    for _ in range(5):
        buyer = a_buyer()
        purchase = await bought(shop, buyer)
        await tell_due(shop)
        code = await code_of(shop, purchase)
        redeemed, refunded = await asyncio.gather(redeem(shop, code), shop.refund(purchase), return_exceptions=True)
        assert isinstance(redeemed, InvalidCodeError) != isinstance(refunded, GiftCardRedeemedError)
        [card] = await cards_of(shop, buyer.account)
        assert card.state == ("void" if isinstance(redeemed, InvalidCodeError) else "redeemed")


async def test_a_card_is_refunded_whole_or_not_at_all(shop: Shop) -> None:
    purchase = await bought(shop)
    with pytest.raises(GiftCardPartError):
        await shop.refund(purchase, 500)
    await tell_due(shop)
    assert not (await redeem(shop, await code_of(shop, purchase))).replayed


async def test_a_refund_that_never_was_makes_the_card_good_again(shop: Shop) -> None:
    buyer = a_buyer()
    purchase = await bought(shop, buyer)
    await tell_due(shop)
    await shop.faults({"kind": "reset_before", "path": "/v1/refunds", "method": "POST", "count": 1})
    with pytest.raises(UnavailableError):
        await shop.refund(purchase, key="k")
    assert [card.state for card in await cards_of(shop, buyer.account)] == ["void"]
    shop.travel(timedelta(hours=25))
    with pytest.raises(DomainError) as refused:
        await shop.refund(purchase, key="k")
    assert refused.value.code.code == "PAY032"
    assert [card.state for card in await cards_of(shop, buyer.account)] == ["delivered"]
    assert not (await redeem(shop, await code_of(shop, purchase))).replayed


async def test_a_refund_from_stripes_dashboard_makes_the_card_void(shop: Shop, dashboard: Any) -> None:
    buyer = a_buyer()
    purchase = await bought(shop, buyer)
    await dashboard.v1.refunds.create_async({"payment_intent": await shop.payment_intent(purchase)})
    for event in await shop.events(purchase, "refund.created", "charge.refunded"):
        await shop.tell(event)
    assert [card.state for card in await cards_of(shop, buyer.account)] == ["void"]
    assert (await shop.show(purchase)).state == "refunded"


async def test_a_refund_that_fails_after_it_succeeded_makes_the_card_good_again(shop: Shop) -> None:
    buyer = a_buyer()
    purchase = await bought(shop, buyer)
    states = []
    for status in ("pending", "succeeded", "failed"):
        async with shop.pool.transaction() as conn:
            locked = await purchases.lock(conn, purchase.id)  # type: ignore[arg-type]
            told = StripeRefund(id=f"re_{locked.id}", amount=999, currency="usd", status=status)
            await settlement.apply_refunds(conn, locked, [told], at=shop.clock.now())
        states += [card.state for card in await cards_of(shop, buyer.account)]
    assert states == ["void", "void", "scheduled"]


async def test_a_redeemed_card_that_is_refunded_at_stripes_dashboard_stays_redeemed(shop: Shop, dashboard: Any) -> None:
    buyer = a_buyer()
    purchase = await bought(shop, buyer)
    await tell_due(shop)
    await redeem(shop, await code_of(shop, purchase))
    await dashboard.v1.refunds.create_async({"payment_intent": await shop.payment_intent(purchase)})
    for event in await shop.events(purchase, "refund.created", "charge.refunded"):
        await shop.tell(event)
    assert [card.state for card in await cards_of(shop, buyer.account)] == ["redeemed"]
    assert [event.take_back for event in await shop.refunded(purchase)] == [[]]


async def test_the_rest_of_what_the_dashboard_gave_back_in_part_can_be_refunded(shop: Shop, dashboard: Any) -> None:
    buyer = a_buyer()
    purchase = await bought(shop, buyer)
    intent = await shop.payment_intent(purchase)
    await dashboard.v1.refunds.create_async({"payment_intent": intent, "amount": 500})
    for event in await shop.events(purchase, "refund.created"):
        await shop.tell(event)
    assert [card.state for card in await cards_of(shop, buyer.account)] == ["scheduled"]
    assert (await shop.refund(purchase)).amount == usd(499)
    assert [card.state for card in await cards_of(shop, buyer.account)] == ["void"]


async def test_staff_cannot_void_what_somebody_has_paid_for(shop: Shop) -> None:
    purchase = await bought(shop)
    with pytest.raises(NotFoundError):
        await vouchers.void(shop.pool, purchase.gift_card or ids.new_id(), caller="staff:eve", at=shop.clock.now())


async def test_cards_are_listed_newest_first_and_only_ones_own(shop: Shop) -> None:
    buyer = a_buyer()
    made = [(await bought(shop, buyer)).gift_card for _ in range(3)]
    await bought(shop)
    first = await gift_cards.list_gift_cards(shop.pool, buyer.account, limit=2, cursor=None)
    rest = await gift_cards.list_gift_cards(shop.pool, buyer.account, limit=2, cursor=first.next_cursor)
    assert [card.id for card in (*first.data, *rest.data)] == made[::-1]
    assert {card.recipient_email for card in first.data} == {ORDER["recipient"]["email"]}  # type: ignore[index]


async def test_no_card_can_be_issued_twice_for_one_purchase(shop: Shop) -> None:
    purchase = await bought(shop)
    async with shop.pool.transaction() as conn:
        known = await purchases.lock(conn, purchase.id)  # type: ignore[arg-type]
    assert known.gift_card == purchase.gift_card
    for event in await shop.events(purchase, "payment_intent.succeeded") * 3:
        await shop.tell(event)
    assert len(await cards_of(shop, purchase.account)) == 1
