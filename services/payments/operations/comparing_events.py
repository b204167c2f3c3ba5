"""Stripe's events to us: what moves no money shows in no balance, so an event that never came is handled now.

Its object is as Stripe's account has it, whatever version we speak, and may be old: as with webhooks, it only makes us
look. Events of payments that wait, and of money that came, are left out: those are looked at without.
"""

from libs.chassis.broker.retrying import RETRYABLE
from libs.chassis.telemetry import log
from services.payments.clients.stripe import StripeRefusedError
from services.payments.clients.stripe_lists import events
from services.payments.domain.reconciliation import EVENTS_KEPT, Disagreement, Page, Walk
from services.payments.domain.stripe_objects import StripeEvent
from services.payments.operations.findings import Sides, close, record
from services.payments.operations.settling import Settler
from services.payments.operations.stripe_events import LISTED, handle_stripe_event
from services.payments.store import handled_events as store
from services.payments.store.handled_events import Mark


async def compare_events(sides: Sides, walk: Walk) -> Page:
    """Handle what of a page of Stripe's events was not. Raises UnavailableError if Stripe does not answer."""
    try:
        page = await events(sides.stripe, types=LISTED, since=walk.since, until=walk.until, after=walk.cursor)
    except StripeRefusedError:
        if walk.cursor is None:
            raise
        return Page(0, None, walk.since)  # so old that Stripe has forgotten where we were, and all that is older
    if page.data:
        async with sides.pool.connection() as conn:
            handled = await store.among(conn, [event.id for event in page.data])
        for event in reversed(page.data):
            if event.id not in handled:
                await _take_up(sides, event)
    if page.last is None and walk.scope == "full":
        async with sides.pool.connection() as conn:
            await store.forget(conn, before=sides.clock.now() - EVENTS_KEPT)
    return Page(len(page.data), page.last, page.reached or walk.since)


async def _take_up(sides: Sides, event: StripeEvent) -> None:
    """Handle an event as its webhook would have been; if our record changes by it, that was missed."""
    payment = event.object.get("payment_intent")
    before = await _mark(sides, payment)
    try:
        await handle_stripe_event(
            sides.pool, sides.stripe, Settler(sides.pool), event, policies=sides.policies, clock=sides.clock
        )
    except RETRYABLE:
        raise
    except Exception as error:
        log.exception("reconciliation.cannot_handle", stripe_event=event.id, type=event.type)
        found = Disagreement("event_unhandled", event.id, None, f"{event.type}: {type(error).__name__}")
        await _record(sides, found)
        return
    after = await _mark(sides, payment)
    async with sides.pool.transaction() as conn:
        await close(conn, ("event_unhandled",), [event.id], at=sides.clock.now())
    if after is not None and after != before:
        await _record(sides, Disagreement("event_missed", event.id, after.purchase, event.type), repaired=True)


async def _mark(sides: Sides, payment: object) -> Mark | None:
    if not isinstance(payment, str):
        return None
    async with sides.pool.connection() as conn:
        return await store.mark_of(conn, payment)


async def _record(sides: Sides, found: Disagreement, *, repaired: bool = False) -> None:
    async with sides.pool.transaction() as conn:
        await record(conn, found, at=sides.clock.now(), repaired=repaired)
