"""Giving money back: asked for here once per key, done by Stripe once per refund, told by its totals."""

from typing import Literal
from uuid import UUID

from libs.chassis import idempotency
from libs.chassis.clock import Clock
from libs.chassis.errors import InvalidRequestError, NotAllowedError, NotFoundError
from libs.chassis.failpoints import reach
from libs.chassis.idempotency import Claim, Key
from libs.chassis.pool import Connection, Pool
from libs.chassis.telemetry import log
from libs.contracts import ids
from libs.contracts.catalogue import Policies
from libs.contracts.http import payments_v1 as contract
from libs.contracts.http.payments_v1 import RefundOrder
from libs.contracts.money import chargeable
from services.payments.clients.stripe import Stripe, StripeOutcomeUnknownError, StripeRefusedError
from services.payments.domain.errors import (
    AmountNotChargeableError,
    PurchaseStateError,
    RefundNotAllowedError,
    RefundRefusedError,
    RefundTooLargeError,
)
from services.payments.domain.purchases import Purchase
from services.payments.domain.refunds import Refund
from services.payments.domain.stripe_objects import StripeRefund
from services.payments.operations import answers, settlement
from services.payments.operations.answers import Answered
from services.payments.operations.paying import GIVEN_UP_AFTER, KEY_LIFE
from services.payments.store import purchases, refunds


async def refund_purchase(
    pool: Pool,
    stripe: Stripe,
    purchase: UUID,
    *,
    account: UUID,
    order: RefundOrder,
    caller: str,
    key: str,
    policies: Policies,
    clock: Clock,
) -> Answered:
    """Give back some or all of the money of a purchase, once per key.

    Raises NotFoundError, NotAllowedError, PurchaseStateError, RefundTooLargeError, RefundRefusedError if Stripe will
    not, and UnavailableError while nobody knows whether it did: the same request then goes on where this one stopped.
    """
    check_may_refund(caller, policies)
    body = [ids.show("purchase", purchase), order.model_dump(mode="json")]
    whose = Key.of(caller=caller, key=key, operation="refund_purchase", body=body)
    claim = await _claim(pool, whose, purchase, account=account, order=order, clock=clock)
    if claim.answered or claim.subject is None:
        return answers.give(claim, replayed=True)
    await see_to_refund(pool, stripe, claim.subject, clock=clock, first_try=claim.fresh)
    return await _answer(pool, whose, claim.subject)


def check_may_refund(caller: str, policies: Policies) -> None:
    """Let staff refund, and customers where the catalogue says so. Raises NotAllowedError."""
    kind = caller.partition(":")[0]
    if kind == "user" and not policies.customer_refunds:
        raise RefundNotAllowedError
    if kind not in ("user", "staff"):
        raise NotAllowedError


async def see_to_refund(pool: Pool, stripe: Stripe, refund: UUID, *, clock: Clock, first_try: bool) -> None:
    """Have Stripe give the money back, exactly once, and our record know of it; what Stripe refuses has failed.

    Raises UnavailableError while Stripe does not tell.
    """
    async with pool.connection() as conn:
        known = await refunds.get(conn, refund)
        purchase = await purchases.get(conn, known.purchase)
    if known.stripe_refund is not None or known.state == "failed":
        return
    try:
        await _make(pool, stripe, purchase, known, clock=clock, first_try=first_try)
    except StripeOutcomeUnknownError as error:
        await _move(pool, known, "unknown")
        raise StripeOutcomeUnknownError(refund=ids.show("refund", refund)) from error
    except StripeRefusedError as error:
        await _move(pool, known, "failed", failure=str(error.facts.get("reason") or error.detail))


