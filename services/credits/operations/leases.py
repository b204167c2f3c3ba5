"""Leases: reserved ahead, settled by heartbeats that tell what was used so far, by the prices of their beginning."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import orjson

from libs.chassis.errors import NotFoundError
from libs.chassis.idempotency import Answer, Key
from libs.chassis.pool import Pool
from libs.contracts import ids
from libs.contracts.catalogue import Policies
from libs.contracts.credits import format_credits
from libs.contracts.http.leases_v1 import HeartbeatOrder, LeaseOrder
from services.credits.domain.accounts import HeldCredits
from services.credits.domain.errors import HoldTooLongError, UnratableUsageError
from services.credits.domain.postings import Cause, Lease, Reserve, Result, Settle
from services.credits.operations import answers
from services.credits.operations.active_prices import ActivePrices
from services.credits.operations.costs import cause_of
from services.credits.operations.writer import Writer
from services.credits.store import holds as store

_BEAT = "heartbeat_seconds"


class Leases:
    """Begins, settles and ends leases."""

    def __init__(self, pool: Pool, writer: Writer, prices: ActivePrices, policies: Policies) -> None:
        self._pool = pool
        self._writer = writer
        self._prices = prices
        self._policies = policies

    async def begin(self, order: LeaseOrder, *, now: datetime, caller: str, key: str) -> Answer:
        """Reserve credits ahead, once for a key of the caller. Raises HoldTooLongError, and why it cannot be rated."""
        if order.heartbeat_seconds > self._policies.longest_hold_seconds:
            raise HoldTooLongError(longest_seconds=self._policies.longest_hold_seconds)
        prices = await self._prices.now()
        if prices.rate(order.meter, 1, order.properties).tariff.counts:
            raise UnratableUsageError(f'what "{order.meter[:100]}" costs depends on other usage: report it as events')
        id = ids.new_id()
        posting = Lease(
            account=order.account,
            key=id,
            fingerprint=id,
            amount=order.reserve,
            cause=cause_of(order, "hold", details=_details(order), version=prices.version),
            actor=caller,
            id=id,
            expires_at=now + timedelta(seconds=order.heartbeat_seconds),
            ends_by=now + timedelta(seconds=self._policies.longest_hold_seconds),
        )
        named = Key.of(caller=caller, key=key, operation="lease", body=order.model_dump(mode="json"))
        return await self._writer.write([posting], key=named, shape=_changed)

    async def beat(
        self, lease: UUID, order: HeartbeatOrder, *, account: UUID, now: datetime, caller: str, key: str
    ) -> Answer:
        """Settle what was metered, reserve ahead again, live on; once for a key of the caller. Raises NotFoundError."""
        found = await self._find(account, lease)
        named = Key.of(caller=caller, key=key, operation="heartbeat", body=[account, lease, str(order.quantity)])
        settled = await self._settle(found, order.quantity, final=False)
        postings = [settled, _reserve(found, cost=settled.amount, now=now)]
        return await self._writer.write(postings, key=named, shape=_changed)

    async def close(self, lease: UUID, order: HeartbeatOrder, *, account: UUID, caller: str, key: str) -> Answer:
        """Settle what was metered in the end, and free the rest; once for a key of the caller. Raises NotFoundError."""
        found = await self._find(account, lease)
        named = Key.of(caller=caller, key=key, operation="close", body=[account, lease, str(order.quantity)])
        return await self._writer.write(
            [await self._settle(found, order.quantity, final=True)], key=named, shape=_changed
        )

    async def _find(self, account: UUID, lease: UUID) -> HeldCredits:
        async with self._pool.connection() as conn:
            found = await store.find(conn, account, lease)
        if found is None or found.reserve is None:
            raise NotFoundError
        return found

    async def _settle(self, found: HeldCredits, quantity: Decimal, *, final: bool) -> Settle:
        kept = orjson.loads(found.details or "{}")
        prices = await self._prices.version(found.price_version or "")
        id = ids.new_id()
        return Settle(
            account=found.account,
            key=id,
            fingerprint=id,
            amount=prices.rate(kept["meter"], quantity, kept["properties"]).credits,
            cause=Cause("capture", "hold", ids.show("hold", found.id), "Lease settled", None, prices.version),
            lease=found.id,
            quantity=quantity,
            final=final,
        )


def _details(order: LeaseOrder) -> str:
    kept = {"meter": order.meter, "properties": order.properties, _BEAT: order.heartbeat_seconds}
    return orjson.dumps(kept | ({"metadata": order.metadata} if order.metadata else {})).decode()


def _reserve(found: HeldCredits, *, cost: int, now: datetime) -> Reserve:
    id = ids.new_id()
    return Reserve(
        account=found.account,
        key=id,
        fingerprint=id,
        amount=found.reserve or 0,
        cause=Cause("hold", "hold", ids.show("hold", found.id), "Lease reserved ahead"),
        lease=found.id,
        cost=cost,
        expires_at=now + timedelta(seconds=orjson.loads(found.details or "{}")[_BEAT]),
    )


def _changed(results: Sequence[Result], _: datetime) -> Answer:
    first, last = results[0], results[-1]
    if last.hold is None or first.outcome != "accepted" or last.outcome != "accepted":
        return answers.refused(first)
    cost, metered = 0, Decimal(0)
    if isinstance(first.posting, Settle):
        cost, metered = first.posting.amount, first.posting.quantity
    return answers.good(
        {
            **answers.hold(last.hold),
            "metered": format(max(last.hold.metered or Decimal(0), metered), "f"),
            "cost": format_credits(cost),
            "short": format_credits(max(cost - last.hold.captured, 0)),
            "balance": answers.balance(last),
        }
    )
