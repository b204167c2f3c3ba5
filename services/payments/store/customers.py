"""Customers: one at Stripe per account."""

from datetime import datetime
from uuid import UUID

from libs.chassis.pool import Connection
from libs.contracts.http.payments_v1 import Buyer
from services.payments.domain.customers import Customer


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
    """Read the customer of an account that has had a purchase."""
    row = await conn.fetchrow(
        """SELECT account, user_id AS "user", email, name, stripe_customer, created_at
             FROM customer WHERE account = $1 AND livemode = $2""",
        account,
        livemode,
    )
    if row is None:
        raise LookupError(f"no purchase has recorded a customer of account {account}")
    return Customer(**row)


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
