"""Money that moved at Stripe, and what we have to hold against it."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from libs.chassis.pool import Connection, Record
from libs.contracts.http.reconciliation_v1 import MoneyTotals, SettledTotals
from services.payments.domain.movements import Movement, Recorded


async def recorded(
    conn: Connection, payments: Sequence[str], purchases: Sequence[UUID], *, movements: Sequence[str]
) -> tuple[list[Recorded], set[str]]:
    """Read what we have of these payments and purchases, and which of the movements were noted, in one statement."""
    rows = await conn.fetch(
        """SELECT p.id, p.payment_intent, p.state, p.amount_minor, p.currency, p.refunded_minor,
                  p.livemode, c.stripe_customer, r.refunds, r.states, NULL AS movement
             FROM purchase AS p JOIN customer AS c USING (account, livemode)
             LEFT JOIN LATERAL (SELECT array_agg(stripe_refund) AS refunds, array_agg(state) AS states
                                  FROM refund WHERE purchase = p.id AND stripe_refund IS NOT NULL) AS r ON true
            WHERE p.id IN (SELECT id FROM purchase WHERE payment_intent = ANY($1)
                           UNION SELECT id FROM purchase WHERE id = ANY($2))
           UNION ALL
           SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, id FROM movement WHERE id = ANY($3)""",
        payments,
        purchases,
        movements,
    )
    return [_read(row) for row in rows if row["movement"] is None], {row["movement"] for row in rows}


async def note(conn: Connection, movements: Sequence[Movement]) -> None:
    """Note movements; those that were noted stay as they are."""
    await conn.execute(
        """INSERT INTO movement (id, kind, source, payment_intent, amount_minor, currency, fee_minor, net_minor,
                                 settled_in, moved_at)
           SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[],
                                $7::bigint[], $8::bigint[], $9::text[], $10::timestamptz[])
           ON CONFLICT DO NOTHING""",
        [one.id for one in movements],
        [one.kind for one in movements],
        [one.source.id for one in movements],
        [one.payment_intent for one in movements],
        [one.amount_minor for one in movements],
        [one.source.currency for one in movements],
        [one.fee_minor for one in movements],
        [one.net_minor for one in movements],
        [one.settled_in for one in movements],
        [one.moved_at for one in movements],
    )


async def charged(conn: Connection, payments: Sequence[str]) -> set[str]:
    """Tell which of these payments have brought money at Stripe, as far as that was noted."""
    rows = await conn.fetch(
        "SELECT payment_intent FROM movement WHERE payment_intent = ANY($1) AND kind = 'charge'", payments
    )
    return {row["payment_intent"] for row in rows}


async def sums_that_differ(conn: Connection, *, since: datetime, until: datetime) -> list[Record]:
    """Sum up by currency what purchases paid in that time brought and gave back, by us and by Stripe.

    Only currencies in which that differs. Left out are purchases of which a refund is younger, or not yet done, and
    those that Stripe's balance does not show at all: each of them is asked for by itself.
    """
    return await conn.fetch(
        """WITH ours AS (
               SELECT p.payment_intent, p.currency, p.amount_minor AS paid,
                      coalesce(sum(r.amount_minor) FILTER (WHERE r.state = 'succeeded'), 0) AS refunded
                 FROM purchase AS p LEFT JOIN refund AS r ON r.purchase = p.id
                WHERE p.paid_at BETWEEN $1 AND $2
                GROUP BY p.id
               HAVING count(*) FILTER (WHERE r.created_at > $2 OR r.state IN ('created', 'unknown', 'pending')) = 0
           )
           SELECT o.currency, sum(o.paid)::bigint AS paid, sum(o.refunded)::bigint AS refunded,
                  sum(m.paid)::bigint AS paid_there, sum(m.refunded)::bigint AS refunded_there
             FROM ours AS o CROSS JOIN LATERAL (
                 SELECT coalesce(sum(amount_minor) FILTER (WHERE kind = 'charge'), 0) AS paid,
                        coalesce(-sum(amount_minor) FILTER (WHERE kind IN ('refund', 'refund_failure')), 0) AS refunded
                   FROM movement WHERE payment_intent = o.payment_intent) AS m
            WHERE m.paid <> 0
            GROUP BY o.currency
           HAVING (sum(o.paid), sum(o.refunded)) <> (sum(m.paid), sum(m.refunded))""",
        since,
        until,
    )


async def moved(conn: Connection, *, since: datetime) -> list[MoneyTotals]:
    """Sum up by currency what came and went."""
    rows = await conn.fetch(
        """SELECT m.currency,
                  coalesce(sum(m.amount_minor) FILTER (WHERE m.kind = 'charge'), 0)::bigint AS gross_minor,
                  coalesce(-sum(m.amount_minor) FILTER (WHERE m.kind IN ('refund', 'refund_failure')), 0)::bigint
                      AS refunded_minor,
                  coalesce(-sum(m.amount_minor) FILTER (WHERE m.kind IN ('dispute', 'dispute_reversal')), 0)::bigint
                      AS disputed_minor
             FROM movement AS m JOIN purchase AS p USING (payment_intent)
            WHERE m.moved_at >= $1 GROUP BY m.currency ORDER BY m.currency""",
        since,
    )
    return [MoneyTotals(**row) for row in rows]


async def settled(conn: Connection, *, since: datetime) -> list[SettledTotals]:
    """Sum up what Stripe kept and left, by the currency that it pays out."""
    rows = await conn.fetch(
        """SELECT m.settled_in AS currency, sum(m.fee_minor)::bigint AS fees_minor,
                  sum(m.net_minor)::bigint AS net_minor
             FROM movement AS m JOIN purchase AS p USING (payment_intent)
            WHERE m.moved_at >= $1 GROUP BY m.settled_in ORDER BY m.settled_in""",
        since,
    )
    return [SettledTotals(**row) for row in rows]


def _read(row: Record) -> Recorded:
    refunds = dict(zip(row["refunds"] or [], row["states"] or [], strict=True))
    return Recorded(
        id=row["id"],
        payment_intent=row["payment_intent"],
        state=row["state"],
        amount_minor=row["amount_minor"],
        currency=row["currency"],
        refunded_minor=row["refunded_minor"],
        livemode=row["livemode"],
        stripe_customer=row["stripe_customer"],
        refunds=refunds,
    )
