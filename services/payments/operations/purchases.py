"""Starting, showing, confirming and cancelling purchases."""

from datetime import datetime
from uuid import UUID

from libs.chassis import idempotency
from libs.chassis.clock import Clock
from libs.chassis.errors import InvalidRequestError, NotFoundError
from libs.chassis.failpoints import reach
from libs.chassis.idempotency import Claim, Key
from libs.chassis.pool import Pool
from libs.chassis.telemetry import log
from libs.contracts import ids
from libs.contracts.http import payments_v1 as contract
from libs.contracts.http.base import Page
from libs.contracts.http.payments_v1 import PurchaseOrder, StartPurchase
from services.payments.clients.credits import CreditsClient
from services.payments.clients.stripe import Stripe, StripeRefusedError
from services.payments.domain.errors import PaymentMismatchError, PurchaseStateError
from services.payments.domain.purchases import Purchase, lots_of
from services.payments.domain.quotes import Terms
from services.payments.operations import answers
from services.payments.operations.answers import Answered
from services.payments.operations.canceling import cancel
from services.payments.operations.cards import paying_by
from services.payments.operations.looking import look
from services.payments.operations.paying import see_to_payment
from services.payments.operations.paying_by_card import pay_by_card
from services.payments.operations.redeeming import make_offer, redeem
from services.payments.store import customers, loyalty, purchases

_START = "start_purchase"


async def quote_order(
    pool: Pool, terms: Terms, account: UUID, order: PurchaseOrder, *, livemode: bool, clock: Clock
) -> contract.Purchase:
    """Say what an order would cost and bring; nothing is recorded. Raises what `make_offer` raises."""
    async with pool.connection() as conn:
        offer = (
            await make_offer(conn, terms.catalogue, order, account=account, livemode=livemode, at=clock.now())
        ).quote
    nothing = offer.price.model_copy(update={"amount_minor": 0})
    return contract.Purchase(
        id=None, account=account, state="quoted", method=order.method, quote=offer, refunded=nothing
    )


async def start_purchase(
    pool: Pool,
    stripe: Stripe,
    credits: CreditsClient,
    *,
    clock: Clock,
    terms: Terms,
    caller: str,
    key: str,
    request: StartPurchase,
) -> Answered:
    """Start a purchase and have Stripe ready to be paid: at most one payment, however often this is repeated.

    Where purchases are limited credits is asked first. Raises what `make_offer` and it raise,
    ReturnAddressRefusedError, NoSuchCardError and TooManyCardsError, StripeRefusedError (a saved card that is declined
    too), and UnavailableError while nobody knows whether Stripe made the payment: the same request under the same key
    then goes on where this one stopped.
    """
    body = request.model_dump(mode="json")
    whose = Key.of(caller=caller, key=key, operation=_START, body=[body["order"], body["buyer"]["account"]])
    if terms.catalogue.limits.limit_purchases:
        await _check_limits(pool, credits, whose, request, livemode=stripe.livemode, terms=terms, at=clock.now())
    claim = await _claim(pool, whose, request, livemode=stripe.livemode, terms=terms, at=clock.now())
    if claim.answered or claim.subject is None:
        return answers.give(claim, replayed=True)
    known = await see_to_payment(pool, stripe, claim.subject, clock=clock, first_try=claim.fresh)
    await pay_by_card(pool, stripe, known, clock=clock, first_try=claim.fresh)
    return await answer_start(pool, whose, claim.subject)


async def answer_start(pool: Pool, key: Key, purchase: UUID) -> Answered:
    """Store and give the answer to who started a purchase. Raises StripeRefusedError."""
    async with pool.transaction() as conn:
        known = await purchases.get(conn, purchase)
        refused = known.state == "failed" and (known.over or known.paying.card is not None)
        answer = StripeRefusedError(known.failure, purchase=ids.show("purchase", purchase)) if refused else shown(known)
        claim = await answers.store(conn, key, answer)
        reach("payments.answer.before_commit")
    reach("payments.answer.after_commit")
    return answers.give(claim, replayed=False)


async def show_purchase(pool: Pool, purchase: UUID, *, account: UUID) -> contract.Purchase:
    """Show a purchase to its account. Raises NotFoundError."""
    return shown(await _owned(pool, purchase, account))


async def list_purchases(pool: Pool, account: UUID, *, limit: int, cursor: str | None) -> Page[contract.Purchase]:
    """List an account's purchases, newest first. Raises InvalidRequestError for a cursor that we did not give."""
    before = _read_cursor(cursor)
    async with pool.connection() as conn:
        found = await purchases.page(conn, account, before=before, limit=limit + 1)
    more = len(found) > limit
    shown_page = [shown(purchase) for purchase in found[:limit]]
    return Page(data=shown_page, next_cursor=ids.show("purchase", found[limit - 1].id) if more else None)


