"""What an account may do at all: frozen, it cannot spend; closed, it is settled and nothing else.

To have it so once more changes nothing.

Freezing stops new spends and holds. What was promised before goes on: captures, refunds of charges and payments, and
whatever was paid for is granted.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from libs.chassis import failpoints, outbox
from libs.chassis.clock import Clock
from libs.chassis.pool import Connection, Pool
from libs.contracts.events import AccountClosed, AccountFrozen, AccountUnfrozen, Event
from libs.contracts.http.limits_v1 import AccountLimits, AccountState, StateChange, StateChanges
from services.credits.domain.errors import AccountNotEmptyError, AccountNotOpenError
from services.credits.operations import limits
from services.credits.operations.expiry import settle_due_of
from services.credits.operations.ledger import Ledger
from services.credits.store import limits as store

_SHOWN = 100


class Why(NamedTuple):
    """Who changes an account's state, and the reason that he gives."""

    by: str
    reason: str


async def freeze(pool: Pool, clock: Clock, account: UUID, *, by: str, reason: str) -> AccountLimits:
    """Let nothing more be spent or held. Raises UnknownAccountError, AccountNotOpenError if it is closed."""

    def told(at: datetime, sequence: int, _: int) -> Event:
        return AccountFrozen(account=account, sequence=sequence, occurred_at=at, by=by, reason=reason)

    why = Why(by, reason)
    return await _change(pool, clock, account, to="frozen", from_states=["open", "stopped"], why=why, told=told)


async def unfreeze(pool: Pool, clock: Clock, account: UUID, *, by: str, reason: str) -> AccountLimits:
    """Let a frozen account spend again; a stopped one stays so. Raises as `freeze` does."""

    def told(at: datetime, sequence: int, _: int) -> Event:
        return AccountUnfrozen(account=account, sequence=sequence, occurred_at=at, by=by, reason=reason)

    return await _change(pool, clock, account, to="open", from_states=["frozen"], why=Why(by, reason), told=told)


async def close(
    pool: Pool, ledger: Ledger, clock: Clock, account: UUID, *, by: str, reason: str, force: bool
) -> AccountLimits:
    """Close an account for good. Raises UnknownAccountError, AccountNotEmptyError unless it is empty or forced."""

    def told(at: datetime, sequence: int, available: int) -> Event:
        return AccountClosed(
            account=account, sequence=sequence, occurred_at=at, by=by, reason=reason, available=available
        )

    await settle_due_of(pool, ledger, clock, account)
    states: list[AccountState] = ["open", "stopped", "frozen"]
    why = Why(by, reason)
    return await _change(
        pool, clock, account, to="closed", from_states=states, why=why, told=told, only_empty=not force
    )


async def changes(pool: Pool, account: UUID) -> StateChanges:
    """Tell who last changed an account's state, and why. Raises UnknownAccountError."""
    async with pool.connection() as conn:
        await limits.read(conn, account)
        rows = await store.state_changes(conn, account, limit=_SHOWN)
    return StateChanges(data=[StateChange(**row) for row in rows])


async def _change(
    pool: Pool,
    clock: Clock,
    account: UUID,
    *,
    to: AccountState,
    from_states: Sequence[AccountState],
    why: Why,
    told: Callable[[datetime, int, int], Event],
    only_empty: bool = False,
) -> AccountLimits:
    async with pool.transaction() as conn:
        at = clock.now()
        changed = await store.change_state(conn, account, from_states=from_states, to=to, only_empty=only_empty)
        if changed is None:
            return await _as_it_is(conn, account, to)
        await store.note_state_change(conn, account, state=to, by=why.by, reason=why.reason, at=at)
        await outbox.append(conn, told(at, *changed), at=at)
        failpoints.reach("credits.change_state.before_commit")
        return await limits.read(conn, account)


async def _as_it_is(conn: Connection, account: UUID, to: AccountState) -> AccountLimits:
    """Answer one that did not change: it was so before, or it cannot be."""
    found = await limits.read(conn, account)
    if found.state == "closed" and to != "closed":
        raise AccountNotOpenError
    if to == "closed" and found.state != "closed":
        raise AccountNotEmptyError
    return found
