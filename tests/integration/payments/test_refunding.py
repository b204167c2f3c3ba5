"""Giving money back: never more than was paid, told by totals, whoever began it and in whatever order it is told."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise, permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stripe import StripeClient

from libs.chassis.errors import DomainError, IdempotencyKeyReusedError, NotAllowedError, NotFoundError, UnavailableError
from libs.contracts import ids
from libs.contracts.catalogue import Policies
from libs.contracts.credits import MICRO
from libs.contracts.http.payments_v1 import Purchase, Refund
from services.payments.domain.errors import (
    AmountNotChargeableError,
    PurchaseStateError,
    RefundNotAllowedError,
    RefundTooLargeError,
    RefundTooLateError,
)
from services.payments.domain.refunds import ORDER, RefundState, state_after
from services.payments.domain.stripe_objects import StripeRefund
from services.payments.operations import settlement
from services.payments.store import purchases
from tests.integration.payments.shop import Shop, a_buyer, usd

STARTER = 999


async def totals(shop: Shop, purchase: Purchase) -> list[int]:
    """Read the totals that were told to have gone back."""
    return [event.refunded.amount_minor for event in await shop.refunded(purchase)]


async def test_a_full_refund_gives_everything_back_and_takes_every_credit(shop: Shop) -> None:
    purchase = await shop.paid(pack="pro")
    refund = await shop.refund(purchase)
    assert (refund.amount, refund.state) == (usd(2499), "succeeded")
    after = await shop.show(purchase)
    assert (after.state, after.refunded) == ("refunded", usd(2499))
    [told] = await shop.refunded(purchase)
    assert (told.refunded, told.paid, told.revision) == (usd(2499), usd(2499), 2)
    assert [(lot.kind, lot.credits) for lot in told.take_back] == [("purchased", 160 * MICRO)]


async def test_parts_add_up_and_never_exceed_what_was_paid(shop: Shop) -> None:
    purchase = await shop.paid(pack="starter")
    await shop.refund(purchase, 333)
    after = await shop.show(purchase)
    assert (after.state, after.refunded) == ("partially_refunded", usd(333))
    with pytest.raises(RefundTooLargeError) as refused:
        await shop.refund(purchase, 667)
    assert refused.value.facts["left"] == {"amount_minor": 666, "currency": "usd"}
    await shop.refund(purchase, 333)
    await shop.refund(purchase)
    assert (await shop.show(purchase)).state == "refunded"
    for amount in (None, 1):
        with pytest.raises(RefundTooLargeError):
            await shop.refund(purchase, amount)
    assert await totals(shop, purchase) == [333, 666, 999]
    taken = [event.take_back[0].credits for event in await shop.refunded(purchase)]
    assert taken == [333 * 50 * MICRO // 999, 666 * 50 * MICRO // 999, 50 * MICRO]


async def test_refunds_at_the_same_time_never_exceed_what_was_paid(shop: Shop) -> None:
    purchase = await shop.paid(pack="starter")
    results = await asyncio.gather(*(shop.refund(purchase, 400) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(result, Refund) for result in results) == 2
    assert sum(isinstance(result, RefundTooLargeError) for result in results) == 3
    assert (await shop.show(purchase)).refunded == usd(800)


async def test_the_same_key_refunds_once(shop: Shop) -> None:
    purchase = await shop.paid(pack="starter")
    first = await shop.refund(purchase, 100, key="k")
    assert await shop.refund(purchase, 100, key="k") == first
    with pytest.raises(IdempotencyKeyReusedError):
        await shop.refund(purchase, 101, key="k")
    assert (await shop.show(purchase)).refunded == usd(100)


async def test_twins_under_one_key_refund_once(shop: Shop) -> None:
    purchase = await shop.paid(pack="starter")

    async def insist() -> Refund:
        while True:
            try:
                return await shop.refund(purchase, 100, key="k")
            except UnavailableError:
                continue  # Stripe is at work under the same key

    first, *others = await asyncio.gather(*(insist() for _ in range(5)))
    assert all(other == first for other in others)
    assert await totals(shop, purchase) == [100]


@pytest.mark.parametrize("amount", [0, -5])
async def test_nothing_and_less_than_nothing_cannot_be_refunded(shop: Shop, amount: int) -> None:
    purchase = await shop.paid(pack="starter")
    with pytest.raises(AmountNotChargeableError):
        await shop.refund(purchase, amount)


async def test_what_is_not_paid_cannot_be_refunded(shop: Shop) -> None:
    with pytest.raises(PurchaseStateError):
        await shop.refund(await shop.start())


async def test_customers_refund_only_where_the_catalogue_lets_them_and_staff_always(shop: Shop) -> None:
    purchase = await shop.paid(pack="starter")
    policies = Policies(customer_refunds=False)
    strict = replace(shop, catalogue=shop.catalogue.model_copy(update={"policies": policies}))
    with pytest.raises(RefundNotAllowedError):
        await strict.refund(purchase, 100, caller="user:usr_ada")
    with pytest.raises(NotAllowedError):
        await shop.refund(purchase, 100, caller="key:key_service")
    await strict.refund(purchase, 100, caller="staff:ada")
    await shop.refund(purchase, 100, caller="user:usr_ada")
    assert await totals(shop, purchase) == [100, 200]


async def test_customers_refund_for_as_many_days_as_the_catalogue_says_and_staff_for_ever(shop: Shop) -> None:
    policies = Policies(customer_refunds=True, customer_refund_days=14)
    strict = replace(shop, catalogue=shop.catalogue.model_copy(update={"policies": policies}))
    purchase = await strict.paid(pack="starter")
    at_first = await strict.refund(purchase, 100, caller="user:usr_ada", key="k")
    [told] = await strict.successes(purchase)
    strict.travel(told.occurred_at + timedelta(days=14) - datetime.now(UTC))
    for amount in (100, None):
        with pytest.raises(RefundTooLateError) as refused:
            await strict.refund(purchase, amount, caller="user:usr_ada", key=f"late-{amount}")
        assert refused.value.code.code == "PAY012"
        assert refused.value.facts["until"] == (told.occurred_at + timedelta(days=14)).isoformat()
    assert await strict.refund(purchase, 100, caller="user:usr_ada", key="k") == at_first  # what was in time stays so
    async with shop.pool.connection() as conn:
        assert await conn.fetchval("SELECT count(*) FROM refund") == 1
        assert await conn.fetchval("SELECT count(*) FROM idempotency_key WHERE key LIKE 'late%'") == 0
    await strict.refund(purchase, 100)
    assert await totals(strict, purchase) == [100, 200]


async def test_a_customer_can_refund_until_the_last_second_of_his_days(shop: Shop) -> None:
    policies = Policies(customer_refunds=True, customer_refund_days=14)
    strict = replace(shop, catalogue=shop.catalogue.model_copy(update={"policies": policies}))
    purchase = await strict.paid(pack="starter")
    strict.travel(timedelta(days=14) - timedelta(seconds=30))
    await strict.refund(purchase, caller="user:usr_ada")
    assert (await strict.show(purchase)).state == "refunded"


@pytest.mark.parametrize("caller", ["user:usr_bob", "staff:ada"])
async def test_somebody_elses_purchase_cannot_be_refunded(shop: Shop, caller: str) -> None:
    purchase = await shop.paid(pack="starter")
    for amount in (100, None):
        with pytest.raises(NotFoundError):
            await shop.refund(purchase, amount, caller=caller, account=a_buyer().account)
    assert (await totals(shop, purchase), (await shop.show(purchase)).state) == ([], "succeeded")


async def test_a_refund_begun_at_the_dashboard_takes_credits_too(shop: Shop, dashboard: StripeClient) -> None:
    purchase = await shop.paid(pack="starter")
    intent = str(await shop.payment_intent(purchase))
    await dashboard.v1.refunds.create_async({"payment_intent": intent, "amount": 499, "reason": "duplicate"})
    for event in await shop.events(purchase, "refund.created", "charge.refunded"):
        await shop.tell(event)
    assert await totals(shop, purchase) == [499]
    with pytest.raises(RefundTooLargeError):
        await shop.refund(purchase, 501)
    await shop.refund(purchase, 500)
    assert (await shop.show(purchase)).state == "refunded"


async def test_a_refund_that_stripe_refuses_has_failed_and_frees_its_amount(
    shop: Shop, dashboard: StripeClient
) -> None:
    purchase = await shop.paid(pack="starter")
    intent = str(await shop.payment_intent(purchase))
    await dashboard.v1.refunds.create_async({"payment_intent": intent, "amount": 900})  # we have not been told
    for _ in range(2):
        with pytest.raises(DomainError) as refused:
            await shop.refund(purchase, 500, key="k")
        assert refused.value.code.code == "PAY032"
    assert await shop.refund(purchase, 99)
    for event in await shop.events(purchase, "refund.created"):
        await shop.tell(event)
    assert (await shop.show(purchase)).state == "refunded"


async def test_a_refund_told_before_the_payment_settles_both(shop: Shop, dashboard: StripeClient) -> None:
    purchase = await shop.start(pack="starter")
    await shop.pay(purchase)
    intent = str(await shop.payment_intent(purchase))
    await dashboard.v1.refunds.create_async({"payment_intent": intent, "amount": 100})
    for event in reversed(await shop.events(purchase)):
        await shop.tell(event)
    assert [event.revision for event in await shop.told(purchase)] == [1, 2]  # type: ignore[attr-defined] # all have it
    assert len(await shop.successes(purchase)) == 1
    assert await totals(shop, purchase) == [100]


async def test_refund_events_in_every_order_and_twice_each_end_at_the_same_total(
    shop: Shop, dashboard: StripeClient
) -> None:
    for order in permutations(range(3)):
        purchase = await shop.paid(pack="starter")
        intent = str(await shop.payment_intent(purchase))
        for amount in (100, 200, 300):
            await dashboard.v1.refunds.create_async({"payment_intent": intent, "amount": amount})
        events = await shop.events(purchase, "refund.created")
        for place in order:
            await shop.tell(events[place])
            await shop.tell(events[place])
        assert (await totals(shop, purchase))[-1] == 600, order
        assert (await shop.show(purchase)).refunded == usd(600)


def stripe_says(number: int, amount: int, state: RefundState) -> StripeRefund:
    return StripeRefund(id=f"re_{number}", amount=amount, currency="usd", status=state)


async def tell_refund(shop: Shop, purchase: Purchase, refund: StripeRefund) -> None:
    async with shop.pool.transaction() as conn:
        locked = await purchases.lock(conn, purchase.id or ids.new_id())
        of_this = refund.model_copy(update={"id": f"{refund.id}_{locked.id}"})
        await settlement.apply_refunds(conn, locked, [of_this], at=shop.clock.now())


STATES: list[RefundState] = [state for state in ORDER if state in ("pending", "succeeded", "failed")]
AMOUNTS = (100, 200, 699)
TELLINGS = st.lists(st.tuples(st.integers(0, 2), st.sampled_from(STATES)), min_size=1, max_size=12)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tellings=TELLINGS)
async def test_what_is_taken_back_depends_on_what_was_told_and_not_on_its_order(
    shop: Shop, tellings: list[tuple[int, RefundState]]
) -> None:
    purchase = await shop.paid(a_buyer(), pack="starter")
    for number, state in tellings:
        await tell_refund(shop, purchase, stripe_says(number, AMOUNTS[number], state))
    last = {number: max((s for n, s in tellings if n == number), key=ORDER.index) for number, _ in tellings}
    total = sum(AMOUNTS[number] for number, state in last.items() if state != "failed")
    after = await shop.show(purchase)
    assert (after.refunded.amount_minor, after.state) == (
        total, state_after(refunded_minor=total, paid_minor=STARTER),
    )  # fmt: skip
    told = await shop.refunded(purchase)
    assert (told[-1].refunded.amount_minor if told else 0) == total
    assert (told[-1].take_back[0].credits if told else 0) == 50 * MICRO * total // STARTER
    assert all(before.revision < later.revision for before, later in pairwise(told))


async def test_a_refund_that_fails_after_it_succeeded_gives_the_credits_back(shop: Shop) -> None:
    purchase = await shop.paid(pack="starter")
    for state in ("pending", "succeeded", "failed", "succeeded"):
        await tell_refund(shop, purchase, stripe_says(1, STARTER, state))
    assert (await shop.show(purchase)).state == "succeeded"
    first, second = await shop.refunded(purchase)
    assert (first.refunded, second.refunded) == (usd(999), usd(0))
    assert [lot.credits for lot in second.take_back] == [0]


async def test_a_refund_in_another_currency_is_put_aside(shop: Shop) -> None:
    purchase = await shop.paid(pack="starter")
    odd = StripeRefund(id="re_1", amount=1, currency="eur", status="succeeded")
    await tell_refund(shop, purchase, odd)
    assert await shop.quarantined() == [("refund_currency", purchase.id)]
    assert await totals(shop, purchase) == []
