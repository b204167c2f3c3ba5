"""Gift cards whose price goes back: void or, once somebody has redeemed them, taken from what he has left."""

from uuid import UUID

import pytest

from libs.contracts import ids
from libs.contracts.credits import MICRO
from libs.contracts.events import EarlyFraudWarning, GiftCardTakenBack
from libs.contracts.http.payments_v1 import Purchase
from services.credits.operations.payments import settle
from services.payments.domain.errors import InvalidCodeError
from tests.integration.payments.banks import careful, charge_of, disputed, switch, warned
from tests.integration.payments.gifts import bought, cards_of, code_of, redeem, redemptions, tell_due, told_all
from tests.integration.payments.shop import Shop
from tests.support.postings import spending


async def given(shop: Shop) -> tuple[Purchase, str]:
    """Buy a gift card and have its code told."""
    purchase = await bought(shop)
    await tell_due(shop)
    return purchase, await code_of(shop, purchase)


async def hear(shop: Shop, purchase: Purchase) -> None:
    """Hear what Stripe tells, in the order of its events and in the other one, and have the ledger hear of it."""
    events = [event for event in await shop.events(purchase) if event["type"].startswith(("charge.dispute", "refund"))]
    for event in [*events, *reversed(events)]:
        await shop.tell(event)
    told = [*await redemptions(shop), *await told_all(shop, GiftCardTakenBack)]
    await settle(shop.bank.ledger.pool, shop.bank.ledger.ledger, told)


async def has(shop: Shop, account: UUID) -> tuple[int, int]:
    balance = await shop.bank.ledger.balance(account)
    return balance.available // MICRO, balance.debt // MICRO


async def state_of(shop: Shop, purchase: Purchase) -> str:
    return (await cards_of(shop, purchase.account))[0].state


async def test_nobody_can_redeem_a_card_whose_payment_is_disputed(shop: Shop) -> None:
    purchase, code = await given(shop)
    await disputed(shop, purchase)
    await hear(shop, purchase)
    assert await state_of(shop, purchase) == "void"
    with pytest.raises(InvalidCodeError):
        await redeem(shop, code)
    assert await told_all(shop, GiftCardTakenBack) == []


@pytest.mark.parametrize(("outcome", "state"), [("won", "delivered"), ("lost", "void")])
async def test_it_is_good_again_once_the_dispute_is_won(shop: Shop, outcome: str, state: str) -> None:
    purchase, code = await given(shop)
    dispute = await disputed(shop, purchase, amount=400)
    await hear(shop, purchase)
    await switch(shop, f"disputes/{dispute}/close", {"outcome": outcome})
    await hear(shop, purchase)
    assert await state_of(shop, purchase) == state
    if outcome == "won":
        assert not (await redeem(shop, code)).replayed


async def test_its_code_is_not_told_while_it_is_disputed(shop: Shop) -> None:
    purchase = await bought(shop)
    await disputed(shop, purchase, inquiry=True)
    await hear(shop, purchase)
    assert await tell_due(shop) == 0


async def test_of_a_redeemed_card_what_is_left_goes_back_and_what_is_spent_is_nobodys_debt(shop: Shop) -> None:
    purchase, code = await given(shop)
    grace = ids.new_id()
    await redeem(shop, code, grace)
    await hear(shop, purchase)
    await shop.bank.ledger.apply(spending(grace, 20 * MICRO))
    dispute = await disputed(shop, purchase)
    await hear(shop, purchase)
    assert (await has(shop, grace), await state_of(shop, purchase)) == ((0, 0), "redeemed")
    assert [event.credits for event in await told_all(shop, GiftCardTakenBack)] == [50 * MICRO]
    await switch(shop, f"disputes/{dispute}/close", {"outcome": "won"})
    await hear(shop, purchase)
    assert await has(shop, grace) == (30, 0)


async def test_of_a_redeemed_card_no_more_goes_back_than_the_bank_took(shop: Shop) -> None:
    purchase, code = await given(shop)
    grace = ids.new_id()
    await redeem(shop, code, grace)
    await disputed(shop, purchase, amount=333)
    await hear(shop, purchase)
    balance = await shop.bank.ledger.balance(grace)
    assert balance.available == 50 * MICRO - 50 * MICRO * 333 // 999


async def test_while_a_bank_only_asks_a_redeemed_card_stays_good(shop: Shop) -> None:
    purchase, code = await given(shop)
    grace = ids.new_id()
    await redeem(shop, code, grace)
    await disputed(shop, purchase, inquiry=True)
    await hear(shop, purchase)
    assert (await has(shop, grace), await told_all(shop, GiftCardTakenBack)) == ((50, 0), [])


async def test_an_early_warning_that_refunds_makes_the_card_void_at_once(shop: Shop) -> None:
    wary = careful(shop, "refund")
    purchase, code = await given(wary)
    await warned(wary, purchase)
    assert await state_of(shop, purchase) == "void"
    with pytest.raises(InvalidCodeError):
        await redeem(shop, code)


async def test_an_early_warning_of_a_redeemed_card_is_told_and_refunds_nothing(shop: Shop) -> None:
    wary = careful(shop, "refund")
    purchase, code = await given(wary)
    await redeem(wary, code)
    await warned(wary, purchase)
    assert [event.refund for event in await told_all(shop, EarlyFraudWarning)] == [None]
    assert await shop.refunded(purchase) == []


async def at_the_dashboard(shop: Shop, purchase: Purchase, amount: int | None = None) -> str:
    """Refund it past us; gives the refund's id."""
    told = await switch(shop, f"charges/{await charge_of(shop, purchase)}/refund", {"amount": amount} if amount else {})
    return str(told["id"])


async def test_what_the_dashboard_gives_back_of_a_redeemed_card_goes_back_until_that_fails(shop: Shop) -> None:
    purchase, code = await given(shop)
    grace = ids.new_id()
    await redeem(shop, code, grace)
    await hear(shop, purchase)
    await shop.bank.ledger.apply(spending(grace, 20 * MICRO))
    refund = await at_the_dashboard(shop, purchase)
    await hear(shop, purchase)
    assert (await has(shop, grace), await state_of(shop, purchase)) == ((0, 0), "redeemed")
    await switch(shop, f"refunds/{refund}/fail", {"failure_reason": "declined"})
    await hear(shop, purchase)
    assert await has(shop, grace) == (30, 0)
    assert [event.credits for event in await told_all(shop, GiftCardTakenBack)] == [50 * MICRO, 0]


async def test_a_part_that_the_dashboard_gave_back_and_one_that_a_bank_took_of_a_redeemed_card_add_up(
    shop: Shop,
) -> None:
    purchase, code = await given(shop)
    grace = ids.new_id()
    await redeem(shop, code, grace)
    await at_the_dashboard(shop, purchase, 333)
    await hear(shop, purchase)
    dispute = await disputed(shop, purchase, amount=333)
    await hear(shop, purchase)
    assert (await shop.bank.ledger.balance(grace)).available == 50 * MICRO - 50 * MICRO * 666 // 999
    await switch(shop, f"disputes/{dispute}/close", {"outcome": "won"})
    await hear(shop, purchase)
    assert (await shop.bank.ledger.balance(grace)).available == 50 * MICRO - 50 * MICRO * 333 // 999
