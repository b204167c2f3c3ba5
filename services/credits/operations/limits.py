"""What an account and those who spend of it may do: set by staff and by an organisation's own admins."""

from uuid import UUID

from libs.chassis import outbox
from libs.chassis.clock import Clock
from libs.chassis.pool import Connection, Pool
from libs.chassis.telemetry import ACCOUNTS_NEAR_NOTHING, OVERDRAFT_POSSIBLE
from libs.contracts import catalogue
from libs.contracts.credits import format_credits
from libs.contracts.events import RunawayResumed
from libs.contracts.http.limits_v1 import (
    AccountLimits,
    Actor,
    ActorLimitsOrder,
    Actors,
    PurchaseAllowed,
    UncoveredUsage,
)
from services.credits.domain import tallies
from services.credits.domain.errors import LimitExceededError, UnknownAccountError
from services.credits.domain.tallies import hour_of
from services.credits.operations.expiry import settle_due_of
from services.credits.operations.ledger import Ledger
from services.credits.store import accounts
from services.credits.store import limits as store


async def of_account(pool: Pool, account: UUID) -> AccountLimits:
    """Tell an account's state and its own limits. Raises UnknownAccountError."""
    async with pool.connection() as conn:
        return await read(conn, account)


async def read(conn: Connection, account: UUID) -> AccountLimits:
    """Tell an account's state and its own limits. Raises UnknownAccountError."""
    row = await store.limits_of(conn, account)
    if row is None:
        raise UnknownAccountError
    return AccountLimits(
        account=account,
        state=row["state"],
        resumes_at=row["resumes_at"],
        overdraft_limit=row["overdraft_limit"],
        low_balance_threshold=row["low_below"],
        uncovered_usage=row["uncovered_usage"],
        holds_blocked=row["uncovered"] is not None,
        sequence=row["sequence"],
    )


async def set_overdraft(pool: Pool, account: UUID, limit: int | None) -> AccountLimits:
    """Let an account spend so far below nothing, or as far as the catalogue says. Raises UnknownAccountError.

    What is overdrawn already stays so; a lower limit refuses what would come on top.
    """
    async with pool.transaction() as conn:
        if not await store.set_overdraft_limit(conn, account, limit):
            raise UnknownAccountError
        return await read(conn, account)


async def set_threshold(pool: Pool, ledger: Ledger, account: UUID, threshold: int | None) -> AccountLimits:
    """Have an account be low below so much, or below what the catalogue says. Raises UnknownAccountError.

    If that makes it low, or makes it low no more, it is told as any crossing is.
    """
    async with pool.transaction() as conn:
        if not await store.set_low_below(conn, account, threshold):
            raise UnknownAccountError
        await ledger.apply(conn, [], due=[account])
        return await read(conn, account)


async def set_uncovered_usage(pool: Pool, account: UUID, policy: UncoveredUsage | None) -> AccountLimits:
    """Say what comes of usage that no credits cover; blocked holds are free. Raises UnknownAccountError."""
    async with pool.transaction() as conn:
        if not await store.set_uncovered_usage(conn, account, policy):
            raise UnknownAccountError
        return await read(conn, account)


async def watch_overdrafts(pool: Pool, ledger: Ledger) -> int:
    """Measure how far accounts may come to be overdrawn, and how many are near nothing; nothing is left to be done."""
    async with pool.connection() as conn:
        largest, total, near = await store.possible_overdrafts(conn, limit=ledger.rules.overdraft_limit)
    OVERDRAFT_POSSIBLE.labels("largest").set(largest)
    OVERDRAFT_POSSIBLE.labels("sum").set(total)
    ACCOUNTS_NEAR_NOTHING.set(near)
    return 0


async def set_actor_limits(pool: Pool, clock: Clock, account: UUID, actor: str, order: ActorLimitsOrder) -> Actor:
    """Say what one may spend of an account in a day and in a month; what he spends counts from now on.

    Raises UnknownAccountError.
    """
    async with pool.transaction() as conn:
        if not await store.lock_account(conn, account):
            raise UnknownAccountError
        await store.set_actor_limits(conn, account, actor, day_limit=order.per_day, month_limit=order.per_month)
        return _actor((await store.actors(conn, [(account, actor)]))[account, actor], clock)


async def actors(pool: Pool, clock: Clock, account: UUID) -> Actors:
    """Name those who are known to spend of an account, with their limits."""
    async with pool.connection() as conn:
        return Actors(data=[_actor(actor, clock) for actor in await store.actors_of(conn, account)])


def _actor(actor: tallies.Actor, clock: Clock) -> Actor:
    actor.tally.roll(hour_of(clock.now()))
    return Actor(
        actor=actor.name,
        per_day=actor.day_limit,
        per_month=actor.month_limit,
        spent_today=actor.tally.spent_today,
        spent_this_month=actor.tally.spent_this_month,
        stopped=actor.stopped,
        resumes_at=actor.resumes_at,
    )


async def resume(pool: Pool, clock: Clock, account: UUID, *, actor: str | None, by: str) -> AccountLimits:
    """End a runaway's stop by hand, an account's or an actor's, and begin its hour anew; again changes nothing.

    Raises UnknownAccountError.
    """
    async with pool.transaction() as conn:
        if not await store.lock_account(conn, account):
            raise UnknownAccountError
        found = await read(conn, account)
        if await _resume(conn, account, actor):
            at = clock.now()
            told = RunawayResumed(account=account, sequence=found.sequence, occurred_at=at, actor=actor, by=by)
            await outbox.append(conn, told, at=at)
        return await read(conn, account)


async def _resume(conn: Connection, account: UUID, actor: str | None) -> bool:
    if actor is not None:
        return await store.resume_actor(conn, account, actor)
    if await store.change_state(conn, account, from_states=["stopped"], to="open") is None:
        return False
    await store.forget_spending(conn, account)
    return True


async def check_purchase(
    pool: Pool, ledger: Ledger, clock: Clock, account: UUID, *, credits: int, limits: catalogue.Limits
) -> PurchaseAllowed:
    """Tell whether somebody may begin to buy so many credits. Raises LimitExceededError.

    It is asked before; a payment that came in the end is credited whatever there is by then, and opens the account if
    there is none.
    """
    if limits.minimum_purchase is not None and credits < limits.minimum_purchase:
        raise _beyond("minimum_purchase", f"at least {format_credits(limits.minimum_purchase)} credits a purchase")
    if limits.maximum_per_transaction is not None and credits > limits.maximum_per_transaction:
        most = format_credits(limits.maximum_per_transaction)
        raise _beyond("maximum_per_transaction", f"at most {most} credits a purchase")
    await settle_due_of(pool, ledger, clock, account)
    async with pool.connection() as conn:
        found = await accounts.balances(conn, [account])
    after = sum(has.available - has.overdraft - has.debt + has.held for has in found) + credits
    if limits.maximum_balance is not None and after > limits.maximum_balance:
        most = format_credits(limits.maximum_balance)
        raise _beyond("maximum_balance", f"an account may have {most} credits, and this would make it more")
    return PurchaseAllowed(credits=credits, balance_after=after)


def _beyond(limit: str, detail: str) -> LimitExceededError:
    return LimitExceededError(detail, limit=limit)
