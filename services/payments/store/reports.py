"""What finance asks of the money that moved. Sums are of a time, `since` included and `until` not, and of one mode."""

from datetime import datetime, timedelta
from typing import NamedTuple

from libs.chassis.pool import Connection, Record


class Span(NamedTuple):
    """What is summed up, as each query takes it; `written` is how a period is, by which it is told apart."""

    since: datetime
    until: datetime
    livemode: bool
    written: str


_IN_SPAN = """
    SELECT to_char(moved_at AT TIME ZONE 'UTC', $4) AS period, * FROM sale_movement
     WHERE moved_at >= $1 AND moved_at < $2 AND livemode = $3"""
_MONEY = """
    sum(gross_minor)::bigint AS gross_minor, sum(discount_minor)::bigint AS discount_minor,
    sum(refunded_minor)::bigint AS refunded_minor, sum(refund_failed_minor)::bigint AS refund_failed_minor,
    sum(withdrawn_minor)::bigint AS withdrawn_minor, sum(reinstated_minor)::bigint AS reinstated_minor,
    sum(gross_minor - refunded_minor + refund_failed_minor - withdrawn_minor + reinstated_minor)::bigint
        AS kept_minor"""


async def revenue(conn: Connection, span: Span, *, most: int) -> list[Record]:
    """Sum up by period and by what Stripe pays out for which currency; at the end all periods, without a name."""
    return await conn.fetch(
        f"""SELECT period, currency, settled_in, {_MONEY}, sum(settled_minor)::bigint AS settled_minor,
                   sum(fees_minor)::bigint AS fees_minor, sum(net_minor)::bigint AS net_minor,
                   count(*) FILTER (WHERE kind = 'charge') AS payments,
                   count(DISTINCT account) FILTER (WHERE kind = 'charge') AS paying_accounts
              FROM ({_IN_SPAN}) AS moved
             GROUP BY GROUPING SETS ((period, currency, settled_in), (currency, settled_in))
             ORDER BY period NULLS LAST, currency, settled_in LIMIT $5""",  # noqa: S608 - constants
        *span,
        most,
    )


async def sales(conn: Connection, span: Span, *, most: int) -> list[Record]:
    """Sum up by period, product and currency; at the end all periods and products, without names."""
    return await conn.fetch(
        f"""SELECT period, product_kind AS kind, product, currency, {_MONEY},
                   count(*) FILTER (WHERE moved.kind = 'charge') AS sold, sum(credits)::bigint AS credits,
                   sum(bonus_credits)::bigint AS bonus_credits,
                   count(*) FILTER (WHERE moved.kind = 'refund')
                   - count(*) FILTER (WHERE moved.kind = 'refund_failure') AS refunds
              FROM ({_IN_SPAN}) AS moved
             GROUP BY GROUPING SETS ((period, product_kind, product, currency), (currency))
             ORDER BY period NULLS LAST, product_kind, product, currency LIMIT $5""",  # noqa: S608 - constants
        *span,
        most,
    )


async def promo_codes(conn: Connection, span: Span, *, most: int) -> list[Record]:
    """Sum up by period, promo code and currency; at the end all periods and codes, without names."""
    return await conn.fetch(
        f"""SELECT period, promo_code AS code, currency, {_MONEY},
                   count(*) FILTER (WHERE kind = 'charge') AS redemptions, sum(bonus_credits)::bigint AS bonus_credits
              FROM ({_IN_SPAN}) AS moved WHERE promo_code IS NOT NULL
             GROUP BY GROUPING SETS ((period, promo_code, currency), (currency))
             ORDER BY period NULLS LAST, promo_code, currency LIMIT $5""",  # noqa: S608 - constants
        *span,
        most,
    )


async def tries(conn: Connection, span: Span, *, most: int) -> list[Record]:
    """Count payments, and tries to pay that failed, by period and currency; at the end all periods, without a name."""
    return await conn.fetch(
        f"""SELECT period, currency, sum(succeeded)::bigint AS succeeded, sum(failed)::bigint AS failed
              FROM (
                  SELECT period, currency, 1 AS succeeded, 0 AS failed FROM ({_IN_SPAN}) AS moved WHERE kind = 'charge'
                  UNION ALL
                  SELECT to_char(f.recorded_at AT TIME ZONE 'UTC', $4), p.currency, 0, 1
                    FROM failed_attempt AS f JOIN purchase AS p ON p.id = f.purchase
                   WHERE f.recorded_at >= $1 AND f.recorded_at < $2 AND p.livemode = $3
              ) AS tried
             GROUP BY GROUPING SETS ((period, currency), (currency))
             ORDER BY period NULLS LAST, currency LIMIT $5""",  # noqa: S608 - constants
        *span,
        most,
    )


async def gift_cards(conn: Connection, span: Span, *, most: int) -> list[Record]:
    """Sum up what was paid for gift cards, and became of it, by currency and period; what was before has no name."""
    return await conn.fetch(
        """SELECT currency, CASE WHEN at >= $1 THEN to_char(at AT TIME ZONE 'UTC', $4) ELSE '' END AS period,
                  sum(sold_minor)::bigint AS sold_minor, sum(redeemed_minor)::bigint AS redeemed_minor,
                  sum(voided_minor)::bigint AS voided_minor
             FROM gift_card_movement WHERE at < $2 AND livemode = $3
            GROUP BY currency, period ORDER BY currency, period LIMIT $5""",
        *span,
        most,
    )


async def movements(conn: Connection, span: Span, *, after: str | None, limit: int) -> list[Record]:
    """Read movements, the oldest first, from behind one of them if it is named."""
    return await conn.fetch(
        """SELECT id, kind, moved_at, source, payment_intent, purchase, account, product_kind, product, promo_code,
                  currency, amount_minor, discount_minor, settled_in, settled_minor, fees_minor, net_minor
             FROM sale_movement
            WHERE moved_at >= $1 AND moved_at < $2 AND livemode = $3
              AND ($4::text IS NULL OR (moved_at, id) > (SELECT moved_at, id FROM movement WHERE id = $4))
            ORDER BY moved_at, id LIMIT $5""",
        *span[:3],
        after,
        limit,
    )


async def followed_until(conn: Connection, *, late: timedelta) -> datetime | None:
    """Tell up to when Stripe's balance is followed without a gap; None if it never was.

    Only each hour that is gone through again which the balance may have shown so late.
    """
    return await conn.fetchval(  # type: ignore[no-any-return]
        """SELECT date_trunc('hour', CASE WHEN ended_at IS NULL THEN since ELSE until END, 'UTC') - $1::interval
             FROM reconciliation WHERE what = 'movements' AND scope = 'continuous'""",
        late,
    )
