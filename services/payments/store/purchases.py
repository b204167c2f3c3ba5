"""Purchases, and the tries to pay them that failed."""

from datetime import datetime
from uuid import UUID

from libs.chassis.pool import Connection, Record
from libs.contracts.http.payments_v1 import PurchaseState, Quote, StartPurchase
from libs.contracts.money import Money
from services.payments.domain.purchases import Purchase, sources

_SELECT = """
    SELECT p.id, p.account, p.user_id, p.method, p.pack, p.description, p.amount_minor, p.currency, p.credits, p.bonus,
           p.bonus_kind, p.return_url, p.cancel_url, p.livemode, p.state, p.revision, p.looks, c.stripe_customer,
           p.payment_intent, p.checkout_session, p.client_secret, p.checkout_url, p.failure, p.refunded_minor,
           p.created_at, p.expires_at
      FROM purchase p JOIN customer c USING (account, livemode)"""


async def insert(
    conn: Connection,
    purchase: UUID,
    request: StartPurchase,
    quote: Quote,
    *,
    livemode: bool,
    at: datetime,
    expires_at: datetime,
) -> None:
    """Record the intent to buy, at this quote."""
    await conn.execute(
        """INSERT INTO purchase (id, account, livemode, user_id, method, pack, description, amount_minor, currency,
                                 credits, bonus, bonus_kind, return_url, cancel_url, state, created_at, expires_at,
                                 resolved_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 'created', $15, $16, $15)""",
        purchase,
        request.buyer.account,
        livemode,
        request.buyer.user,
        request.order.method,
        quote.pack,
        quote.description,
        quote.price.amount_minor,
        quote.price.currency,
        quote.credits,
        quote.bonus,
        quote.bonus_kind,
        request.order.return_url,
        request.order.cancel_url,
        at,
        expires_at,
    )


async def find(conn: Connection, purchase: UUID) -> Purchase | None:
    """Find a purchase by its id."""
    return _read(await conn.fetchrow(f"{_SELECT} WHERE p.id = $1", purchase))


async def get(conn: Connection, purchase: UUID) -> Purchase:
    """Read a purchase that is there."""
    return _there(await find(conn, purchase), purchase)


async def lock(conn: Connection, purchase: UUID) -> Purchase:
    """Read a purchase that is there and hold it until the transaction ends: what is told of it is applied in turn."""
    row = await conn.fetchrow(f"{_SELECT} WHERE p.id = $1 FOR NO KEY UPDATE OF p", purchase)
    return _there(_read(row), purchase)


async def find_by_stripe_id(conn: Connection, stripe_id: str) -> Purchase | None:
    """Find the purchase whose payment intent or checkout session this is."""
    return _read(await conn.fetchrow(f"{_SELECT} WHERE p.payment_intent = $1 OR p.checkout_session = $1", stripe_id))


async def page(conn: Connection, account: UUID, *, before: UUID | None, limit: int) -> list[Purchase]:
    """Read an account's purchases, newest first (ids rise with time), older than `before` if it is given."""
    rows = await conn.fetch(
        f"{_SELECT} WHERE p.account = $1 AND ($2::uuid IS NULL OR p.id < $2) ORDER BY p.id DESC LIMIT $3",
        account,
        before,
        limit,
    )
    return [purchase for row in rows if (purchase := _read(row))]


async def take_unresolved(conn: Connection, *, idle_since: datetime, at: datetime, limit: int) -> list[UUID]:
    """Take up purchases whose payment at Stripe nobody knows of, and that nobody has taken up since then."""
    rows = await conn.fetch(
        """UPDATE purchase SET resolved_at = $2
            WHERE id IN (SELECT id FROM purchase
                          WHERE state IN ('created', 'unknown') AND payment_intent IS NULL AND checkout_session IS NULL
                            AND resolved_at <= $1
                          ORDER BY resolved_at LIMIT $3 FOR UPDATE SKIP LOCKED)
        RETURNING id""",
        idle_since,
        at,
        limit,
    )
    return [row["id"] for row in rows]


async def mark_unknown(conn: Connection, purchase: UUID) -> None:
    """Record that Stripe was asked for the payment and did not answer; not if we know of the payment by now."""
    await conn.execute(
        """UPDATE purchase SET state = 'unknown'
            WHERE id = $1 AND state = 'created' AND payment_intent IS NULL AND checkout_session IS NULL""",
        purchase,
    )


