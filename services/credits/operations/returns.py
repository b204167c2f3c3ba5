"""Credits that may go back with the money that paid for them: set aside before the money moves, so that they are there.

What becomes of them payments tells as totals (`operations.payments`): they are taken, or free again.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from libs.chassis.clock import Clock
from libs.chassis.errors import NotFoundError
from libs.chassis.pool import Pool
from libs.contracts import ids
from libs.contracts.events.payments_v1 import LotKind
from libs.contracts.http.returns_v1 import (
    GrantedLot,
    GrantedLots,
    LotSetAside,
    PurchaseLots,
    RedeemedLot,
    RedeemedLots,
    SetAsideOrder,
)
from libs.contracts.http.returns_v1 import PurchaseLot as ShownLot
from libs.contracts.http.returns_v1 import SetAside as Answer
from services.credits.domain.errors import RefusedError
from services.credits.domain.postings import Cause, Result, SetAside, key_of
from services.credits.operations import answers
from services.credits.operations.ledger import Ledger
from services.credits.store import returns as store

_REFUND_LIFE = timedelta(days=30)
"""For how long a refund may take that nobody tells the end of; then what was set aside for it is free."""
_LOTS_AT_ONCE = 500


def hold_of(what: str, kind: LotKind) -> UUID:
    """Name the hold that sets credits of a kind aside for a refund or a dispute."""
    return key_of("set_aside", what, kind)


async def lots_of(pool: Pool, account: UUID, purchase: UUID) -> PurchaseLots:
    """Tell what is left of what a purchase brought; there are no lots before its payment was told."""
    async with pool.connection() as conn:
        found = await store.lots_of(conn, account, ids.show("purchase", purchase))
    return PurchaseLots(account=account, purchase=purchase, lots=[ShownLot(**lot._asdict()) for lot in found])


async def brought_by(pool: Pool, purchases: Sequence[UUID]) -> GrantedLots:
    """Tell which lots purchases brought, whoever has them."""
    async with pool.connection() as conn:
        found = await store.brought_by(conn, [ids.show("purchase", purchase) for purchase in purchases])
    return GrantedLots(lots=[GrantedLot(**lot._asdict()) for lot in found])


async def redeemed_by(pool: Pool, vouchers: Sequence[UUID]) -> RedeemedLots:
    """Tell which lots vouchers brought, whoever has them."""
    async with pool.connection() as conn:
        found = await store.redeemed_by(conn, [ids.show("voucher", voucher) for voucher in vouchers])
    return RedeemedLots(lots=[RedeemedLot(**lot._asdict()) for lot in found])


async def bought_after(pool: Pool, lot: UUID | None) -> GrantedLots:
    """Tell which of the next lots were bought or redeemed, in the order of their ids."""
    async with pool.connection() as conn:
        bought, redeemed, last = await store.bought_after(conn, lot or UUID(int=0), limit=_LOTS_AT_ONCE)
    return GrantedLots(
        lots=[GrantedLot(**one._asdict()) for one in bought],
        redeemed=[RedeemedLot(**one._asdict()) for one in redeemed],
        last=last,
    )


async def set_aside(
    pool: Pool, ledger: Ledger, clock: Clock, account: UUID, *, refund: UUID, order: SetAsideOrder
) -> Answer:
    """Hold what a refund may take, once for the refund. Raises RefusedError if it is to be all and is not there.

    Raises NotFoundError while the purchase has brought the account nothing.
    """
    expires_at = clock.now() + _REFUND_LIFE
    async with pool.transaction() as conn:
        _, results = await ledger.apply(conn, list(_postings(account, refund, order, expires_at)))
        for result in results:  # raising undoes them all
            if result.outcome in ("no_lot", "unknown_account"):
                raise NotFoundError("the purchase has brought the account no such credits")
            if result.outcome not in ("accepted", "duplicate"):
                code, detail, facts = answers.why(result)
                raise RefusedError(code, detail, **facts)
    return Answer(lots=[_shown(result) for result in results])


def _postings(account: UUID, refund: UUID, order: SetAsideOrder, expires_at: datetime) -> list[SetAside]:
    cause = Cause("hold", "purchase", ids.show("purchase", order.purchase), "Set aside for a refund")
    named = [(hold_of(refund.hex, lot.kind), lot) for lot in order.lots]
    return [
        SetAside(
            account=account,
            key=id,
            fingerprint=id,
            amount=lot.credits,
            cause=cause,
            id=id,
            kind=lot.kind,
            whole=order.whole,
            expires_at=expires_at,
        )
        for id, lot in named
    ]


def _shown(result: Result) -> LotSetAside:
    assert isinstance(result.posting, SetAside)  # noqa: S101 - as they were made
    return LotSetAside(kind=result.posting.kind, set_aside=result.hold.reserved if result.hold is not None else 0)
