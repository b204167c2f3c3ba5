"""Us to Stripe and to the ledger: what is paid here was paid there, and has brought its credits and taken them back."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from libs.chassis import outbox
from libs.chassis.pool import Connection
from libs.chassis.telemetry import log
from libs.contracts import ids
from libs.contracts.events.base import Event
from libs.contracts.http.reconciliation_v1 import FindingKind
from libs.contracts.http.returns_v1 import GrantedLot
from services.payments.clients.stripe import StripeRefusedError
from services.payments.domain.purchases import Purchase, Sight, difference
from services.payments.domain.reconciliation import LATE, LEDGER_KINDS, Disagreement, Page, Walk, against_ledger
from services.payments.domain.stripe_objects import PaymentIntent
from services.payments.operations import settlement
from services.payments.operations.findings import Sides, close, record
from services.payments.store import findings, movements, purchases, reconciliation, refunds

_AT_ONCE = 500
"""As many as the ledger is asked for at once."""

_MENDABLE: tuple[FindingKind, ...] = ("lots_missing", "not_taken_back")
"""What telling the ledger again may mend."""


async def compare_purchases(sides: Sides, walk: Walk) -> Page | None:
    """Compare a page of what was paid; None while the ledger cannot have heard of everything. Raises UnavailableError.

    Only a full pass asks whether Stripe has the money: what is new was just told by Stripe itself.
    """
    since, after = place(walk)
    async with sides.pool.connection() as conn:
        if await reconciliation.untold(conn, until=walk.until):
            return None
        paid = await purchases.paid_between(conn, since=since, until=walk.until, after=after, limit=_AT_ONCE)
        shown = await movements.charged(conn, [str(one.payment_intent) for one in paid])
    await compare_with_ledger(sides, paid, insist=walk.scope == "full")
    if walk.scope == "full":
        late = sides.clock.now() - LATE
        for one in paid:
            if one.payment_intent not in shown and one.paid_at is not None and one.paid_at <= late:
                await _ask_stripe(sides, one)
    if len(paid) < _AT_ONCE or (last := paid[-1]).paid_at is None:
        return Page(len(paid), None, walk.until)
    return Page(len(paid), f"{last.paid_at.isoformat()} {last.id}", last.paid_at)


async def recheck(sides: Sides) -> int:
    """Compare again what the ledger was told again; returns how many purchases that was."""
    async with sides.pool.connection() as conn:
        waiting = await findings.purchases_open(conn, LEDGER_KINDS, limit=_AT_ONCE)
        again = await purchases.find_all(conn, waiting)
    await compare_with_ledger(sides, again, insist=False)
    return len(again)


async def compare_with_ledger(sides: Sides, paid: Sequence[Purchase], *, insist: bool) -> None:
    """Compare paid purchases with the ledger's lots. What is missing there is told again, once unless we `insist`."""
    bought = [one for one in paid if one.lots]
    if not bought:
        return
    lots = (await sides.credits.brought_by([one.id for one in bought])).lots
    of: dict[UUID, list[GrantedLot]] = {one.id: [] for one in bought}
    for lot in lots:
        of[lot.purchase].append(lot)
    differ = [one.id for one in bought if against_ledger(one, settlement.to_take_back(one), of[one.id])]
    agree = [ids.show("purchase", one.id) for one in bought if one.id not in differ]
    async with sides.pool.transaction() as conn:
        await close(conn, LEDGER_KINDS, agree, at=sides.clock.now())
    for wrong in differ:
        await _found(sides, wrong, of[wrong], insist=insist)


async def _found(sides: Sides, wrong: UUID, lots: Sequence[GrantedLot], *, insist: bool) -> None:
    """Compare once more, as others may have changed the purchase since it was read; while we look, nobody does.

    What goes back is told in total, each total under a revision of its own: the newest under the newest. While
    something about the account waits to be told, the ledger has not heard of all, and nothing is found.
    """
    name, at = ids.show("purchase", wrong), sides.clock.now()
    async with sides.pool.transaction() as conn:
        purchase = await purchases.lock(conn, wrong)
        found = against_ledger(purchase, settlement.to_take_back(purchase), lots)
        if found is None or await reconciliation.untold_of(conn, purchase.account):
            return
        kind, detail = found
        mendable = kind in _MENDABLE
        new = await record(conn, Disagreement(kind, name, purchase.id, detail), at=at, told_again=mendable)
        if mendable and (new or insist):
            await _tell_again(conn, purchase, kind, at=at)
            await findings.tell_again(conn, kind, name, at=at)
            log.warning("reconciliation.told_again", purchase=name, kind=kind)


async def _tell_again(conn: Connection, purchase: Purchase, kind: FindingKind, *, at: datetime) -> None:
    """Tell once more what the ledger has not heard of, as it was told; what it knows already changes nothing there."""
    if purchase.payment_intent is None or purchase.paid_at is None or purchase.paid_revision is None:
        raise LookupError(f"purchase {purchase.id} is paid without a payment")
    payment, told = purchase.payment_intent, list[Event]()
    if kind == "lots_missing":
        told.append(settlement.paid_event(purchase, payment, revision=purchase.paid_revision, at=purchase.paid_at))
    if kind == "not_taken_back" or any(lot.credits for lot in settlement.to_take_back(purchase)):
        decided = await refunds.decided(conn, purchase.id)
        told.append(settlement.refunded_event(purchase, decided, payment, revision=purchase.revision, at=at))
    await outbox.append(conn, *told, at=at)


async def _ask_stripe(sides: Sides, purchase: Purchase) -> None:
    """Ask for a payment that Stripe's balance does not show; if Stripe does not have the money, people look into it."""
    payment = str(purchase.payment_intent)
    intent: PaymentIntent | None = None
    try:
        intent = await sides.stripe.payment_intent(payment)
        reason = difference(purchase, Sight(intent)) or (None if intent.status == "succeeded" else "not_paid")
    except StripeRefusedError:
        reason = "not_at_stripe"
    at = sides.clock.now()
    async with sides.pool.transaction() as conn:
        if reason is None:
            await close(conn, ("payment_missing",), [payment], at=at)
            return
        body = intent.model_dump(mode="json") if intent is not None else {"id": payment}
        await settlement.put_aside(conn, reason, body, purchase=purchase, event_id=None, at=at)
        found = Disagreement("payment_missing", payment, purchase.id, f"paid here, and at Stripe: {reason}")
        await record(conn, found, at=at)


def place(walk: Walk) -> tuple[datetime, UUID | None]:
    """Read where a walk by time goes on: at which instant, and behind what."""
    if walk.cursor is None:
        return walk.since, None
    paid_at, _, purchase = walk.cursor.partition(" ")
    return datetime.fromisoformat(paid_at), UUID(purchase)
