"""Rejected usage: listed, and burnt after all by staff, as it came or corrected, once for an event."""

from datetime import datetime
from uuid import UUID

from msgspec.structs import asdict, replace

from libs.chassis.clock import Clock
from libs.chassis.errors import InvalidRequestError, NotFoundError
from libs.chassis.pool import Pool
from libs.contracts import errors as codes
from libs.contracts import ids
from libs.contracts.envelope import CloudEvent
from libs.contracts.events.usage_v1 import UsageCost, UsageData
from libs.contracts.http.base import Page
from libs.contracts.http.rejections_v1 import Rejection, RejectionQuery, Replay, ReplayOrder
from services.credits.domain import usage_events
from services.credits.domain.errors import RefusedError
from services.credits.domain.postings import Usage, key_of
from services.credits.domain.usage_events import MalformedEventError, UsageEvent
from services.credits.operations import answers
from services.credits.operations.active_prices import ActivePrices
from services.credits.operations.ledger import Ledger
from services.credits.operations.usage import rated
from services.credits.store import rejections as store
from services.credits.store.rejections import Name


async def show_all(pool: Pool, query: RejectionQuery) -> Page[Rejection]:
    """Read a page of rejected usage, newest first. Raises InvalidRequestError for a cursor that is not ours."""
    before = _read_cursor(query.cursor) if query.cursor else None
    async with pool.connection() as conn:
        found = await store.page(conn, query, before=before, limit=query.limit + 1)
    shown = found[: query.limit]
    cursor = f"{shown[-1].at.isoformat()}_{shown[-1].id}" if len(found) > query.limit else None
    return Page(data=shown, next_cursor=cursor)


async def show(pool: Pool, id: str) -> Rejection:
    """Show rejected usage. Raises NotFoundError."""
    async with pool.connection() as conn:
        found = await store.find(conn, _name(id))
    if found is None:
        raise NotFoundError
    return found


class Replayer:
    """Burns rejected usage after all."""

    def __init__(self, pool: Pool, ledger: Ledger, prices: ActivePrices, clock: Clock) -> None:
        self._pool = pool
        self._ledger = ledger
        self._prices = prices
        self._clock = clock

    async def replay(self, id: str, order: ReplayOrder, *, by: str) -> Rejection:
        """Burn it by the prices of its own time; once: again, the answer is the same.

        Raises NotFoundError, and RefusedError with the reason why it cannot be burnt even now.
        """
        rejection = await show(self._pool, id)
        if rejection.replay is not None:
            return rejection
        if rejection.code == codes.EVENT_ID_REUSED.code:
            raise _reused()
        event = _corrected(rejection, order)
        return await self._burn(rejection, event, await self._rate(rejection, event), by)

    async def _rate(self, rejection: Rejection, event: UsageEvent) -> Usage:
        """Rate it by its own time, under another key than its own: that one stays refused. Raises RefusedError."""
        time = event.time or rejection.at
        timeline = await self._prices.timeline_since(time)
        found = rated(timeline, replace(event, time=time), self._clock.now(), oldest=None)
        if found.refusal is not None:
            raise RefusedError(found.refusal.code, found.refusal.detail)
        assert found.posting is not None  # noqa: S101 - one of the two is there
        return replace(found.posting, key=key_of("replay", event.key.hex), undated=True)

    async def _burn(self, rejection: Rejection, event: UsageEvent, posting: Usage, by: str) -> Rejection:
        async with self._pool.transaction() as conn:
            at, (result,) = await self._ledger.apply(conn, [posting])
            if result.outcome == "accepted":
                text = event.payload.decode()
                done = Replay(transaction=posting.key, credits=posting.amount, event=text, by=by, at=at)
                await store.note_replay(conn, _name(rejection.id), done)
                return rejection.model_copy(update={"replay": done})
        if result.outcome in ("duplicate", "conflict"):  # somebody was as fast, or another event of this name was burnt
            found = await show(self._pool, rejection.id)
            if found.replay is None:
                raise _reused()
            return found
        code, detail, facts = answers.why(result)
        raise RefusedError(code, detail, **facts)


def _reused() -> RefusedError:
    return RefusedError(codes.EVENT_ID_REUSED, "Another event with this source and id was burnt, and that one stands.")


def _corrected(rejection: Rejection, order: ReplayOrder) -> UsageEvent:
    """Put what is ordered in place of what the event said. Raises InvalidRequestError if it cannot be read even so."""
    try:
        event = usage_events.read(rejection.event.encode())
        if order.model_fields_set:
            whole = order.meter is not None and order.quantity is not None and order.properties is not None
            if event.problem is not None and not whole:
                raise InvalidRequestError("what this event says cannot be read: give meter, quantity and properties")
            event = usage_events.read(_rewritten(event, order).encode())
    except MalformedEventError as error:
        raise InvalidRequestError(error.detail) from error
    return event


def _rewritten(event: UsageEvent, order: ReplayOrder) -> CloudEvent:
    data = UsageData(
        quantity=event.quantity if order.quantity is None else order.quantity,
        properties=event.properties if order.properties is None else order.properties,
        cost=UsageCost(**asdict(event.cost)) if event.cost is not None else None,
    )
    return CloudEvent(
        id=event.id,
        source=event.source,
        type=order.meter or event.meter,
        subject=ids.show("account", event.account),
        time=event.time,
        actor=event.actor,
        data=data.model_dump(mode="json", exclude_none=True),
    )


def _name(id: str) -> Name:
    return UUID(id[:32]), UUID(id[32:])


def _read_cursor(cursor: str) -> tuple[datetime, Name]:
    at, _, id = cursor.rpartition("_")
    try:
        return datetime.fromisoformat(at), _name(id)
    except ValueError as error:
        raise InvalidRequestError("this cursor is not one of ours") from error
