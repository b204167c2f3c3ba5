"""Us to the ledger and back: each redeemed voucher or gift card is one lot, of which is gone what was told to be."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from libs.chassis import outbox
from libs.chassis.pool import Connection
from libs.chassis.telemetry import log
from libs.contracts import ids
from libs.contracts.events import GiftCardTakenBack
from libs.contracts.events.base import Event
from libs.contracts.http.reconciliation_v1 import FindingKind
from libs.contracts.http.returns_v1 import RedeemedLot
from services.payments.domain.reconciliation import Disagreement, Page, Walk
from services.payments.domain.vouchers import Redeemed, against_ledger
from services.payments.operations.comparing_purchases import place
from services.payments.operations.findings import Sides, close, record
from services.payments.operations.vouchers import redeemed_event
from services.payments.store import findings, reconciliation, vouchers

_AT_ONCE = 500
"""As many as the ledger is asked for at once."""

_KINDS: tuple[FindingKind, ...] = ("voucher_lot_missing", "voucher_lot_differs", "voucher_not_taken_back")
_MENDABLE: tuple[FindingKind, ...] = ("voucher_lot_missing", "voucher_not_taken_back")
"""What telling the ledger again may mend."""


async def compare_vouchers(sides: Sides, walk: Walk) -> Page | None:
    """Compare a page of what was redeemed, by when it was last told of.

    None while the ledger cannot have heard of everything. Raises UnavailableError.
    """
    since, after = place(walk)
    async with sides.pool.connection() as conn:
        if await reconciliation.untold(conn, until=walk.until):
            return None
        told = await vouchers.told_between(conn, since=since, until=walk.until, after=after, limit=_AT_ONCE)
    await _compare_with_ledger(sides, told, insist=walk.scope == "full")
    if len(told) < _AT_ONCE:
        return Page(len(told), None, walk.until)
    return Page(len(told), f"{told[-1].told_at.isoformat()} {told[-1].id}", told[-1].told_at)


async def recheck_vouchers(sides: Sides) -> int:
    """Compare again what the ledger was told again; returns how many vouchers that was."""
    async with sides.pool.connection() as conn:
        waiting = await findings.open_objects(conn, _KINDS, limit=_AT_ONCE)
        again = await vouchers.find_redeemed(conn, [ids.read("voucher", one) for one in waiting])
    await _compare_with_ledger(sides, again, insist=False)
    return len(again)


async def compare_redeemed_lots(sides: Sides, lots: Sequence[RedeemedLot]) -> None:
    """Compare lots of the ledger with what was redeemed here."""
    async with sides.pool.connection() as conn:
        redeemed = {one.id: one.account for one in await vouchers.find_redeemed(conn, [lot.voucher for lot in lots])}
    known = [ids.show("lot", lot.lot) for lot in lots if lot.voucher in redeemed]
    at = sides.clock.now()
    async with sides.pool.transaction() as conn:
        await close(conn, ("lot_without_voucher",), known, at=at)
        for lot in lots:
            if lot.voucher not in redeemed:
                why = f"nobody has redeemed {ids.show('voucher', lot.voucher)} here"
                await record(conn, Disagreement("lot_without_voucher", ids.show("lot", lot.lot), None, why), at=at)


async def _compare_with_ledger(sides: Sides, told: Sequence[Redeemed], *, insist: bool) -> None:
    """Compare redeemed vouchers with their lots. What is missing there is told again, once unless we `insist`."""
    if not told:
        return
    lots: dict[UUID, list[RedeemedLot]] = {one.id: [] for one in told}
    for lot in (await sides.credits.redeemed_by(list(lots))).lots:
        lots[lot.voucher].append(lot)
    differ = {one.id: found for one in told if (found := against_ledger(one, lots[one.id]))}
    agree = [ids.show("voucher", one.id) for one in told if one.id not in differ]
    async with sides.pool.transaction() as conn:
        await close(conn, _KINDS, agree, at=sides.clock.now())
    for one in told:
        if one.id in differ:
            kind, detail = differ[one.id]
            await _found(sides, one, kind, detail, insist=insist)


async def _found(sides: Sides, voucher: Redeemed, kind: FindingKind, detail: str, *, insist: bool) -> None:
    """Record what differs, unless more of it was told meanwhile, which the ledger may have heard already."""
    name, at = ids.show("voucher", voucher.id), sides.clock.now()
    mendable = kind in _MENDABLE
    async with sides.pool.transaction() as conn:
        if await vouchers.lock_redeemed(conn, voucher.id) != voucher:
            return
        await close(conn, [other for other in _KINDS if other != kind], [name], at=at)
        new = await record(conn, Disagreement(kind, name, voucher.purchase, detail), at=at, told_again=mendable)
        if mendable and (new or insist):
            await _tell_again(conn, voucher, kind, at=at)
            await findings.tell_again(conn, kind, name, at=at)
            log.warning("reconciliation.told_again", voucher=name, kind=kind)


async def _tell_again(conn: Connection, voucher: Redeemed, kind: FindingKind, *, at: datetime) -> None:
    """Tell once more what the ledger has not heard of, as it was told; what it knows already changes nothing there."""
    told: list[Event] = [redeemed_event(voucher)] if kind == "voucher_lot_missing" else []
    if back := voucher.taken_back:
        again = GiftCardTakenBack(
            account=voucher.account,
            user=voucher.user,
            voucher=voucher.id,
            revision=back.revision,
            occurred_at=back.at,
            credits=back.credits,
            description=voucher.description,
        )
        told.append(again)
    await outbox.append(conn, *told, at=at)
