"""What did not agree: recorded once, mended or open; how much is open is the drift, which is to be 0."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import get_args
from uuid import UUID

from libs.chassis.callers import check_staff
from libs.chassis.clock import Clock
from libs.chassis.errors import NotFoundError
from libs.chassis.pool import Connection, Pool
from libs.chassis.telemetry import MONEY_DRIFT, RECONCILIATION_LAG, RECONCILIATION_REPAIRS, log
from libs.contracts import ids
from libs.contracts.catalogue import Policies
from libs.contracts.http.reconciliation_v1 import Finding, FindingKind
from services.payments.clients.credits import CreditsClient
from services.payments.clients.stripe import Stripe
from services.payments.domain.reconciliation import ARRIVAL, Disagreement
from services.payments.store import findings, reconciliation


@dataclass(frozen=True, slots=True)
class Sides:
    """Whose books are compared: ours, Stripe's and the ledger's; by our clock, and by the policies that we follow."""

    pool: Pool
    stripe: Stripe
    credits: CreditsClient
    clock: Clock
    policies: Policies


async def record(
    conn: Connection, found: Disagreement, *, at: datetime, repaired: bool = False, told_again: bool = False
) -> bool:
    """Record what did not agree, and raise the alarm unless it is mended; False if it is known."""
    new = await findings.put(conn, found, at=at, repaired=repaired, told_again=told_again)
    if new and repaired:
        RECONCILIATION_REPAIRS.labels(found.kind).inc()
        log.warning("reconciliation.repaired", kind=found.kind, object_id=found.object, detail=found.detail)
    elif new:
        whose = ids.show("purchase", found.purchase) if found.purchase else None
        log.error("reconciliation.found", kind=found.kind, object_id=found.object, purchase=whose, detail=found.detail)
    return new


async def close(conn: Connection, kinds: Sequence[FindingKind], objects: Sequence[str], *, at: datetime) -> None:
    """Note that these agree; what was open of them is mended."""
    for kind in await findings.close(conn, kinds, objects, at=at):
        RECONCILIATION_REPAIRS.labels(kind).inc()
        log.warning("reconciliation.repaired", kind=kind)


async def measure(pool: Pool, *, clock: Clock) -> int:
    """Tell how much does not agree and is not explained; have it, and how far comparing is, shown to who watches."""
    now = clock.now()
    async with pool.connection() as conn:
        drift = await findings.drift(conn, arrived_before=now - ARRIVAL)
        walks = await reconciliation.all_walks(conn)
    for walk in walks:
        RECONCILIATION_LAG.labels(walk.what, walk.scope).set((now - walk.followed).total_seconds())
    for kind in get_args(FindingKind):
        MONEY_DRIFT.labels(kind).set(drift.get(kind, 0))
    return sum(drift.values())


async def resolve(pool: Pool, finding: UUID, *, reason: str, caller: str, clock: Clock) -> Finding:
    """Note why something may stay as it is; what was said first stays. Raises NotAllowedError, NotFoundError."""
    check_staff(caller)
    async with pool.transaction() as conn:
        await findings.resolve(conn, finding, by=caller, reason=reason, at=clock.now())
        found = await findings.get(conn, finding)
    if found is None:
        raise NotFoundError
    log.warning("reconciliation.resolved", finding=ids.show("finding", finding), by=caller, reason=reason)
    return found
