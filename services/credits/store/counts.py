"""What accounts used of meters whose prices depend on it, period by period."""

from collections.abc import Collection, Mapping
from decimal import Decimal
from uuid import UUID

from libs.chassis.pool import Connection
from services.credits.domain.books import Count

Name = tuple[UUID, str, str]
"""Account, meter, period."""


async def read(conn: Connection, names: Collection[Name]) -> dict[Name, Count]:
    """Read counts; one that is not there yet is nothing."""
    rows = await conn.fetch(
        """SELECT account_id, meter, period, used FROM meter_count
            INNER JOIN unnest($1::uuid[], $2::text[], $3::text[]) AS asked (account_id, meter, period)
            USING (account_id, meter, period)""",
        *zip(*names, strict=True),
    )
    return {(row[0], row[1], row[2]): Count(int(row[3])) for row in rows}


async def write(conn: Connection, counts: Mapping[Name, Count]) -> None:
    """Write counts; their accounts are locked."""
    if not counts:
        return
    rows = [(*name, Decimal(count.used)) for name, count in counts.items()]
    await conn.execute(
        """INSERT INTO meter_count (account_id, meter, period, used)
           SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::numeric[])
           ON CONFLICT (account_id, meter, period) DO UPDATE SET used = excluded.used""",
        *zip(*rows, strict=True),
    )
