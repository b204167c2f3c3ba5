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
from services.payments.domain.purchases import Purchase
from services.payments.domain.quotes import Terms, quote
from services.payments.operations import answers
from services.payments.operations.answers import Answered
from services.payments.operations.looking import look
from services.payments.operations.paying import see_to_payment
from services.payments.store import customers, purchases

_START = "start_purchase"


def quote_order(terms: Terms, account: UUID, order: PurchaseOrder) -> contract.Purchase:
    """Say what an order would cost and bring; nothing is recorded. Raises what `quote` raises."""
    offer = quote(terms.catalogue, order)
    nothing = offer.price.model_copy(update={"amount_minor": 0})
    return contract.Purchase(
        id=None, account=account, state="quoted", method=order.method, quote=offer, refunded=nothing
    )


async def start_purchase(
    pool: Pool,
    stripe: Stripe,
    credits: CreditsClient | None,
    *,
    clock: Clock,
    terms: Terms,
    caller: str,
    key: str,
    request: StartPurchase,
) -> Answered:
    """Start a purchase and have Stripe ready to be paid: at most one payment, however often this is repeated.

    `credits`, where purchases are limited, is asked first. Raises what `quote` and it raise, ReturnAddressRefusedError,
    StripeRefusedError, and UnavailableError while nobody knows whether Stripe made the payment: the same request under
    the same key then goes on where this one stopped.
    """
    body = request.model_dump(mode="json")
    whose = Key.of(caller=caller, key=key, operation=_START, body=[body["order"], body["buyer"]["account"]])
    if credits is not None:
        await _check_limits(pool, credits, whose, request, terms=terms)
    claim = await _claim(pool, whose, request, livemode=stripe.livemode, terms=terms, at=clock.now())
    if claim.answered or claim.subject is None:
        return answers.give(claim, replayed=True)
    await see_to_payment(pool, stripe, claim.subject, clock=clock, first_try=claim.fresh)
    return await _answer(pool, whose, claim.subject)


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
    """Cancel a purchase, here and at Stripe, unless it is paid or on its way. Raises NotFoundError, PurchaseStateError.

    Whatever Stripe answers, we read from Stripe where the purchase stands afterwards.
    """
    await _owned(pool, purchase, account)
    known = await see_to_payment(pool, stripe, purchase, clock=clock, first_try=False)
    if known.at_stripe and not known.paid and known.state != "canceled":
        try:
            await _cancel_at_stripe(stripe, known)
        finally:
            await look(pool, stripe, purchase, clock=clock)
    elif known.over:
        async with pool.transaction() as conn:
            await purchases.move(conn, purchase, "canceled")
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
        created_at=purchase.created_at,
    )


async def _check_limits(pool: Pool, credits: CreditsClient, key: Key, request: StartPurchase, *, terms: Terms) -> None:
    """See that the account may buy this, before anything is recorded. What was started before is not asked again."""
    async with pool.connection() as conn:
        if await idempotency.given(conn, [key]):
            return
    offer = quote(terms.catalogue, request.order)
    await credits.check_purchase(request.buyer.account, offer.credits + offer.bonus, caller=key.caller)


async def _claim(pool: Pool, key: Key, request: StartPurchase, *, livemode: bool, terms: Terms, at: datetime) -> Claim:
    """Record key, customer and intent together, or find what the key was used for."""
    purchase = ids.new_id()
    async with pool.transaction() as conn:
        claim = await idempotency.claim(conn, key, subject=purchase, at=at)
        if not claim.fresh:
            return claim
        terms.return_addresses.check(request.order.return_url)
        terms.return_addresses.check(request.order.cancel_url)
        offer = quote(terms.catalogue, request.order)
        await customers.intend(conn, request.buyer, livemode=livemode, at=at)
        await purchases.insert(
            conn, purchase, request, offer, livemode=livemode, at=at, expires_at=at + terms.checkout_life
        )
        reach("payments.start.before_commit")
    reach("payments.start.after_commit")
    log.info("purchase.started", purchase=ids.show("purchase", purchase), pack=offer.pack, price=str(offer.price))
    return claim


async def _answer(pool: Pool, key: Key, purchase: UUID) -> Answered:
    async with pool.transaction() as conn:
        known = await purchases.get(conn, purchase)
        refused = known.over and known.state == "failed"
        answer = StripeRefusedError(known.failure, purchase=ids.show("purchase", purchase)) if refused else shown(known)
        claim = await answers.store(conn, key, answer)
        reach("payments.answer.before_commit")
    reach("payments.answer.after_commit")
    return answers.give(claim, replayed=False)


async def _cancel_at_stripe(stripe: Stripe, purchase: Purchase) -> None:
    try:
        if purchase.checkout_session is not None:
            await stripe.expire_checkout_session(purchase, purchase.checkout_session)
        elif purchase.payment_intent is not None:
            await stripe.cancel_payment_intent(purchase, purchase.payment_intent)
    except StripeRefusedError as error:
        log.info("purchase.not_canceled", purchase=ids.show("purchase", purchase.id), reason=error.facts.get("reason"))


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
