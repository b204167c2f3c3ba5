"""Replaying what a topic of usage holds: the order of arrival decides, and for each account it is its partition's."""

from collections.abc import Iterable, Sequence

from libs.chassis.clock import Clock
from libs.chassis.pool import Connection
from services.credits.domain import usage_events
from services.credits.domain.postings import Grant
from services.credits.operations.usage import rated
from tests.support.ledger import TIMELINE
from tests.support.oracle.comparing import Rows, expected, found
from tests.support.oracle.model import Oracle


def replayed(grants: Sequence[Grant], records: Iterable[bytes]) -> Oracle:
    """Have the oracle decide usage one event after the other, in accounts that have what they were granted."""
    oracle, now = Oracle(), Clock().now()
    oracle.apply(grants, at=now)
    for record in records:
        usage = rated(TIMELINE, usage_events.read(record), now)
        assert usage.posting is not None
        oracle.apply([usage.posting], at=now)
    return oracle


async def assert_same_books(conn: Connection, oracle: Oracle) -> None:
    """Compare the oracle's accounts with the ledger's: balances, lots, every entry, every refusal."""
    real, right = await found(conn, oracle), expected(oracle)
    keys = await conn.fetch(
        "SELECT key, fingerprint FROM rejected_usage WHERE account_id = ANY($1)", [*oracle.accounts]
    )
    ours = {
        "accounts": {id: account for id, account in real["accounts"].items() if id in oracle.accounts},
        "lots": {id: lot for id, lot in real["lots"].items() if lot[0] in oracle.accounts},
        "entries": _undated(oracle, real["entries"]),
        "refused": {tuple(key): real["refused"][tuple(key)] for key in keys},
    }
    right["entries"] = _undated(oracle, right["entries"])
    for name, rows in ours.items():
        assert rows == right[name], name


def _undated(oracle: Oracle, entries: Rows) -> Rows:
    """Leave the instants aside, which are the servers'."""
    return {place: entry[1:] for place, entry in entries.items() if place[0] in oracle.accounts}
