"""At the end of a full pass: what purchases brought and gave back is, by currency, what moved at Stripe."""

from collections.abc import Sequence

from libs.contracts.http.reconciliation_v1 import FindingKind
from services.payments.domain.reconciliation import LATE, REACH, Disagreement, Walk
from services.payments.operations.findings import Sides, close, record
from services.payments.store import findings, movements

_KIND: FindingKind = "totals_differ"


async def compare_totals(sides: Sides, walks: Sequence[Walk]) -> None:
    """Compare the sums of the time that was gone through, but for what is so young that it may still move.

    What is found is by how much they differ: the sums themselves are others each day. That they agree is known only
    of a pass that went back as far as any.
    """
    at = sides.clock.now()
    since, until = max(walk.since for walk in walks), min(walk.until for walk in walks)
    async with sides.pool.transaction() as conn:
        differ = await movements.sums_that_differ(conn, since=since, until=until - LATE)
        wrong = {row["currency"] for row in differ}
        if since <= at - REACH:
            agree = [currency for currency in await findings.unmended(conn, _KIND) if currency not in wrong]
            await close(conn, (_KIND,), agree, at=at)
        for row in differ:
            paid, refunded = row["paid"] - row["paid_there"], row["refunded"] - row["refunded_there"]
            detail = f"more here than at Stripe: paid {paid}, given back {refunded} (minor units)"
            await record(conn, Disagreement(_KIND, row["currency"], None, detail), at=at)
