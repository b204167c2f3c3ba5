"""A promo code is free again when its purchase ends unpaid; what is paid keeps it, even beyond a limit."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from libs.chassis.errors import DomainError, UnavailableError
from libs.contracts.http.payments_v1 import Purchase
from services.payments.domain.errors import PromoCodeRefusedError
from services.payments.operations.ending import end
from services.payments.operations.resolving import cancel_abandoned, resolve_purchases
from tests.integration.payments.shop import Shop, a_buyer, usd

HALF_OFF = {"kind": "percent", "percent": 50}
TO_PAY = timedelta(hours=2)
"""How long the shop waits for a purchase."""


@pytest.fixture
async def once(shop: Shop) -> Shop:
    """A shop with a code that can be redeemed once."""
    await shop.put_code("ONCE", HALF_OFF, total_limit=1)
    return shop


async def canceled(shop: Shop) -> None:
    await shop.cancel(await shop.start(promo_code="ONCE"))


async def closed(shop: Shop) -> None:
    await shop.cancel(await shop.start_checkout(pack="pro", promo_code="ONCE"))


async def refused_by_stripe(shop: Shop) -> None:
    sold, cheap = shop.catalogue, shop.catalogue.packs[0].model_copy(update={"prices": [usd(1)]})
    shop.catalogue = sold.model_copy(update={"packs": [cheap]})
    await shop.put_code("ONCE", {"kind": "bonus_credits", "credits": "5"}, total_limit=1)
    with pytest.raises(DomainError) as refused:
        await shop.start(pack="starter", promo_code="ONCE")
    assert refused.value.code.code == "PAY002"
    shop.catalogue = sold


async def given_up(shop: Shop) -> None:
    await shop.faults({"kind": "reset_before", "path": "/v1/*", "count": None})
    with pytest.raises(UnavailableError):
        await shop.start(promo_code="ONCE")
    await shop.faults()
    assert await shop.redeemed("ONCE") == 1
    shop.travel(timedelta(hours=25))
    assert await resolve_purchases(shop.pool, shop.stripe, clock=shop.clock) == 1


async def abandoned(shop: Shop) -> None:
    await shop.start(promo_code="ONCE")
    await abandon(shop)


async def abandoned_page(shop: Shop) -> None:
    await shop.start_checkout(pack="pro", promo_code="ONCE")
    await abandon(shop)


async def abandoned_after_a_declined_card(shop: Shop) -> None:
    purchase = await shop.start(promo_code="ONCE")
    await shop.pay(purchase, "pm_card_chargeDeclined")
    assert (await shop.confirm(purchase)).state == "failed"
    assert await shop.redeemed("ONCE") == 1  # another card may pay it
    await abandon(shop)


async def abandon(shop: Shop) -> None:
    shop.travel(TO_PAY - timedelta(minutes=1))
    assert await cancel_abandoned(shop.pool, shop.stripe, clock=shop.clock) == 0
    shop.travel(TO_PAY)
    assert await cancel_abandoned(shop.pool, shop.stripe, clock=shop.clock) == 1
    assert await cancel_abandoned(shop.pool, shop.stripe, clock=shop.clock) == 0
    assert await shop.states() == ["canceled"]


ENDS = [
    canceled, closed, refused_by_stripe, given_up, abandoned, abandoned_page, abandoned_after_a_declined_card,
]  # fmt: skip


@pytest.mark.parametrize("ended", ENDS)
async def test_a_code_is_free_again_when_its_purchase_ends_unpaid(
    once: Shop, ended: Callable[[Shop], Awaitable[None]]
) -> None:
    await ended(once)
    assert await once.redeemed("ONCE") == 0
    assert (await once.paid(promo_code="ONCE")).quote.promo_code == "ONCE"
    assert await once.redeemed("ONCE") == 1


async def test_the_same_account_may_use_a_code_again_that_it_has_freed(once: Shop) -> None:
    buyer = a_buyer()
    first = await once.start(buyer, pack="pro", promo_code="ONCE")
    with pytest.raises(PromoCodeRefusedError):
        await once.start(buyer, pack="pro", promo_code="ONCE")
    await once.cancel(first)
    assert (await once.start(buyer, pack="pro", promo_code="ONCE")).quote.price == usd(1249)


async def test_a_purchase_that_is_paid_in_the_last_moment_is_not_abandoned(once: Shop) -> None:
    purchase = await once.start(promo_code="ONCE")
    await once.pay(purchase)
    once.travel(TO_PAY)
    assert await cancel_abandoned(once.pool, once.stripe, clock=once.clock) == 1
    assert (await once.show(purchase)).state == "succeeded"
    assert await once.redeemed("ONCE") == 1
    once.travel(TO_PAY * 2)
    assert await cancel_abandoned(once.pool, once.stripe, clock=once.clock) == 0


async def test_while_stripe_is_away_an_abandoned_purchase_keeps_its_code_and_is_tried_again(once: Shop) -> None:
    await once.start(promo_code="ONCE")
    once.travel(TO_PAY)
    await once.faults({"kind": "reset_before", "path": "/v1/*", "count": None})
    assert await cancel_abandoned(once.pool, once.stripe, clock=once.clock) == 1
    assert (await once.states(), await once.redeemed("ONCE")) == (["created"], 1)
    await once.faults()
    once.travel(TO_PAY + timedelta(minutes=1))
    assert await cancel_abandoned(once.pool, once.stripe, clock=once.clock) == 1
    assert (await once.states(), await once.redeemed("ONCE")) == (["canceled"], 0)


async def test_money_that_comes_after_the_end_redeems_the_code_again_beyond_its_limit_and_says_so(once: Shop) -> None:
    late, soon = await ended_but_paid(once), await once.paid(promo_code="ONCE")
    with capture_logs() as logs:
        await tell_paid(once, late)
    [said] = [entry for entry in logs if entry["event"] == "promo_code.redeemed_again"]
    assert (said["code"], said["beyond_limit"], said["log_level"]) == ("ONCE", True, "warning")
    assert await once.redeemed("ONCE") == 2
    for purchase in (late, soon):
        [told] = await once.successes(purchase)
        assert (told.paid, told.promo_code) == (usd(1249), "ONCE")
    with pytest.raises(PromoCodeRefusedError):
        await once.start(promo_code="ONCE")


async def test_money_that_comes_after_the_end_redeems_the_code_again_within_its_limit(once: Shop) -> None:
    late = await ended_but_paid(once)
    with capture_logs() as logs:
        await tell_paid(once, late)
    assert [entry["beyond_limit"] for entry in logs if entry["event"] == "promo_code.redeemed_again"] == [False]
    assert await once.redeemed("ONCE") == 1


async def ended_but_paid(shop: Shop) -> Purchase:
    """Make a purchase that Stripe has the money of, and that ended here before we knew."""
    purchase = await shop.start(promo_code="ONCE")
    await shop.pay(purchase)
    async with shop.pool.transaction() as conn:
        await end(conn, purchase.id, "canceled")  # type: ignore[arg-type] # it has one
    return purchase


async def tell_paid(shop: Shop, purchase: Purchase) -> None:
    for event in await shop.events(purchase, "payment_intent.succeeded"):
        for _ in range(3):
            await shop.tell(event)


async def test_a_full_refund_does_not_free_a_code(once: Shop) -> None:
    purchase = await once.paid(promo_code="ONCE")
    await once.refund(purchase)
    assert (await once.show(purchase)).state == "refunded"
    assert await once.redeemed("ONCE") == 1
    with pytest.raises(PromoCodeRefusedError):
        await once.start(promo_code="ONCE")


async def test_a_code_that_is_freed_while_many_wait_for_it_goes_to_one_of_them(once: Shop) -> None:
    first = await once.start(promo_code="ONCE")

    async def insist() -> Purchase:
        while True:
            try:
                return await once.start_insisting(a_buyer(), pack="pro", promo_code="ONCE")
            except PromoCodeRefusedError:
                await asyncio.sleep(0)

    tries = [asyncio.create_task(insist()) for _ in range(6)]
    await once.cancel(first)
    done, others = await asyncio.wait(tries, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.sleep(0.1)
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    assert (len(done), await once.redeemed("ONCE")) == (1, 1)


async def test_a_code_is_redeemed_and_freed_at_once_without_a_deadlock(shop: Shop) -> None:
    buyer = a_buyer()
    await shop.put_code("TWICE", HALF_OFF, total_limit=2, per_account=2)
    first = await shop.start(buyer, pack="pro", promo_code="TWICE")

    async def free_it_then() -> Purchase:
        await asyncio.sleep(0.2)  # the other one stands before the code already
        return await shop.cancel(first)

    second, _ = await shop.at_once(shop.start(buyer, pack="pro", promo_code="TWICE"), free_it_then(), waiting=2)
    assert second.state == "created"
    assert await shop.redeemed("TWICE") == 1


async def test_starting_and_canceling_at_once_never_deadlocks_and_counts_right(shop: Shop) -> None:
    await shop.put_code("BUSY", HALF_OFF, total_limit=4, per_account=2)
    buyers = [a_buyer() for _ in range(3)]

    async def come_and_go(number: int) -> None:
        try:
            purchase = await shop.start_insisting(buyers[number % 3], pack="pro", promo_code="BUSY")
        except PromoCodeRefusedError:
            return
        if number % 2:
            await shop.cancel(purchase)

    await asyncio.gather(*(come_and_go(number) for number in range(40)))
    assert await shop.redeemed("BUSY") == (await shop.states()).count("created")
