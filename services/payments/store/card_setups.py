"""Wishes to save a card."""

from datetime import datetime
from uuid import UUID

from libs.chassis.pool import Connection
from libs.contracts.http.payment_methods_v1 import CardSetupState
from libs.contracts.http.payments_v1 import Buyer
from services.payments.domain.cards import CardSetup


async def insert(
    conn: Connection, setup: UUID, buyer: Buyer, *, livemode: bool, at: datetime, expires_at: datetime
) -> None:
    """Record the intent to save a card."""
    await conn.execute(
        """INSERT INTO card_setup (id, account, livemode, user_id, state, created_at, expires_at, resolved_at)
           VALUES ($1, $2, $3, $4, 'created', $5, $6, $5)""",
        setup,
        buyer.account,
        livemode,
        buyer.user,
        at,
        expires_at,
    )


async def count_open(conn: Connection, account: UUID, *, livemode: bool) -> int:
    """Count how many cards an account may be about to save."""
    number: int = await conn.fetchval(
        """SELECT count(*) FROM card_setup
            WHERE account = $1 AND livemode = $2 AND state NOT IN ('succeeded', 'canceled')""",
        account,
        livemode,
    )
    return number


async def find(conn: Connection, setup: UUID) -> CardSetup | None:
    """Find a setup by its id."""
    row = await conn.fetchrow(
        """SELECT s.id, s.account, s.user_id AS "user", s.livemode, s.state, s.setup_intent, s.client_secret, s.method,
                  s.failure, s.created_at, s.expires_at, c.id AS card
             FROM card_setup AS s LEFT JOIN saved_card AS c ON c.method = s.method WHERE s.id = $1""",
        setup,
    )
    return None if row is None else CardSetup(**row)


async def get(conn: Connection, setup: UUID) -> CardSetup:
    """Read a setup that is there."""
    found = await find(conn, setup)
    if found is None:
        raise LookupError(f"there is no card setup {setup}")
    return found


async def take_due(conn: Connection, *, idle_since: datetime, at: datetime, limit: int) -> list[UUID]:
    """Take up setups that Stripe has told us nothing of, or that are waited for no longer; none that was just taken."""
    rows = await conn.fetch(
        """UPDATE card_setup SET resolved_at = $2
            WHERE id IN (SELECT id FROM card_setup
                          WHERE state NOT IN ('succeeded', 'canceled') AND resolved_at <= $1
                            AND (setup_intent IS NULL OR expires_at <= $2)
                          ORDER BY resolved_at LIMIT $3 FOR UPDATE SKIP LOCKED)
        RETURNING id""",
        idle_since,
        at,
        limit,
    )
    return [row["id"] for row in rows]


async def mark_unknown(conn: Connection, setup: UUID) -> None:
    """Record that Stripe was asked for the setup intent and did not answer; not if we know of it by now."""
    await conn.execute(
        "UPDATE card_setup SET state = 'unknown' WHERE id = $1 AND state = 'created' AND setup_intent IS NULL", setup
    )


async def know_intent(conn: Connection, setup: UUID, *, setup_intent: str, client_secret: str | None) -> None:
    """Record the setup intent that Stripe has; the first one stays."""
    await conn.execute(
        """UPDATE card_setup
              SET setup_intent = $2, client_secret = $3,
                  state = CASE WHEN state = 'unknown' THEN 'created' ELSE state END
            WHERE id = $1 AND setup_intent IS NULL AND state <> 'canceled'""",
        setup,
        setup_intent,
        client_secret,
    )


async def move(
    conn: Connection, setup: UUID, state: CardSetupState, *, failure: str | None = None, method: str | None = None
) -> None:
    """Record where a setup stands by what Stripe shows; what has ended stays so."""
    await conn.execute(
        """UPDATE card_setup
              SET state = $2, failure = $3, method = $4,
                  client_secret = CASE WHEN $2 IN ('succeeded', 'canceled') THEN NULL ELSE client_secret END
            WHERE id = $1 AND state NOT IN ('succeeded', 'canceled')""",
        setup,
        state,
        failure,
        method,
    )
