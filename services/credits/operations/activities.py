"""Activities: what somebody did earns credits, by the catalogue's rules, once for a reference."""

from collections.abc import Mapping
from datetime import timedelta

import orjson

from libs.chassis import failpoints, outbox
from libs.chassis.clock import Clock
from libs.chassis.pool import Connection, Pool
from libs.contracts import ids
from libs.contracts.catalogue import Activity
from libs.contracts.http.grants_v1 import ActivityAward, ActivityReport
from services.credits.domain.errors import (
    AccountNotOpenError,
    LimitExceededError,
    UnknownAccountError,
    UnknownActivityError,
)
from services.credits.domain.postings import Cause, Grant, key_of
from services.credits.operations.accounts import granted
from services.credits.operations.ledger import Ledger
from services.credits.store import grants as store
from services.credits.store import limits


async def earn(
    pool: Pool, ledger: Ledger, clock: Clock, report: ActivityReport, *, activities: Mapping[str, Activity]
) -> ActivityAward:
    """Give what an activity earns; the same reference again earns nothing more, and is answered as it was.

    Raises UnknownActivityError, UnknownAccountError, AccountNotOpenError, and LimitExceededError once the account has
    earned by it as often as it may.
    """
    activity = activities.get(report.activity)
    if activity is None:
        raise UnknownActivityError
    async with pool.transaction() as conn:
        if not await limits.lock_account(conn, report.account):
            raise UnknownAccountError
        if before := await store.award(conn, report.account, report.activity, report.reference):
            return before
        await _check_limits(conn, report, activity, clock)
        award = await _give(conn, ledger, report, activity, clock)
        failpoints.reach("credits.earn.before_commit")
    failpoints.reach("credits.earn.after_commit")
    return award


async def _check_limits(conn: Connection, report: ActivityReport, activity: Activity, clock: Clock) -> None:
    today = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    ever, since = await store.count_awards(conn, report.account, report.activity, since=today)
    if activity.per_account is not None and ever >= activity.per_account:
        raise LimitExceededError(f"an account earns by this {activity.per_account} times", limit="per_account")
    most = activity.per_account_and_day
    if most is not None and since >= most:
        raise LimitExceededError(f"an account earns by this {most} times a day", limit="per_account_and_day")


async def _give(
    conn: Connection, ledger: Ledger, report: ActivityReport, activity: Activity, clock: Clock
) -> ActivityAward:
    days = activity.expires_after_days
    posting = _posting(report, activity)
    posting.expires_at = clock.now() + timedelta(days=days) if days else None
    at, (result,) = await ledger.apply(conn, [posting])
    if result.outcome != "accepted":
        raise AccountNotOpenError if result.outcome == "not_open" else LimitExceededError
    award = ActivityAward(
        account=report.account,
        activity=report.activity,
        reference=report.reference,
        credits=activity.credits,
        lot=posting.lot,
        earned_at=at,
    )
    await store.record_award(conn, award)
    await outbox.append(conn, granted(posting, result, at), at=at)
    return award


def _posting(report: ActivityReport, activity: Activity) -> Grant:
    """Make the grant. Two accounts may earn for the same reference, so the lot goes by a name of its own."""
    key = key_of("activity", report.account.hex, report.activity, report.reference)
    said = {"metadata": {"activity": report.activity, "reference": report.reference}}
    return Grant(
        account=report.account,
        key=key,
        fingerprint=key_of(str(activity.credits)),
        amount=activity.credits,
        cause=Cause(
            "earned", "activity", ids.show("transaction", key), activity.description, orjson.dumps(said).decode()
        ),
        lot=ids.new_id(),
        kind=activity.kind,
    )
