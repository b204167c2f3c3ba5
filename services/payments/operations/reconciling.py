"""Reconciliation: the books of Stripe, of payments and of the ledger are compared, both ways, in small steps.

What is new is followed as it comes; a full pass goes through the last weeks again, each day or when somebody asks. A
step may be repeated: where it stands is recorded after it, and what it mends is mended once by whoever comes.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta

from libs.chassis.broker.retrying import RETRYABLE
from libs.chassis.callers import check_staff
from libs.chassis.failpoints import reach
from libs.chassis.leading import leading
from libs.chassis.pool import Connection
from libs.chassis.telemetry import RECONCILIATION_FAILURES, log
from libs.contracts.http import reconciliation_v1 as contract
from libs.contracts.http.reconciliation_v1 import Scope, StepDone, StepOrder, What
from services.payments.domain.errors import ReconciliationStoppedError
from services.payments.domain.reconciliation import (
    ARRIVAL,
    BACKWARD,
    FULL_EVERY,
    REACH,
    WHATS,
    YOUNG,
    Page,
    Walk,
    overlap,
)
from services.payments.operations.comparing_events import compare_events
from services.payments.operations.comparing_lots import compare_lots
from services.payments.operations.comparing_movements import compare_movements
from services.payments.operations.comparing_purchases import compare_purchases, recheck
from services.payments.operations.comparing_totals import compare_totals
from services.payments.operations.comparing_vouchers import compare_vouchers, recheck_vouchers
from services.payments.operations.findings import Sides, measure
from services.payments.store import findings, movements
from services.payments.store import reconciliation as store

Compare = Callable[[Sides, Walk], Awaitable[Page | None]]

_COMPARE: dict[What, Compare] = {
    "movements": compare_movements,
    "events": compare_events,
    "purchases": compare_purchases,
    "vouchers": compare_vouchers,
    "lots": compare_lots,
}


async def reconcile(sides: Sides) -> int:
    """Follow what is new by a page of each, and go on with the full pass; returns how many pages of the new are left.

    One process at a time. What fails, or waits for who does not answer, holds up only itself.
    """
    left = 0
    try:
        async with sides.pool.connection() as conn, leading(conn, store.LOCK) as leads:
            if leads:
                for what in WHATS:
                    left += await _patiently(what, _follow(sides, what))
                await _patiently("again", recheck(sides))
                await _patiently("again", recheck_vouchers(sides))
                await _go_on(sides)
    finally:
        await measure(sides.pool, clock=sides.clock)
    return left


async def step(sides: Sides, order: StepOrder, *, caller: str) -> StepDone:
    """Go on with a full pass by a page, or begin one. Raises NotAllowedError.

    Raises UnavailableError or ReconciliationStoppedError if nothing of it can go on.
    """
    check_staff(caller)
    async with sides.pool.connection() as conn, leading(conn, store.LOCK) as leads:
        if leads:
            if order.begin:
                await _begin_full(sides, since=order.since, young={})
            stopped = await _go_on(sides)
            await recheck(sides)
            await recheck_vouchers(sides)
            if isinstance(stopped, RETRYABLE):
                raise stopped
            if stopped is not None:
                raise ReconciliationStoppedError from stopped
    async with sides.pool.connection() as conn:
        walks = [walk for walk in await store.all_walks(conn) if walk.scope == "full"]
        arriving = await findings.arriving(conn, told_since=sides.clock.now() - ARRIVAL)
    done = leads and not arriving and all(walk.ended_at is not None for walk in walks)
    return StepDone(walks=[_shown(walk) for walk in walks], done=done, busy=not leads)


async def show(sides: Sides) -> contract.Reconciliation:
    """Tell where it stands, what is open, and what was mended."""
    drift = await measure(sides.pool, clock=sides.clock)
    since = sides.clock.now() - REACH
    async with sides.pool.connection() as conn:
        walks = await store.all_walks(conn)
        began = min((walk.until for walk in walks if walk.scope == "full"), default=since)
        return contract.Reconciliation(
            walks=[_shown(walk) for walk in walks],
            drift=drift,
            findings=await findings.open_ones(conn, limit=100),
            repaired=await findings.repaired_since(conn, began, limit=100),
            moved=await movements.moved(conn, since=since),
            settled=await movements.settled(conn, since=since),
        )


async def _patiently(what: str, work: Awaitable[int]) -> int:
    try:
        return await work
    except Exception as error:
        _note(what, error)
        return 0


def _note(what: str, error: Exception) -> None:
    """Say that a step failed: later it may not, unless it is our mistake or whoever set the keys'."""
    if isinstance(error, RETRYABLE):
        log.warning("reconciliation.later", what=what, reason=str(error))
        return
    RECONCILIATION_FAILURES.labels(what).inc()
    log.error("reconciliation.failed", what=what, exc_info=error)


