"""Giving money back: asked for here once per key, done by Stripe once per refund, told by its totals."""

from datetime import datetime
from uuid import UUID

from libs.chassis import idempotency
from libs.chassis.clock import Clock
from libs.chassis.errors import DomainError, NotFoundError
from libs.chassis.failpoints import reach
from libs.chassis.idempotency import Claim, Key
from libs.chassis.pool import Connection, Pool
from libs.chassis.telemetry import log
from libs.contracts import ids
from libs.contracts.catalogue import Policies
from libs.contracts.http import payments_v1 as contract
from libs.contracts.http.payments_v1 import RefundOrder
from services.payments.clients.credits import CreditsClient
from services.payments.clients.stripe import Stripe, StripeOutcomeUnknownError, StripeRefusedError
from services.payments.domain.errors import (
    CreditsSpentError,
    GiftCardPartError,
    GiftCardRedeemedError,
    RefundRefusedError,
)
from services.payments.domain.purchases import Purchase
from services.payments.domain.refunds import Refund, amount_to_refund, check_in_time, check_may_refund
from services.payments.domain.stripe_objects import StripeRefund
from services.payments.operations import answers, settlement
from services.payments.operations.answers import Answered
from services.payments.operations.making import GIVEN_UP_AFTER, KEY_LIFE
from services.payments.operations.returning import most_minor, set_aside
from services.payments.store import gift_cards, purchases, refunds

_SPENT = "credits_spent"


