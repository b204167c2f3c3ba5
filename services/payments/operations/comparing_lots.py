"""The ledger to us: every lot that was bought is of a purchase that is paid here, by its own account.

Those of vouchers are compared by `comparing_vouchers`.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from libs.contracts import ids
from libs.contracts.http.returns_v1 import GrantedLot
from services.payments.domain.purchases import Purchase
from services.payments.domain.reconciliation import Disagreement, Page, Walk
from services.payments.operations.comparing_vouchers import compare_redeemed_lots
from services.payments.operations.findings import Sides, close, record
from services.payments.store import purchases


async def compare_lots(sides: Sides, walk: Walk) -> Page:
    """Compare the next of the ledger's lots. Raises UnavailableError if credits does not answer."""
    after = walk.cursor or ids.show("lot", _first(walk.since))
    answer = await sides.credits.bought_after(after)
    if answer.lots:
        await _compare(sides, answer.lots)
    if answer.redeemed:
        await compare_redeemed_lots(sides, answer.redeemed)
    if answer.last is None:
        return Page(0, None, walk.until)
    made_at = datetime.fromtimestamp((answer.last.int >> 80) // 1000, UTC)
    compared = len(answer.lots) + len(answer.redeemed)
    return Page(compared, ids.show("lot", answer.last), max(walk.since, min(made_at, walk.until)))


async def _compare(sides: Sides, lots: Sequence[GrantedLot]) -> None:
    async with sides.pool.connection() as conn:
        found = await purchases.find_all(conn, list({lot.purchase for lot in lots}))
    by_id = {one.id: one for one in found}
    wrong = {lot.lot: why for lot in lots if (why := _why_not(lot, by_id.get(lot.purchase)))}
    agree = [ids.show("lot", lot.lot) for lot in lots if lot.lot not in wrong]
    at = sides.clock.now()
    async with sides.pool.transaction() as conn:
        await close(conn, ("lot_without_payment",), agree, at=at)
        for lot in lots:
            if (why := wrong.get(lot.lot)) is not None:
                name = ids.show("lot", lot.lot)
                await record(conn, Disagreement("lot_without_payment", name, lot.purchase, why), at=at)


def _why_not(lot: GrantedLot, purchase: Purchase | None) -> str | None:
    if purchase is None:
        return "there is no such purchase"
    if not purchase.paid:
        return f"its purchase is {purchase.state}"
    if purchase.gift_card is not None:
        return "its purchase is of a gift card, whose credits are of who redeems it"
    return None if lot.account == purchase.account else "its purchase is another account's"


def _first(since: datetime) -> UUID:
    """Make the least id of what was made since then."""
    return UUID(int=int(since.timestamp()) * 1000 << 80)
