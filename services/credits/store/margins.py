"""What lots that were paid for earned, and what usage cost."""

from datetime import date
from uuid import UUID

from libs.chassis.pool import Connection
from services.credits.domain.margins import Moved, PaidLot


async def paid_lots(conn: Connection, account: UUID, first: date, last: date) -> list[PaidLot]:
    """Read those of an account's lots that were paid for and moved in these days, both ends included."""
    rows = await conn.fetch(
        """SELECT l.granted, l.cost_minor, l.currency,
                  coalesce(sum(d.burnt) FILTER (WHERE d.day < $2), 0)::bigint,
                  coalesce(sum(d.expired) FILTER (WHERE d.day < $2), 0)::bigint,
                  coalesce(sum(d.transferred) FILTER (WHERE d.day < $2), 0)::bigint,
                  sum(d.burnt)::bigint, sum(d.expired)::bigint, sum(d.transferred)::bigint
             FROM lot_day AS d INNER JOIN lot AS l ON l.id = d.lot_id
            WHERE d.account_id = $1 AND d.day <= $3 AND l.cost_minor IS NOT NULL
            GROUP BY l.id HAVING max(d.day) >= $2""",
        account,
        first,
        last,
    )
    return [PaidLot(row[0], row[1], row[2], Moved(*row[3:6]), Moved(*row[6:])) for row in rows]


async def costs(conn: Connection, account: UUID, first: date, last: date) -> list[tuple[str, str, int]]:
    """Sum what an account's usage cost in these days, the costliest first: currency, meter, millionths."""
    rows = await conn.fetch(
        """SELECT currency, meter, sum(amount_micros) AS micros FROM cost_day
            WHERE account_id = $1 AND day BETWEEN $2 AND $3
            GROUP BY currency, meter ORDER BY micros DESC, meter""",
        account,
        first,
        last,
    )
    return [(row[0], row[1], int(row[2])) for row in rows]
