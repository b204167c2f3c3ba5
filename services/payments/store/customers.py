"""Customers: one at Stripe per account."""

from datetime import datetime
from uuid import UUID

from libs.chassis.pool import Connection, Record
from libs.contracts.http.payments_v1 import Buyer
from services.payments.domain.customers import Customer

_SELECT = """
    SELECT account, livemode, user_id AS "user", email, name, stripe_customer, created_at, looks, default_method
      FROM customer"""


async def intend(conn: Connection, buyer: Buyer, *, livemode: bool, at: datetime) -> None:
    """Record that the account is to have a customer; the first buyer's name stays."""
    await conn.execute(
        """INSERT INTO customer (account, livemode, user_id, email, name, created_at) VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT DO NOTHING""",
        buyer.account,
        livemode,
        buyer.user,
        buyer.email,
        buyer.name,
        at,
    )


async def get(conn: Connection, account: UUID, *, livemode: bool) -> Customer:
    """Read the customer of an account that has begun to buy something, or to save a card."""
    return _there(await conn.fetchrow(f"{_SELECT} WHERE account = $1 AND livemode = $2", account, livemode))


async def lock(conn: Connection, account: UUID, *, livemode: bool) -> Customer:
    """Read a customer and hold it until the transaction ends: what is told of its cards is applied in turn."""
    return _there(
        await conn.fetchrow(f"{_SELECT} WHERE account = $1 AND livemode = $2 FOR NO KEY UPDATE", account, livemode)
    )


async def find_by_stripe_id(conn: Connection, stripe_customer: str) -> Customer | None:
    """Find the customer that has this id at Stripe."""
    row = await conn.fetchrow(f"{_SELECT} WHERE stripe_customer = $1", stripe_customer)
    return None if row is None else Customer(**row)


async def know(conn: Connection, account: UUID, *, livemode: bool, stripe_customer: str) -> str:
    """Record Stripe's customer; returns the one that stands, which is the first that was recorded."""
    stands: str = await conn.fetchval(
        """UPDATE customer SET stripe_customer = coalesce(stripe_customer, $3)
            WHERE account = $1 AND livemode = $2 RETURNING stripe_customer""",
        account,
        livemode,
        stripe_customer,
    )
    return stands


async def have_cards_seen_to(conn: Connection, account: UUID, *, livemode: bool, at: datetime) -> None:
    """Have the customer's cards seen to at that time, if nobody does so before; a look that is on its way is over."""
    await conn.execute(
        "UPDATE customer SET cards_due_at = $3, looks = looks + 1 WHERE account = $1 AND livemode = $2",
        account,
        livemode,
        at,
    )


async def take_due(conn: Connection, *, livemode: bool, at: datetime, again_at: datetime, limit: int) -> list[UUID]:
    """Take up customers whose cards are to be seen to; gives their accounts."""
    rows = await conn.fetch(
        """UPDATE customer SET cards_due_at = $3
            WHERE (account, livemode) IN (SELECT account, livemode FROM customer
                                           WHERE cards_due_at <= $2 AND livemode = $1
                                           ORDER BY cards_due_at LIMIT $4 FOR UPDATE SKIP LOCKED)
        RETURNING account""",
        livemode,
        at,
        again_at,
        limit,
    )
    return [row["account"] for row in rows]


async def count_look(
    conn: Connection, customer: Customer, *, default_method: str | None, due_at: datetime | None
) -> None:
    """Note that Stripe's view of the customer's cards was applied, and when they are to be seen to again."""
    await conn.execute(
        """UPDATE customer SET looks = looks + 1, default_method = $3, cards_due_at = $4
            WHERE account = $1 AND livemode = $2""",
        customer.account,
        customer.livemode,
        default_method,
        due_at,
    )


def _there(row: Record | None) -> Customer:
    if row is None:
        raise LookupError("nobody has recorded a customer of this account")
    return Customer(**row)
