"""At the end of a full pass: what purchases brought and gave back is, by currency, what moved at Stripe."""

from libs.contracts.http.reconciliation_v1 import FindingKind
from services.payments.domain.reconciliation import LATE, Disagreement, Walk
from services.payments.operations.findings import Sides, close, record
from services.payments.store import findings, movements

_KIND: FindingKind = "totals_differ"
_MOST = 1000
"""More than there are currencies."""


async def compare_totals(sides: Sides, walk: Walk) -> None:
    """Compare the sums of the time that was gone through, but for what is so young that it may still move."""
    at = sides.clock.now()
    async with sides.pool.transaction() as conn:
        differ = await movements.sums_that_differ(conn, since=walk.since, until=walk.until - LATE)
        wrong = {row["currency"] for row in differ}
        agree = [
            currency for currency in await findings.open_objects(conn, (_KIND,), limit=_MOST) if currency not in wrong
        ]
        await close(conn, (_KIND,), agree, at=at)
        for row in differ:
            detail = (
                f"paid {row['paid']} here and {row['paid_there']} at Stripe, given back {row['refunded']} here and"
                f" {row['refunded_there']} at Stripe (minor units)"
            )
            await record(conn, Disagreement(_KIND, row["currency"], None, detail), at=at)