async def _follow(sides: Sides, what: What) -> int:
    """Compare the next page of what is new; returns 1 if there is more of it."""
    async with sides.pool.transaction() as conn:
        walk = await store.find(conn, what, "continuous")
        if walk is None or walk.ended_at is not None:
            until = sides.clock.now() - YOUNG[what]
            followed = walk.until if walk is not None else until
            since = followed - overlap(what, followed=followed, until=until)
            await _begin(conn, what, "continuous", since=min(since, until), until=until)
            walk = await store.find(conn, what, "continuous")
    page = await _turn(sides, walk) if walk is not None else None
    return int(page is not None and page.cursor is not None)


async def _go_on(sides: Sides) -> Exception | None:
    """Compare the next page of the full pass, or begin one if the last was long ago.

    What fails is passed over for what does not; returns why, if all that is left failed.
    """
    async with sides.pool.connection() as conn:
        walks = [walk for what in WHATS if (walk := await store.find(conn, what, "full")) is not None]
    under_way = [walk for walk in walks if walk.ended_at is None]
    if not under_way and (not walks or sides.clock.now() - max(walk.until for walk in walks) >= FULL_EVERY):
        await _begin_full(sides, since=None, young=YOUNG)
    stopped: Exception | None = None
    for walk in under_way:
        try:
            page = await _turn(sides, walk)
            if page is not None and page.cursor is None and len(under_way) == 1:
                await compare_totals(sides, walks)
        except Exception as error:
            _note(walk.what, error)
            stopped = stopped or error
        else:
            return None
    return stopped


async def _turn(sides: Sides, walk: Walk) -> Page | None:
    page = await _COMPARE[walk.what](sides, walk)
    if page is None:
        return None
    reach("payments.reconcile.before_commit")
    async with sides.pool.transaction() as conn:
        await store.advance(conn, walk, page, at=sides.clock.now())
    reach("payments.reconcile.after_commit")
    return page


async def _begin_full(sides: Sides, *, since: datetime | None, young: Mapping[What, timedelta]) -> None:
    now = sides.clock.now()
    async with sides.pool.transaction() as conn:
        for what in WHATS:
            until = now - young.get(what, timedelta(0))
            await _begin(conn, what, "full", since=min(since or now - REACH, until), until=until)


async def _begin(conn: Connection, what: What, scope: Scope, *, since: datetime, until: datetime) -> None:
    reached = until if what in BACKWARD else since
    await store.begin(conn, what, scope, since=since, until=until, reached=reached)


def _shown(walk: Walk) -> contract.Walk:
    gone = walk.until - walk.reached if walk.what in BACKWARD else walk.reached - walk.since
    whole = max(walk.until - walk.since, timedelta(seconds=1))
    return contract.Walk(
        what=walk.what,
        scope=walk.scope,
        since=walk.since,
        until=walk.until,
        percent=100 if walk.ended_at is not None else max(0, min(100 * gone // whole, 99)),
        compared=walk.compared,
        ended_at=walk.ended_at,
    )
