"""What was paid for credits that are not used yet, and what became of it, by the sums that follow the sealed blocks."""

from datetime import date

from libs.chassis.pool import Connection, Record


async def moved(conn: Connection, first: date, last: date, *, written: str) -> list[Record]:
    """Sum up what became of it in these days, both ends included, by currency and period; `written`: as it is told."""
    return await conn.fetch(
        """SELECT currency, to_char(day, $3) AS period, sum(sold_minor)::bigint AS sold_minor,
                  sum(recognised_minor)::bigint AS recognised_minor, sum(returned_minor)::bigint AS returned_minor,
                  sum(breakage_minor)::bigint AS breakage_minor, sum(transferred_minor)::bigint AS transferred_minor
             FROM deferred_day WHERE day BETWEEN $1 AND $2
            GROUP BY currency, period ORDER BY currency, period""",
        first,
        last,
        written,
    )


async def deferred_before(conn: Connection, first: date) -> dict[str, int]:
    """Tell what was deferred when a day began, by currency."""
    rows = await conn.fetch(
        """SELECT currency, sum(sold_minor - recognised_minor - returned_minor - breakage_minor
                                - transferred_minor)::bigint AS deferred_minor
             FROM deferred_day WHERE day < $1 GROUP BY currency""",
        first,
    )
    return {row["currency"]: row["deferred_minor"] for row in rows}
