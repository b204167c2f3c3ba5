"""Disputes: what a bank may take is set aside, what it has taken goes back, and comes again when it is won."""

import random
from itertools import permutations
from typing import Any

import pytest

from libs.chassis.errors import DomainError
from libs.contracts import ids
from libs.contracts.credits import MICRO
from libs.contracts.events import DisputeClosed, DisputeOpened, DisputeUpdated, EarlyFraudWarning
from libs.contracts.events.base import Event
from libs.contracts.http.payments_v1 import Purchase
from services.credits.operations.payments import Told, settle
from services.payments.domain.purchases import Sight
from services.payments.domain.stripe_objects import StripeDispute
from services.payments.operations import settlement
from services.payments.operations.resolving import PATIENCE
from services.payments.store import purchases
from tests.integration.payments.banks import careful, disputed, news, switch, warned
from tests.integration.payments.shop import Shop, usd
from tests.support.postings import spending


async def bought(shop: Shop) -> Purchase:
    """Buy 50 credits for 9.99, which the ledger hears of."""
    purchase = await shop.paid(pack="starter")
    await shop.tell_credits(purchase)
    return purchase


async def has(shop: Shop, purchase: Purchase) -> tuple[int, int, int]:
    balance = await shop.bank.ledger.balance(purchase.account)
    return balance.available // MICRO, balance.held // MICRO, balance.debt // MICRO


async def told(shop: Shop, purchase: Purchase, *kinds: type[Event]) -> list[Any]:
    return [event for event in await shop.told(purchase) if isinstance(event, kinds)]


async def test_what_a_bank_has_taken_goes_back_and_what_is_spent_of_it_is_a_debt(shop: Shop) -> None:
    purchase = await bought(shop)
    await shop.bank.ledger.apply(spending(purchase.account, 20 * MICRO))
    await disputed(shop, purchase, reason="fraudulent")
    await news(shop, purchase)
    assert (await has(shop, purchase), (await shop.show(purchase)).state) == ((0, 0, 20), "disputed")
    [opened] = await told(shop, purchase, DisputeOpened)
    assert (opened.amount, opened.reason, opened.set_aside) == (usd(999), "fraudulent", [])


async def test_a_dispute_that_is_won_brings_the_credits_back(shop: Shop) -> None:
    purchase = await bought(shop)
    dispute = await disputed(shop, purchase)
    await news(shop, purchase)
    assert await has(shop, purchase) == (0, 0, 0)
    await switch(shop, f"disputes/{dispute}/close", {"outcome": "won"})
    await news(shop, purchase)
    assert (await has(shop, purchase), (await shop.show(purchase)).state) == ((50, 0, 0), "succeeded")
    assert [event.outcome for event in await told(shop, purchase, DisputeClosed)] == ["won"]