async def _claim(pool: Pool, key: Key, purchase: UUID, *, account: UUID, order: RefundOrder, clock: Clock) -> Claim:
    """Record key and intent together, or find what the key was used for."""
    refund, at = ids.new_id(), clock.now()
    async with pool.transaction() as conn:
        found = await purchases.find(conn, purchase)
        if found is None or found.account != account:
            raise NotFoundError
        claim = await idempotency.claim(conn, key, subject=refund, at=at)
        if not claim.fresh:
            return claim
        amount = await _amount(conn, await purchases.lock(conn, purchase), order)
        await refunds.insert(
            conn,
            refund,
            purchase=purchase,
            amount_minor=amount,
            reason=order.reason,
            requested_by=key.caller,
            at=at,
        )
        reach("payments.refund.before_commit")
    reach("payments.refund.after_commit")
    log.info("refund.started", refund=ids.show("refund", refund), purchase=ids.show("purchase", purchase))
    return claim


async def _amount(conn: Connection, purchase: Purchase, order: RefundOrder) -> int:
    """Tell how much is to go back, of what neither went back yet nor is going to."""
    if not purchase.paid or purchase.state == "disputed":
        raise PurchaseStateError(f"the purchase is {purchase.state} and cannot be refunded", state=purchase.state)
    left = purchase.quote.price.amount_minor - await refunds.promised_minor(conn, purchase.id)
    if order.amount is None and left > 0:
        return left
    asked = order.amount or purchase.money(0)
    if asked.currency != purchase.quote.price.currency:
        raise InvalidRequestError(f"the purchase was paid in {purchase.quote.price.currency}")
    if left <= 0 or asked.amount_minor > left:
        raise RefundTooLargeError(left=purchase.money(max(left, 0)).model_dump())
    if not chargeable(asked.amount_minor, asked.currency):
        raise AmountNotChargeableError(f"{asked} is not an amount that can be refunded")
    return asked.amount_minor


async def _make(
    pool: Pool, stripe: Stripe, purchase: Purchase, refund: Refund, *, clock: Clock, first_try: bool
) -> None:
    if purchase.payment_intent is None:
        raise LookupError(f"purchase {purchase.id} is paid without a payment")
    seen = () if first_try else await stripe.refunds_of(purchase.payment_intent)
    age = clock.now() - refund.created_at
    if not any(one.ours("refund") == refund.id for one in seen):
        if age >= GIVEN_UP_AFTER:
            await _move(pool, refund, "failed", failure="Stripe never had this refund")
            return
        if age >= KEY_LIFE:
            raise StripeOutcomeUnknownError
        seen = (*seen, await stripe.create_refund(purchase, refund, payment_intent=purchase.payment_intent))
    reach("payments.refund_answer.before_commit")
    await _record(pool, purchase, seen, clock=clock)
    reach("payments.refund_answer.after_commit")


async def _record(pool: Pool, purchase: Purchase, seen: tuple[StripeRefund, ...], *, clock: Clock) -> None:
    async with pool.transaction() as conn:
        locked = await purchases.lock(conn, purchase.id)
        await settlement.apply_refunds(conn, locked, seen, at=clock.now())


async def _move(pool: Pool, refund: Refund, state: Literal["unknown", "failed"], *, failure: str | None = None) -> None:
    async with pool.transaction() as conn:
        await refunds.move(conn, refund.id, state, failure=failure)
    log.warning("refund.not_made", refund=ids.show("refund", refund.id), state=state, reason=failure)


async def _answer(pool: Pool, key: Key, refund: UUID) -> Answered:
    async with pool.transaction() as conn:
        known = await refunds.get(conn, refund)
        purchase = await purchases.get(conn, known.purchase)
        refused = known.state == "failed" and known.stripe_refund is None
        answer = RefundRefusedError(reason=known.failure) if refused else _shown(known, purchase)
        claim = await answers.store(conn, key, answer)
    return answers.give(claim, replayed=False)


def _shown(refund: Refund, purchase: Purchase) -> contract.Refund:
    return contract.Refund(
        id=refund.id, purchase=purchase.id, amount=purchase.money(refund.amount_minor), state=refund.state
    )