async def refund_purchase(
    pool: Pool,
    stripe: Stripe,
    credits: CreditsClient,
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

    Raises NotFoundError, NotAllowedError, RefundTooLateError, what `amount_to_refund` raises, CreditsSpentError,
    RefundRefusedError if Stripe will not, and UnavailableError while nobody knows whether it did: the same request then
    goes on where this one stopped.
    """
    check_may_refund(caller, policies)
    body = [ids.show("purchase", purchase), order.model_dump(mode="json")]
    whose = Key.of(caller=caller, key=key, operation="refund_purchase", body=body)
    most = await _most(pool, credits, purchase, account=account, policies=policies)
    claim = await _claim(pool, whose, purchase, order=order, most=most, policies=policies, clock=clock)
    if claim.answered or claim.subject is None:
        return answers.give(claim, replayed=True)
    await see_to_refund(pool, stripe, credits, claim.subject, policies=policies, clock=clock, first_try=claim.fresh)
    return await _answer(pool, whose, claim.subject)


async def see_to_refund(
    pool: Pool,
    stripe: Stripe,
    credits: CreditsClient,
    refund: UUID,
    *,
    policies: Policies,
    clock: Clock,
    first_try: bool,
) -> None:
    """Have the credits set aside, then Stripe give the money back, exactly once, and our record know of it.

    What credits or Stripe refuse has failed. Raises UnavailableError while either does not tell.
    """
    async with pool.connection() as conn:
        known = await refunds.get(conn, refund)
        purchase = await purchases.get(conn, known.purchase)
    if known.stripe_refund is not None or known.state == "failed":
        return
    try:
        await set_aside(credits, purchase, known, policies)
        reach("payments.refund.set_aside")
        await _make(pool, stripe, purchase, known, clock=clock, first_try=first_try)
    except CreditsSpentError:
        await _fail(pool, known, failure=_SPENT, clock=clock)
    except StripeOutcomeUnknownError as error:
        async with pool.transaction() as conn:
            await refunds.move(conn, refund, "unknown")
        log.warning("refund.unknown", refund=ids.show("refund", refund))
        raise StripeOutcomeUnknownError(refund=ids.show("refund", refund)) from error
    except StripeRefusedError as error:
        await _fail(pool, known, failure=str(error.facts.get("reason") or error.detail), clock=clock)


async def _most(pool: Pool, credits: CreditsClient, purchase: UUID, *, account: UUID, policies: Policies) -> int | None:
    """Tell how much of a purchase may be refunded, as far as what is spent limits that. Raises NotFoundError."""
    async with pool.connection() as conn:
        found = await purchases.find(conn, purchase)
        if found is None or found.account != account:
            raise NotFoundError
        before = await refunds.promised_minor(conn, purchase)
    return await most_minor(credits, found, policies, before_minor=before)


async def _claim(
    pool: Pool,
    key: Key,
    purchase: UUID,
    *,
    order: RefundOrder,
    most: int | None,
    policies: Policies,
    clock: Clock,
) -> Claim:
    """Record key and intent together, or find what the key was used for."""
    refund, at = ids.new_id(), clock.now()
    async with pool.transaction() as conn:
        claim = await idempotency.claim(conn, key, subject=refund, at=at)
        if not claim.fresh:
            return claim
        locked = await purchases.lock(conn, purchase)
        check_in_time(locked, key.caller, policies, at=at)
        before = await refunds.promised_minor(conn, purchase)
        await refunds.insert(
            conn,
            refund,
            purchase=purchase,
            amount_minor=amount_to_refund(locked, order.amount, before_minor=before, most_minor=most),
            before_minor=before,
            reason=order.reason,
            requested_by=key.caller,
            at=at,
        )
        if locked.gift_card is not None:
            await _take_gift_card_back(conn, locked, locked.gift_card, at=at)
        reach("payments.refund.before_commit")
    reach("payments.refund.after_commit")
    log.info("refund.started", refund=ids.show("refund", refund), purchase=ids.show("purchase", purchase))
    return claim


async def _take_gift_card_back(conn: Connection, purchase: Purchase, gift_card: UUID, *, at: datetime) -> None:
    """Make the gift card void whose price is to go back; nobody can redeem it from here on."""
    if await refunds.promised_minor(conn, purchase.id) != purchase.quote.price.amount_minor:
        raise GiftCardPartError
    await gift_cards.follow_money(conn, purchase.id, at=at)
    if await gift_cards.redeemer(conn, gift_card):
        raise GiftCardRedeemedError(state=purchase.state)


async def _make(
    pool: Pool, stripe: Stripe, purchase: Purchase, refund: Refund, *, clock: Clock, first_try: bool
) -> None:
    if purchase.payment_intent is None:
        raise LookupError(f"purchase {purchase.id} is paid without a payment")
    seen = () if first_try else await stripe.refunds_of(purchase.payment_intent)
    age = clock.now() - refund.created_at
    if not any(one.ours("refund") == refund.id for one in seen):
        if age >= GIVEN_UP_AFTER:
            await _fail(pool, refund, failure="Stripe never had this refund", clock=clock)
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


async def _fail(pool: Pool, refund: Refund, *, failure: str, clock: Clock) -> None:
    """Record that a refund was not made, and tell it; not if Stripe has told us otherwise by now."""
    async with pool.transaction() as conn:
        locked = await purchases.lock(conn, refund.purchase)
        if await refunds.move(conn, refund.id, "failed", failure=failure):
            decided = await refunds.decided(conn, refund.purchase)
            (failed,) = [one for one in decided if one.id == refund.id]
            await settlement.tell_failed(conn, locked, failed, decided, at=clock.now())
            await gift_cards.follow_money(conn, refund.purchase, at=clock.now())


async def _answer(pool: Pool, key: Key, refund: UUID) -> Answered:
    async with pool.transaction() as conn:
        known = await refunds.get(conn, refund)
        purchase = await purchases.get(conn, known.purchase)
        refused = known.state == "failed" and known.stripe_refund is None
        answer = _refusal(known) if refused else _shown(known, purchase)
        claim = await answers.store(conn, key, answer)
    return answers.give(claim, replayed=False)


def _refusal(refund: Refund) -> DomainError:
    return CreditsSpentError() if refund.failure == _SPENT else RefundRefusedError(reason=refund.failure)


def _shown(refund: Refund, purchase: Purchase) -> contract.Refund:
    return contract.Refund(
        id=refund.id, purchase=purchase.id, amount=purchase.money(refund.amount_minor), state=refund.state
    )
