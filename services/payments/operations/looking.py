"""Looking at Stripe: a purchase is brought to where Stripe shows it to be. Webhooks are nudges to look."""

from uuid import UUID

from libs.chassis.clock import Clock
from libs.chassis.errors import UnavailableError
from libs.chassis.failpoints import reach
from libs.chassis.pool import Pool
from services.payments.clients.stripe import Stripe
from services.payments.domain.purchases import Purchase, Sight
from services.payments.domain.stripe_objects import PaymentIntent
from services.payments.operations import settlement
from services.payments.operations.settlement import Outcome
from services.payments.store import purchases

_TRIES = 10


async def look(
    pool: Pool, stripe: Stripe, purchase: UUID, *, clock: Clock, at: str | None = None, event_id: str | None = None
) -> Outcome:
    """Read what Stripe shows of a purchase, then apply it; `at` names the payment or payment page to look at.

    If somebody else applied a look meanwhile, ours may be the older one, and we look again. Raises UnavailableError.
    """
    for _ in range(_TRIES):
        async with pool.connection() as conn:
            known = await purchases.get(conn, purchase)
        sight = await _see(stripe, known, at or known.checkout_session or known.payment_intent)
        async with pool.transaction() as conn:
            locked = await purchases.lock(conn, purchase)
            if locked.looks != known.looks:
                continue
            outcome = await settlement.apply(conn, locked, sight, at=clock.now(), event_id=event_id)
            await purchases.count_look(conn, purchase)
            reach("payments.look.before_commit")
        reach("payments.look.after_commit")
        return outcome
    raise UnavailableError("too much happens to this purchase at once")


async def _see(stripe: Stripe, purchase: Purchase, at: str | None) -> Sight:
    if at is None:
        raise LookupError(f"nothing of purchase {purchase.id} is known to be at Stripe")
    session = await stripe.checkout_session(at) if at.startswith("cs_") else None
    begun = session.payment_intent if session is not None else await stripe.payment_intent(at)
    intent = begun if isinstance(begun, PaymentIntent) else None
    if intent is None or intent.status != "succeeded":
        return Sight(intent, session)
    return Sight(intent, session, await stripe.refunds_of(intent.id), await stripe.disputes_of(intent.id))