async def confirm_purchase(
    pool: Pool, stripe: Stripe, purchase: UUID, *, account: UUID, clock: Clock
) -> contract.Purchase:
    """Read again what Stripe says of a purchase, and apply it. Raises NotFoundError, PaymentMismatchError."""
    await _owned(pool, purchase, account)
    known = await see_to_payment(pool, stripe, purchase, clock=clock, first_try=False)
    if not known.over and await look(pool, stripe, purchase, clock=clock) == "quarantined":
        raise PaymentMismatchError
    return await show_purchase(pool, purchase, account=account)


async def cancel_purchase(
    pool: Pool, stripe: Stripe, purchase: UUID, *, account: UUID, clock: Clock
) -> contract.Purchase:
    """Cancel a purchase, here and at Stripe, unless it is paid or on its way.

    Raises NotFoundError, PurchaseStateError.
    """
    await _owned(pool, purchase, account)
    await cancel(pool, stripe, purchase, clock=clock)
    after = await show_purchase(pool, purchase, account=account)
    if after.state != "canceled":
        raise PurchaseStateError(f"the purchase is {after.state} and cannot be canceled", state=after.state)
    return after


def shown(purchase: Purchase) -> contract.Purchase:
    """Shape a purchase for its buyer."""
    return contract.Purchase(
        id=purchase.id,
        account=purchase.account,
        state=purchase.state,
        method=purchase.method,
        quote=purchase.quote,
        refunded=purchase.money(purchase.refunded_minor),
        client_secret=purchase.client_secret,
        checkout_url=None if purchase.paid or purchase.state == "canceled" else purchase.checkout_url,
        failure=purchase.failure,
        cancellation=purchase.cancellation,
        gift_card=purchase.gift_card,
        payment=purchase.payment_intent,
        card=purchase.card,
        created_at=purchase.created_at,
        paid_at=purchase.paid_at,
    )


async def _check_limits(
    pool: Pool,
    credits: CreditsClient,
    key: Key,
    request: StartPurchase,
    *,
    livemode: bool,
    terms: Terms,
    at: datetime,
) -> None:
    """See that the account may buy this, before anything is recorded. What was started before is not asked again."""
    async with pool.connection() as conn:
        if await idempotency.given(conn, [key]):
            return
        account = request.buyer.account
        offer = await make_offer(conn, terms.catalogue, request.order, account=account, livemode=livemode, at=at)
    bought = sum(lot.credits for lot in lots_of(offer.quote))
    await credits.check_purchase(offer.account, bought, caller=key.caller)


async def _claim(pool: Pool, key: Key, request: StartPurchase, *, livemode: bool, terms: Terms, at: datetime) -> Claim:
    """Record key, customer and intent together, or find what the key was used for."""
    purchase, order = ids.new_id(), request.order
    hurries = order.method == "checkout" or order.promo_code is not None
    async with pool.transaction() as conn:
        claim = await idempotency.claim(conn, key, subject=purchase, at=at)
        if not claim.fresh:
            return claim
        terms.return_addresses.check(order.return_url)
        terms.return_addresses.check(order.cancel_url)
        account = request.buyer.account
        offer = await make_offer(conn, terms.catalogue, order, account=account, livemode=livemode, at=at)
        await customers.intend(conn, request.buyer, livemode=livemode, at=at)
        await purchases.insert(
            conn,
            purchase,
            request,
            offer.quote,
            livemode=livemode,
            takes_back=terms.catalogue.policies.payment_refund.credits == "take_back",
            at=at,
            expires_at=at + (terms.checkout_life if hurries else terms.payment_life),
            paying=await paying_by(conn, order, account, livemode=livemode),
        )
        await loyalty.keep_tier(conn, purchase, offer.quote)
        await redeem(conn, offer, purchase)
        reach("payments.start.before_commit")
    reach("payments.start.after_commit")
    named, bought = ids.show("purchase", purchase), offer.quote
    log.info(
        "purchase.started", purchase=named, pack=bought.pack, price=str(bought.price), promo_code=bought.promo_code
    )
    return claim


async def _owned(pool: Pool, purchase: UUID, account: UUID) -> Purchase:
    async with pool.connection() as conn:
        found = await purchases.find(conn, purchase)
    if found is None or found.account != account:
        raise NotFoundError
    return found


def _read_cursor(cursor: str | None) -> UUID | None:
    try:
        return ids.read("purchase", cursor) if cursor else None
    except ValueError as error:
        raise InvalidRequestError("the cursor is not one that we gave") from error