async def know_payment_intent(
    conn: Connection, purchase: UUID, *, payment_intent: str, client_secret: str | None
) -> None:
    """Record the payment that Stripe has for the purchase; the first one stays. What was unknown waits to be paid."""
    await conn.execute(
        """UPDATE purchase
              SET payment_intent = $2, client_secret = CASE WHEN state = 'canceled' THEN NULL ELSE $3 END,
                  state = CASE WHEN state = 'unknown' THEN 'created' ELSE state END
            WHERE id = $1 AND payment_intent IS NULL""",
        purchase,
        payment_intent,
        client_secret,
    )


async def know_checkout_session(conn: Connection, purchase: UUID, *, session: str, url: str | None) -> None:
    """Record the payment page that Stripe has for the purchase; the first one stays. What was unknown waits."""
    await conn.execute(
        """UPDATE purchase
              SET checkout_session = $2, checkout_url = $3,
                  state = CASE WHEN state = 'unknown' THEN 'created' ELSE state END
            WHERE id = $1 AND checkout_session IS NULL""",
        purchase,
        session,
        url,
    )


async def move(conn: Connection, purchase: UUID, state: PurchaseState, *, failure: str | None = None) -> bool:
    """Move an unpaid purchase along an allowed edge; False if there is none from where it is."""
    return (
        await conn.fetchval(
            """UPDATE purchase
                  SET state = $2, failure = coalesce($4, failure),
                      client_secret = CASE WHEN $2 = 'canceled' THEN NULL ELSE client_secret END
                WHERE id = $1 AND state = ANY($3) RETURNING true""",
            purchase,
            state,
            sources(state),
            failure,
        )
        is True
    )


async def mark_paid(conn: Connection, purchase: UUID, *, payment_intent: str, at: datetime) -> int | None:
    """Record that Stripe has the money; returns the revision to tell it under, or None if that was known."""
    revision: int | None = await conn.fetchval(
        """UPDATE purchase
              SET state = 'succeeded', payment_intent = $2, paid_at = $3, revision = revision + 1, failure = NULL,
                  client_secret = NULL
            WHERE id = $1 AND paid_at IS NULL AND state = ANY($4) RETURNING revision""",
        purchase,
        payment_intent,
        at,
        sources("succeeded"),
    )
    return revision


async def mark_refunded(conn: Connection, purchase: UUID, *, refunded_minor: int, state: PurchaseState) -> int | None:
    """Record how much has gone back in total; returns the revision to tell it under, or None if that was known."""
    revision: int | None = await conn.fetchval(
        """UPDATE purchase SET state = $3, refunded_minor = $2, revision = revision + 1
            WHERE id = $1 AND refunded_minor <> $2 AND (state = ANY($4) OR state = $3) RETURNING revision""",
        purchase,
        refunded_minor,
        state,
        sources(state),
    )
    return revision


async def note_failed_attempt(
    conn: Connection, purchase: UUID, *, attempt: str, reason: str, at: datetime
) -> int | None:
    """Record a try to pay that failed; returns the revision to tell it under, or None if that was known."""
    revision: int | None = await conn.fetchval(
        """WITH noted AS (INSERT INTO failed_attempt (purchase, attempt, reason, recorded_at) VALUES ($1, $2, $3, $4)
                          ON CONFLICT DO NOTHING RETURNING purchase)
           UPDATE purchase SET revision = revision + 1, failure = $3 FROM noted WHERE id = noted.purchase
        RETURNING revision""",
        purchase,
        attempt,
        reason,
        at,
    )
    return revision


async def count_look(conn: Connection, purchase: UUID) -> None:
    """Note that Stripe's view of the purchase was applied."""
    await conn.execute("UPDATE purchase SET looks = looks + 1 WHERE id = $1", purchase)


def _there(found: Purchase | None, purchase: UUID) -> Purchase:
    if found is None:
        raise LookupError(f"there is no purchase {purchase}")
    return found


def _read(row: Record | None) -> Purchase | None:
    if row is None:
        return None
    return Purchase(
        id=row["id"],
        account=row["account"],
        user=row["user_id"],
        method=row["method"],
        quote=Quote(
            pack=row["pack"],
            description=row["description"],
            price=Money(amount_minor=row["amount_minor"], currency=row["currency"]),
            credits=row["credits"],
            bonus=row["bonus"],
            bonus_kind=row["bonus_kind"],
        ),
        return_url=row["return_url"],
        cancel_url=row["cancel_url"],
        livemode=row["livemode"],
        state=row["state"],
        revision=row["revision"],
        looks=row["looks"],
        stripe_customer=row["stripe_customer"],
        payment_intent=row["payment_intent"],
        checkout_session=row["checkout_session"],
        client_secret=row["client_secret"],
        checkout_url=row["checkout_url"],
        failure=row["failure"],
        refunded_minor=row["refunded_minor"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
    )
