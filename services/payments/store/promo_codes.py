"""Promo codes, who redeemed them, and the counters that keep both within their limits.

A code's row is locked before its counter of an account, everywhere.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from libs.chassis.pool import Connection, Record
from libs.contracts.http.payments_v1 import Quote
from libs.contracts.http.promo_codes_v1 import PromoCodeCounted
from libs.contracts.promo_codes import PromoTerms
from services.payments.domain.discounts import taken_by

_COUNTED = """
    SELECT p.code, p.active, p.redeemed, p.changed_at, p.gives, p.total_limit, p.per_account, p.new_customers_only,
           p.accounts, p.starts_at, p.ends_at, p.minimum, p.packs, p.custom_amounts,
           (SELECT count(*) FROM promo_redemption AS r WHERE r.code = p.code AND r.state = 'redeemed') AS paid
      FROM promo_code AS p"""


@dataclass(frozen=True, slots=True)
class Usable:
    """A code that an account may use, on these terms; `revision` tells them from those before and after."""

    code: str
    terms: PromoTerms
    revision: int


async def find_usable(conn: Connection, code: str, *, account: UUID, livemode: bool, at: datetime) -> Usable | None:
    """Find a code if the account may use it at that instant.

    A new customer has neither paid in this mode nor redeems as such; redemptions are counted over both modes.
    """
    row = await conn.fetchrow(
        """SELECT p.code, p.revision, p.gives, p.total_limit, p.per_account, p.new_customers_only, p.accounts,
                  p.starts_at, p.ends_at, p.minimum, p.packs, p.custom_amounts
             FROM promo_code AS p
            WHERE p.code = $1 AND p.active AND (p.total_limit IS NULL OR p.redeemed < p.total_limit)
              AND (p.starts_at IS NULL OR p.starts_at <= $3) AND (p.ends_at IS NULL OR p.ends_at > $3)
              AND (p.accounts IS NULL OR $2 = ANY(p.accounts))
              AND NOT EXISTS (SELECT FROM promo_code_account AS a
                               WHERE a.code = p.code AND a.account = $2 AND a.redeemed >= p.per_account)
              AND NOT (p.new_customers_only AND (
                       EXISTS (SELECT FROM purchase AS b WHERE b.account = $2 AND b.paid_at IS NOT NULL
                                                                AND b.livemode = $4)
                       OR EXISTS (SELECT FROM promo_redemption AS r
                                   WHERE r.account = $2 AND r.new_customers_only AND r.state <> 'freed'
                                     AND NOT r.after_end)))""",
        code,
        account,
        at,
        livemode,
    )
    return None if row is None else Usable(row["code"], _terms(row), row["revision"])


async def redeem(conn: Connection, code: Usable, purchase: UUID, offer: Quote, *, account: UUID) -> bool:
    """Redeem a code for a purchase that is recorded, on the terms on which it was found usable.

    False if these have changed since, or a limit is reached; then the transaction has to be rolled back.
    """
    bonus = offer.promo_bonus
    redeemed = await conn.fetchval(
        """WITH taken AS (
               UPDATE promo_code AS p SET redeemed = p.redeemed + 1
                WHERE p.code = $1 AND p.revision = $2 AND (p.total_limit IS NULL OR p.redeemed < p.total_limit)
               RETURNING p.code, p.total_limit, p.per_account, p.new_customers_only
           ), counted AS (
               INSERT INTO promo_code_account AS a (code, account, redeemed) SELECT taken.code, $3, 1 FROM taken
               ON CONFLICT (code, account) DO UPDATE SET redeemed = a.redeemed + 1
                   WHERE a.redeemed < (SELECT taken.per_account FROM taken)
               RETURNING a.code
           )
           INSERT INTO promo_redemption (purchase, code, account, state, discount_minor, bonus, bonus_kind,
                                         bonus_expires_after_days, total_limit, per_account, new_customers_only,
                                         after_end)
           SELECT $4, taken.code, $3, 'reserved', $5, $6, $7, $8, taken.total_limit, taken.per_account,
                  taken.new_customers_only, false
             FROM taken JOIN counted ON counted.code = taken.code
           ON CONFLICT DO NOTHING RETURNING true""",
        code.code,
        code.revision,
        account,
        purchase,
        taken_by(offer, "promo_code"),
        bonus.credits if bonus else 0,
        bonus.kind if bonus else None,
        bonus.expires_after_days if bonus else None,
    )
    return redeemed is True


async def keep(conn: Connection, purchase: UUID) -> bool:
    """Make the reservation of a purchase that is paid a redemption; False if it is none any more."""
    return (
        await conn.fetchval(
            """UPDATE promo_redemption SET state = 'redeemed' WHERE purchase = $1 AND state = 'reserved'
               RETURNING true""",
            purchase,
        )
        is True
    )


async def redeem_again(conn: Connection, purchase: UUID) -> bool | None:
    """Redeem the freed code of a purchase that was paid after all; tells whether that is beyond a limit.

    None if the purchase has not freed a code.
    """
    beyond: bool | None = await conn.fetchval(
        """WITH taken AS (
               UPDATE promo_code AS p SET redeemed = p.redeemed + 1 FROM promo_redemption AS r
                WHERE r.purchase = $1 AND r.state = 'freed' AND p.code = r.code
               RETURNING p.code, r.account, p.per_account, p.redeemed > p.total_limit AS beyond
           ), counted AS (
               UPDATE promo_code_account AS a SET redeemed = a.redeemed + 1 FROM taken
                WHERE a.code = taken.code AND a.account = taken.account
               RETURNING coalesce(taken.beyond, false) OR a.redeemed > taken.per_account AS beyond
           )
           UPDATE promo_redemption AS r SET state = 'redeemed', after_end = true FROM counted
            WHERE r.purchase = $1 RETURNING counted.beyond""",
        purchase,
    )
    return beyond


async def free(conn: Connection, purchase: UUID) -> None:
    """Free the code that a purchase has reserved, if it has."""
    await conn.execute(
        """WITH freed AS (
               UPDATE promo_redemption SET state = 'freed' WHERE purchase = $1 AND state = 'reserved'
               RETURNING code, account
           ), given AS (
               UPDATE promo_code AS p SET redeemed = p.redeemed - 1 FROM freed WHERE p.code = freed.code
               RETURNING p.code, freed.account
           )
           UPDATE promo_code_account AS a SET redeemed = a.redeemed - 1 FROM given
            WHERE a.code = given.code AND a.account = given.account""",
        purchase,
    )


async def put(conn: Connection, code: str, terms: PromoTerms, *, at: datetime) -> None:
    """Have a code be active on these terms; its counters stay, and what is so already does not change."""
    written = terms.model_dump(mode="json", include={"gives", "minimum"})
    await conn.execute(
        """INSERT INTO promo_code AS p (code, gives, total_limit, per_account, new_customers_only, accounts, starts_at,
                                        ends_at, minimum, packs, custom_amounts, active, revision, redeemed, created_at,
                                        changed_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, true, 1, 0, $12, $12)
           ON CONFLICT (code) DO UPDATE
              SET (gives, total_limit, per_account, new_customers_only, accounts, starts_at, ends_at, minimum, packs,
                   custom_amounts, active, revision, changed_at)
                = (excluded.gives, excluded.total_limit, excluded.per_account, excluded.new_customers_only,
                   excluded.accounts, excluded.starts_at, excluded.ends_at, excluded.minimum, excluded.packs,
                   excluded.custom_amounts, true, p.revision + 1, excluded.changed_at)
            WHERE (p.gives, p.total_limit, p.per_account, p.new_customers_only, p.accounts, p.starts_at, p.ends_at,
                   p.minimum, p.packs, p.custom_amounts, p.active)
                  IS DISTINCT FROM
                  (excluded.gives, excluded.total_limit, excluded.per_account, excluded.new_customers_only,
                   excluded.accounts, excluded.starts_at, excluded.ends_at, excluded.minimum, excluded.packs,
                   excluded.custom_amounts, true)""",
        code,
        written["gives"],
        terms.total_limit,
        terms.per_account,
        terms.new_customers_only,
        terms.accounts,
        terms.starts_at,
        terms.ends_at,
        written["minimum"],
        terms.packs,
        terms.custom_amounts,
        at,
    )


async def retire(conn: Connection, code: str, *, at: datetime) -> None:
    """Have a code be active no more; what is redeemed stays so."""
    await conn.execute(
        """UPDATE promo_code SET active = false, revision = revision + 1, changed_at = $2
            WHERE code = $1 AND active""",
        code,
        at,
    )


async def page(conn: Connection, *, after: str | None, limit: int) -> list[PromoCodeCounted]:
    """Read codes in their alphabetical order, from behind `after` if it is given."""
    rows = await conn.fetch(f"{_COUNTED} WHERE $1::text IS NULL OR p.code > $1 ORDER BY p.code LIMIT $2", after, limit)
    return [_counted(row) for row in rows]


async def find(conn: Connection, code: str) -> PromoCodeCounted | None:
    """Read a code."""
    row = await conn.fetchrow(f"{_COUNTED} WHERE p.code = $1", code)
    return None if row is None else _counted(row)


def _terms(row: Record) -> PromoTerms:
    return PromoTerms.model_validate({name: row[name] for name in PromoTerms.model_fields})


def _counted(row: Record) -> PromoCodeCounted:
    counts = {name: row[name] for name in ("code", "active", "redeemed", "paid", "changed_at")}
    return PromoCodeCounted(terms=_terms(row), **counts)
