"""Saved cards. Whoever records what Stripe shows of them has locked their customer."""

from collections.abc import Sequence
from uuid import UUID

from libs.chassis.pool import Connection
from libs.contracts import ids
from services.payments.domain.cards import CardState, SavedCard
from services.payments.domain.customers import Customer
from services.payments.domain.stripe_objects import StripeCard

_SELECT = """
    SELECT s.id, s.account, s.method, s.state, s.brand, s.last4, s.exp_month, s.exp_year, s.wallet, s.fingerprint,
           s.saved_at, s.method IS NOT DISTINCT FROM c.default_method AS "default"
      FROM saved_card AS s JOIN customer AS c USING (account, livemode)"""


async def of_account(conn: Connection, account: UUID, *, livemode: bool) -> list[SavedCard]:
    """Read an account's cards that Stripe keeps, also those that are to go, the newest first."""
    rows = await conn.fetch(
        f"""{_SELECT} WHERE s.account = $1 AND s.livemode = $2 AND s.state <> 'removed'
             ORDER BY s.saved_at DESC, s.id DESC""",
        account,
        livemode,
    )
    return [SavedCard(**row) for row in rows]


async def find(conn: Connection, card: UUID, *, account: UUID, livemode: bool) -> SavedCard | None:
    """Find a card of an account, whether it is still saved or not."""
    row = await conn.fetchrow(
        f"{_SELECT} WHERE s.id = $1 AND s.account = $2 AND s.livemode = $3", card, account, livemode
    )
    return None if row is None else SavedCard(**row)


async def find_by_method(conn: Connection, method: str) -> SavedCard | None:
    """Find the card that has this id at Stripe."""
    row = await conn.fetchrow(f"{_SELECT} WHERE s.method = $1", method)
    return None if row is None else SavedCard(**row)


async def remove(conn: Connection, card: UUID) -> None:
    """Have a card be saved no more: nobody can pay with it from here on, and Stripe is to forget it."""
    await conn.execute("UPDATE saved_card SET state = 'removing' WHERE id = $1 AND state = 'saved'", card)


async def forget_others(conn: Connection, customer: Customer, kept: Sequence[StripeCard]) -> None:
    """Record that a customer has these cards at Stripe and no others."""
    await conn.execute(
        """UPDATE saved_card SET state = 'removed'
            WHERE account = $1 AND livemode = $2 AND state <> 'removed' AND NOT method = ANY($3)""",
        customer.account,
        customer.livemode,
        [card.id for card in kept],
    )


async def record(conn: Connection, customer: Customer, cards: Sequence[tuple[StripeCard, CardState]]) -> None:
    """Record cards as Stripe shows them, in this order; one that is to go here stays so."""
    await conn.execute(
        """INSERT INTO saved_card AS s (id, account, livemode, method, state, brand, last4, exp_month, exp_year, wallet,
                                        fingerprint, saved_at)
           SELECT n.id, $1, $2, n.method, n.state, n.brand, n.last4, n.exp_month, n.exp_year, n.wallet, n.fingerprint,
                  to_timestamp(n.created)
             FROM unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::int[], $9::int[], $10::text[],
                         $11::text[], $12::bigint[])
                  AS n (id, method, state, brand, last4, exp_month, exp_year, wallet, fingerprint, created)
           ON CONFLICT (method) DO UPDATE
              SET state = CASE WHEN s.state = 'removing' THEN s.state ELSE excluded.state END, brand = excluded.brand,
                  last4 = excluded.last4, exp_month = excluded.exp_month, exp_year = excluded.exp_year,
                  wallet = excluded.wallet""",
        customer.account,
        customer.livemode,
        [ids.new_id() for _ in cards],
        [shown.id for shown, _ in cards],
        [state for _, state in cards],
        [shown.card.brand for shown, _ in cards],
        [shown.card.last4 for shown, _ in cards],
        [shown.card.exp_month for shown, _ in cards],
        [shown.card.exp_year for shown, _ in cards],
        [shown.card.wallet.type if shown.card.wallet else None for shown, _ in cards],
        [shown.number for shown, _ in cards],
        [shown.created for shown, _ in cards],
    )
