"""Credits go back with the money: they are set aside before Stripe is asked, and what is spent is for policy to say."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from libs.chassis.errors import DomainError, UnavailableError
from libs.chassis.service_client import ServiceClient
from libs.chassis.tokens import Signer, new_key
from libs.contracts import errors as codes
from libs.contracts import ids
from libs.contracts.catalogue import Policies
from libs.contracts.credits import MICRO
from libs.contracts.errors import ErrorCode
from libs.contracts.events import PaymentRefundFailed
from libs.contracts.http.payments_v1 import Purchase, Refund, RefundOrder, RefundPreview
from services.payments.clients.credits import CreditsClient
from services.payments.domain.errors import RefundNotAllowedError, RefundTooLargeError, RefundTooLateError
from services.payments.domain.stripe_objects import StripeRefund
from services.payments.operations import returning, settlement
from services.payments.operations.resolving import PATIENCE
from services.payments.store import purchases, refunds
from tests.integration.payments.shop import Shop, usd
from tests.support.postings import spending

FAILS = {"kind": "500_before", "method": "POST", "path": "/v1/refunds", "count": 1}


def refunding(shop: Shop, **policy: str) -> Shop:
    """The same shop, by another policy for what goes back."""
    policies = Policies.model_validate({"customer_refunds": True, "payment_refund": policy})
    return replace(shop, catalogue=shop.catalogue.model_copy(update={"policies": policies}))


async def credited(shop: Shop, **order: Any) -> Purchase:
    """Buy 50 credits for 9.99, which the ledger hears of."""
    purchase = await shop.paid(**(order or {"pack": "starter"}))
    await shop.tell_credits(purchase)
    return purchase


async def has(shop: Shop, purchase: Purchase) -> tuple[int, int, int]:
    """Tell what its account has available, held and as a debt."""
    balance = await shop.bank.ledger.balance(purchase.account)
    return balance.available // MICRO, balance.held // MICRO, balance.debt // MICRO


async def spend(shop: Shop, purchase: Purchase, credits: int) -> list[str]:
    return await shop.bank.ledger.outcomes(spending(purchase.account, credits * MICRO))


async def preview(
    shop: Shop, purchase: Purchase, amount_minor: int | None = None, *, caller: str = "staff:ada"
) -> RefundPreview:
    order = RefundOrder(amount=usd(amount_minor) if amount_minor else None)
    assert purchase.id is not None
    return await returning.preview(
        shop.pool,
        shop.bank.credits,
        purchase.id,
        account=purchase.account,
        order=order,
        caller=caller,
        policies=shop.catalogue.policies,
        clock=shop.clock,
    )


async def refusal(shop: Shop, purchase: Purchase, amount_minor: int | None = None, *, key: str) -> ErrorCode:
    with pytest.raises(DomainError) as refused:
        await shop.refund(purchase, amount_minor, key=key)
    return refused.value.code


async def refunds_at_stripe(shop: Shop, purchase: Purchase) -> list[int]:
    intent = await shop.payment_intent(purchase)
    books = (await shop.sandbox.get("books"))["refunds"]
    return [one["amount"] for one in books if one["payment_intent"] == intent]


async def test_while_stripe_is_asked_nobody_can_spend_what_goes_back(shop: Shop) -> None:
    purchase = await credited(shop)
    await shop.faults(FAILS)
    with pytest.raises(UnavailableError):
        await shop.refund(purchase, key="k")
    assert await has(shop, purchase) == (0, 50, 0)
    assert await spend(shop, purchase, 1) == ["insufficient"]
    shop.travel(PATIENCE)
    await shop.faults()
    await shop.resolve_refunds()
    await shop.tell_credits(purchase)
    assert (await has(shop, purchase), await refunds_at_stripe(shop, purchase)) == ((0, 0, 0), [999])


async def test_what_a_refund_takes_is_what_it_set_aside(shop: Shop) -> None:
    purchase = await credited(shop)
    await spend(shop, purchase, 20)
    shown = await preview(shop, purchase, 333)
    assert (shown.amount, shown.credits, shown.spent, shown.possible) == (usd(333), 16_666_666, 0, True)
    refund = await shop.refund(purchase, 333)
    assert await shop.bank.credits.remaining(purchase.account, purchase.id or ids.new_id()) == {"purchased": 13_333_334}
    await shop.tell_credits(purchase)
    balance = await shop.bank.ledger.balance(purchase.account)
    assert (balance.available, balance.held, balance.debt) == (13_333_334, 0, 0)
    assert refund.state == "succeeded"


async def test_what_is_spent_becomes_a_debt_where_the_catalogue_says_so(shop: Shop) -> None:
    purchase = await credited(shop)
    await spend(shop, purchase, 20)
    shown = await preview(shop, purchase)
    assert (shown.credits, shown.spent, shown.debt, shown.possible) == (50 * MICRO, 20 * MICRO, 20 * MICRO, True)
    await shop.refund(purchase)
    assert await has(shop, purchase) == (0, 30, 0)
    await shop.tell_credits(purchase)
    assert await has(shop, purchase) == (0, 0, 20)


async def test_what_is_spent_blocks_the_refund_where_the_catalogue_says_so(shop: Shop) -> None:
    strict = refunding(shop, spent="block")
    purchase = await credited(strict)
    await spend(strict, purchase, 20)
    assert not (await preview(strict, purchase)).possible
    for _ in range(2):
        assert await refusal(strict, purchase, key="k") == codes.CREDITS_SPENT
    assert (await refunds_at_stripe(shop, purchase), await has(shop, purchase)) == ([], (30, 0, 0))
    assert (await shop.show(purchase)).state == "succeeded"
    assert (await strict.refund(purchase, 599)).state == "succeeded"
    await shop.tell_credits(purchase)
    assert (await refunds_at_stripe(shop, purchase), await has(shop, purchase)) == ([599], (0, 0, 0))


async def test_only_the_rest_is_refunded_where_the_catalogue_says_so(shop: Shop) -> None:
    fair = refunding(shop, spent="rest")
    purchase = await credited(fair)
    await spend(fair, purchase, 20)
    with pytest.raises(RefundTooLargeError) as refused:
        await fair.refund(purchase, 600)
    assert refused.value.facts["left"] == usd(599).model_dump()
    assert (await preview(fair, purchase)).amount == usd(599)
    assert (await fair.refund(purchase)).amount == usd(599)
    await shop.tell_credits(purchase)
    balance = await shop.bank.ledger.balance(purchase.account)
    assert (balance.available, balance.held, balance.debt) == (20_021, 0, 0)  # two hundredths of a credit for no cent
    with pytest.raises(RefundTooLargeError):
        await fair.refund(purchase)


async def test_credits_are_kept_where_the_catalogue_said_so_as_they_were_bought(shop: Shop) -> None:
    generous = refunding(shop, credits="keep")
    purchase = await credited(generous)
    await shop.refund(purchase)
    await shop.tell_credits(purchase)
    assert await has(shop, purchase) == (50, 0, 0)
    assert (await shop.show(purchase)).state == "refunded"


async def test_what_stripe_refuses_frees_what_was_set_aside(shop: Shop) -> None:
    purchase = await credited(shop)
    await shop.faults({"kind": "429", "method": "POST", "path": "/v1/refunds", "count": 1})
    with pytest.raises(UnavailableError):
        await shop.refund(purchase, 400, key="k")
    assert await has(shop, purchase) == (29, 20, 0)
    async with shop.pool.transaction() as conn:
        await conn.execute("UPDATE purchase SET payment_intent = 'pi_nobody_knows' WHERE id = $1", purchase.id)
    assert await refusal(shop, purchase, 400, key="k") == codes.REFUND_REFUSED
    [failed] = [event for event in await shop.told(purchase) if isinstance(event, PaymentRefundFailed)]
    assert (failed.amount, failed.refunds) == (usd(400), [failed.refund])
    for _ in range(2):
        await shop.tell_credits(purchase)
    assert await has(shop, purchase) == (50, 0, 0)


async def test_a_refund_that_fails_in_the_end_gives_back_what_it_took(shop: Shop) -> None:
    purchase = await credited(shop)
    refund = await shop.refund(purchase)
    await shop.tell_credits(purchase)
    assert await has(shop, purchase) == (0, 0, 0)
    async with shop.pool.transaction() as conn:
        [made] = await refunds.decided(conn, refund.purchase)
        now = StripeRefund(id=made.stripe_refund or "", amount=999, currency="usd", status="failed")
        locked = await purchases.lock(conn, refund.purchase)
        await settlement.apply_refunds(conn, locked, [now], at=shop.clock.now())
    await shop.tell_credits(purchase)
    assert await has(shop, purchase) == (50, 0, 0)


async def test_while_credits_is_away_no_money_goes_back_and_then_it_does(shop: Shop) -> None:
    purchase = await credited(shop)
    nowhere = ServiceClient("credits", base_url="http://127.0.0.1:1", signer=Signer("payments", new_key("payments")))
    with pytest.raises(UnavailableError):
        await replace(shop, bank=replace(shop.bank, credits=CreditsClient(nowhere))).refund(purchase, key="k")
    await nowhere.stop()
    assert await refunds_at_stripe(shop, purchase) == []
    shop.travel(PATIENCE)
    assert await shop.resolve_refunds() == 1
    assert (await shop.refund(purchase, key="k")).state == "succeeded"
    assert await refunds_at_stripe(shop, purchase) == [999]


@pytest.mark.parametrize("spent", ["block", "rest"])
async def test_where_spent_credits_matter_a_payment_that_credits_has_not_heard_of_waits(shop: Shop, spent: str) -> None:
    strict = refunding(shop, spent=spent)
    purchase = await strict.paid(pack="starter")
    with pytest.raises(UnavailableError):
        await strict.refund(purchase, key="k")
    assert await refunds_at_stripe(shop, purchase) == []
    await shop.tell_credits(purchase)
    assert (await strict.refund(purchase, key="k")).state == "succeeded"


async def test_of_a_refund_and_spends_at_once_none_makes_a_debt_where_spent_credits_block(shop: Shop) -> None:
    strict = refunding(shop, spent="block")
    for _ in range(5):
        purchase = await credited(strict)
        spends = [spend(strict, purchase, 10) for _ in range(5)]
        refund, *said = await asyncio.gather(strict.refund(purchase, 500), *spends, return_exceptions=True)
        await shop.tell_credits(purchase)
        available, held, debt = await has(shop, purchase)
        burnt = said.count(["accepted"])
        back = 500 if isinstance(refund, Refund) else 0
        assert (held, debt) == (0, 0)
        assert available == (50 * MICRO - burnt * 10 * MICRO - 50 * MICRO * back // 999) // MICRO


async def test_a_customer_is_told_beforehand_that_he_may_not_refund_or_is_too_late(shop: Shop) -> None:
    purchase = await credited(shop)
    his = {"customer_refunds": True, "customer_refund_days": 1}
    for policies, refusal in (({}, RefundNotAllowedError), (his, RefundTooLateError)):
        catalogue = shop.catalogue.model_copy(update={"policies": Policies.model_validate(policies)})
        strict = replace(shop, catalogue=catalogue)
        strict.travel(timedelta(days=1))
        assert (await preview(strict, purchase)).possible
        with pytest.raises(refusal):
            await preview(strict, purchase, caller="user:usr_ada")