async def test_a_dispute_that_is_lost_keeps_them(shop: Shop) -> None:
    purchase = await bought(shop)
    dispute = await disputed(shop, purchase, amount=400)
    await news(shop, purchase)
    await switch(shop, f"disputes/{dispute}/close", {"outcome": "lost"})
    await news(shop, purchase)
    balance = await shop.bank.ledger.balance(purchase.account)
    assert (balance.available, balance.held, balance.debt) == (50 * MICRO - 50 * MICRO * 400 // 999, 0, 0)
    assert (await shop.show(purchase)).state == "disputed"
    with pytest.raises(DomainError) as refused:
        await shop.refund(purchase)
    assert refused.value.code.code == "PAY018"


async def test_while_a_bank_only_asks_the_credits_are_set_aside_and_then_free(shop: Shop) -> None:
    purchase = await bought(shop)
    await shop.bank.ledger.apply(spending(purchase.account, 20 * MICRO))
    dispute = await disputed(shop, purchase, inquiry=True)
    await news(shop, purchase)
    assert (await has(shop, purchase), (await shop.show(purchase)).state) == ((0, 30, 0), "disputed")
    await switch(shop, f"disputes/{dispute}/close", {"outcome": "warning_closed"})
    await news(shop, purchase)
    assert (await has(shop, purchase), (await shop.show(purchase)).state) == ((30, 0, 0), "succeeded")


async def test_an_inquiry_that_becomes_a_dispute_takes_what_was_set_aside(shop: Shop) -> None:
    purchase = await bought(shop)
    dispute = await disputed(shop, purchase, inquiry=True)
    await news(shop, purchase)
    await switch(shop, f"disputes/{dispute}/escalate")
    await news(shop, purchase)
    assert await has(shop, purchase) == (0, 0, 0)
    assert [event.withdrawn for event in await told(shop, purchase, DisputeUpdated)] == [True]
    await switch(shop, f"disputes/{dispute}/close", {"outcome": "won"})
    await news(shop, purchase)
    assert await has(shop, purchase) == (50, 0, 0)


async def test_refunds_and_disputes_together_take_back_no_more_than_was_granted(shop: Shop) -> None:
    purchase = await bought(shop)
    await shop.refund(purchase, 300)
    dispute = await disputed(shop, purchase, amount=699)
    await news(shop, purchase)
    assert await has(shop, purchase) == (0, 0, 0)
    await switch(shop, f"disputes/{dispute}/close", {"outcome": "won"})
    await news(shop, purchase)
    balance = await shop.bank.ledger.balance(purchase.account)
    assert balance.available == 50 * MICRO - 50 * MICRO * 300 // 999
    assert (await shop.show(purchase)).state == "partially_refunded"


@pytest.mark.parametrize("outcome", ["won", "lost"])
async def test_in_whatever_order_stripe_tells_of_a_dispute_it_ends_the_same(shop: Shop, outcome: str) -> None:
    purchase = await bought(shop)
    dispute = await disputed(shop, purchase)
    await switch(shop, f"disputes/{dispute}/close", {"outcome": outcome})
    events = [event for event in await shop.events(purchase) if event["type"].startswith("charge.dispute")]
    assert len(events) >= 3
    for order in list(permutations(events))[:12]:
        for event in order:
            assert await shop.tell(event) == "applied"
    await shop.tell_credits(purchase)
    assert await has(shop, purchase) == ((50, 0, 0) if outcome == "won" else (0, 0, 0))
    assert len(await told(shop, purchase, DisputeOpened)) == 1
    assert [event.outcome for event in await told(shop, purchase, DisputeClosed)] == [outcome]


@pytest.mark.parametrize("seed", range(4))
async def test_in_whatever_order_the_ledger_hears_of_it_the_totals_decide(shop: Shop, seed: int) -> None:
    dice = random.Random(seed)
    purchase = await bought(shop)
    dispute = await disputed(shop, purchase, inquiry=True)
    await news_at_stripe(shop, purchase)
    await switch(shop, f"disputes/{dispute}/escalate")
    await news_at_stripe(shop, purchase)
    await switch(shop, f"disputes/{dispute}/close", {"outcome": dice.choice(["won", "lost"])})
    await news_at_stripe(shop, purchase)
    events = [event for event in await shop.told(purchase) if isinstance(event, Told)]
    shuffled = [dice.choice(events) for _ in range(12)] + dice.sample(events, len(events))
    for event in shuffled:
        await settle(shop.bank.ledger.pool, shop.bank.ledger.ledger, [event])
    won = (await shop.show(purchase)).state == "succeeded"
    assert await has(shop, purchase) == ((50, 0, 0) if won else (0, 0, 0))


async def news_at_stripe(shop: Shop, purchase: Purchase) -> None:
    for event in await shop.events(purchase):
        if event["type"].startswith("charge.dispute"):
            await shop.tell(event)


async def test_an_early_warning_of_fraud_is_told_once(shop: Shop) -> None:
    purchase = await bought(shop)
    await warned(shop, purchase)
    [warning] = await told(shop, purchase, EarlyFraudWarning)
    assert (warning.refund, (await shop.show(purchase)).state) == (None, "succeeded")
    assert await has(shop, purchase) == (50, 0, 0)


async def test_where_the_catalogue_says_so_a_warning_refunds_before_anybody_disputes(shop: Shop) -> None:
    wary = careful(shop, "refund")
    purchase = await bought(wary)
    await warned(wary, purchase)
    [warning] = await told(wary, purchase, EarlyFraudWarning)
    assert warning.refund is not None
    wary.travel(PATIENCE)
    assert [await wary.resolve_refunds() for _ in range(2)] == [1, 0]
    await shop.tell_credits(purchase)
    assert ((await shop.show(purchase)).state, await has(shop, purchase)) == ("refunded", (0, 0, 0))


@pytest.mark.parametrize("spent", ["debt", "block", "rest"])
async def test_a_refund_that_forestalls_a_dispute_is_whole_whatever_becomes_of_spent_credits(
    shop: Shop, spent: str
) -> None:
    wary = careful(shop, "refund", spent=spent)
    purchase = await bought(wary)
    await shop.bank.ledger.apply(spending(purchase.account, 20 * MICRO))
    await warned(wary, purchase)
    wary.travel(PATIENCE)
    assert [await wary.resolve_refunds() for _ in range(2)] == [1, 0]
    await shop.tell_credits(purchase)
    assert await has(shop, purchase) == (0, 0, 20)
    after = await shop.show(purchase)
    assert (after.refunded, after.state) == (usd(999), "refunded")


async def test_a_dispute_in_another_currency_is_put_aside_and_takes_nothing(shop: Shop) -> None:
    purchase = await bought(shop)
    taken = ({"amount": -900},)
    odd = {"id": "du_1", "amount": 900, "currency": "eur", "status": "needs_response", "reason": "general"}
    sight = Sight(
        await shop.stripe.payment_intent(str(await shop.payment_intent(purchase))),
        None,
        (),
        (StripeDispute.model_validate({**odd, "balance_transactions": taken}),),
    )
    for _ in range(2):
        async with shop.pool.transaction() as conn:
            locked = await purchases.lock(conn, purchase.id or ids.new_id())
            assert await settlement.apply(conn, locked, sight, at=shop.clock.now()) == "quarantined"
    await shop.tell_credits(purchase)
    assert await shop.quarantined() == [("dispute_currency", purchase.id)]
    assert (await has(shop, purchase), (await shop.show(purchase)).state) == ((50, 0, 0), "succeeded")


async def test_a_dispute_that_is_won_at_another_rate_than_it_was_opened_brings_all_credits_back(shop: Shop) -> None:
    purchase = await bought(shop)
    intent = await shop.stripe.payment_intent(str(await shop.payment_intent(purchase)))
    said = {"id": "du_2", "amount": 999, "currency": "usd", "reason": "general"}
    taken, given = {"amount": -920, "created": 1}, {"amount": 899, "created": 2}
    for status, moved, left in (("needs_response", [taken], 0), ("won", [given, taken], 50)):
        dispute = StripeDispute.model_validate({**said, "status": status, "balance_transactions": moved})
        async with shop.pool.transaction() as conn:
            locked = await purchases.lock(conn, purchase.id or ids.new_id())
            await settlement.apply(conn, locked, Sight(intent, None, (), (dispute,)), at=shop.clock.now())
        await shop.tell_credits(purchase)
        assert await has(shop, purchase) == (left, 0, 0)
    assert (await shop.show(purchase)).state == "succeeded"
