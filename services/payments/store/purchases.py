"""Purchases, and the tries to pay them that failed."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from libs.chassis.pool import Connection, Record
from libs.contracts.events.payments_v1 import PaidByCard
from libs.contracts.http.payments_v1 import PurchaseState, Quote, StartPurchase
from libs.contracts.http.vouchers_v1 import StartGiftCard
from services.payments.domain.purchases import ANYHOW, PayingBy, Purchase, sources
from services.payments.store import quotes

FIRST_LOOK = timedelta(minutes=5)
"""How long Stripe's events have before a purchase that waits is looked at."""

_SELECT = """
    SELECT p.id, p.account, p.user_id, p.method, p.pack, p.description, p.amount_minor, p.currency, p.credits, p.bonus,
           p.bonus_kind, p.return_url, p.cancel_url, p.livemode, p.state, p.revision, p.looks, c.stripe_customer,
           p.payment_intent, p.checkout_session, p.client_secret, p.checkout_url, p.failure, p.refunded_minor,
           p.withdrawn_minor, p.created_at, p.expires_at, p.takes_back, p.volume_minor, p.expires_after_days,
           p.bonus_expires_after_days, p.card_brand, p.card_last4, p.paid_at, p.paid_revision, p.cancellation,
           p.asked_at, p.card, p.saves_card, g.id AS gift_card,
           t.tier, t.name AS tier_name, coalesce(t.discount_minor, 0) AS tier_minor, t.bonus AS tier_bonus,
           t.bonus_kind AS tier_bonus_kind, t.bonus_expires_after_days AS tier_bonus_days,
           r.code AS promo_code, coalesce(r.discount_minor, 0) AS promo_minor, r.bonus AS promo_bonus,
           r.bonus_kind AS promo_bonus_kind, r.bonus_expires_after_days AS promo_bonus_days
      FROM purchase p JOIN customer c USING (account, livemode) LEFT JOIN promo_redemption r ON r.purchase = p.id
      LEFT JOIN purchase_tier t ON t.purchase = p.id LEFT JOIN gift_card g ON g.purchase = p.id"""


async def insert(
    conn: Connection,
    purchase: UUID,
    request: StartPurchase | StartGiftCard,
    quote: Quote,
    *,
    livemode: bool,
    takes_back: bool,
    at: datetime,
    expires_at: datetime,
    paying: PayingBy = ANYHOW,
) -> None:
    """Record the intent to buy, at this quote."""
    await conn.execute(
        """INSERT INTO purchase (id, account, livemode, user_id, method, pack, description, amount_minor, currency,
                                 volume_minor, credits, expires_after_days, bonus, bonus_kind, bonus_expires_after_days,
                                 return_url, cancel_url, state, created_at, expires_at, resolved_at, takes_back,
                                 look_at, card, saves_card)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, 'created', $18, $19, $18,
                   $20, $21, $22, $23)""",
        purchase,
        request.buyer.account,
        livemode,
        request.buyer.user,
        request.order.method,
        *quotes.columns(quote),
        request.order.return_url,
        request.order.cancel_url,
        at,
        expires_at,
        takes_back,
        at + FIRST_LOOK,
        paying.card,
        paying.saves,
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


async def lock_all(conn: Connection, purchases: Sequence[UUID]) -> dict[UUID, Purchase]:
    """Do the same with those of these purchases that are there, in the order of their ids."""
    rows = await conn.fetch(f"{_SELECT} WHERE p.id = ANY($1) ORDER BY p.id FOR NO KEY UPDATE OF p", purchases)
    return {purchase.id: purchase for row in rows if (purchase := _read(row))}


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


async def take_abandoned(conn: Connection, *, idle_since: datetime, at: datetime, limit: int) -> list[UUID]:
    """Take up purchases with a payment at Stripe that are waited for no longer, and that nobody has taken up since."""
    rows = await conn.fetch(
        """UPDATE purchase SET resolved_at = $2
            WHERE id IN (SELECT id FROM purchase
                          WHERE state IN ('created', 'requires_action', 'failed') AND expires_at <= $2
                            AND (payment_intent IS NOT NULL OR checkout_session IS NOT NULL) AND resolved_at <= $1
                          ORDER BY expires_at LIMIT $3 FOR UPDATE SKIP LOCKED)
        RETURNING id""",
        idle_since,
        at,
        limit,
    )
    return [row["id"] for row in rows]


async def take_to_look_at(conn: Connection, *, at: datetime, created_since: datetime, limit: int) -> list[UUID]:
    """Take up purchases that wait with a payment at Stripe and are due: each waits twice as long as it did before."""
    rows = await conn.fetch(
        """UPDATE purchase SET look_at = CASE WHEN created_at >= $2 THEN $1 + ($1 - created_at) END
            WHERE id IN (SELECT id FROM purchase
                          WHERE paid_at IS NULL AND state <> 'canceled'
                            AND (payment_intent IS NOT NULL OR checkout_session IS NOT NULL) AND look_at <= $1
                          ORDER BY look_at LIMIT $3 FOR UPDATE SKIP LOCKED)
        RETURNING id""",
        at,
        created_since,
        limit,
    )
    return [row["id"] for row in rows]


async def paid_between(
    conn: Connection, *, since: datetime, until: datetime, after: UUID | None, limit: int
) -> list[Purchase]:
    """Read what was paid in that time, the oldest first; `since` is when the one before, `after`, was paid."""
    rows = await conn.fetch(
        f"""{_SELECT} WHERE p.paid_at IS NOT NULL AND (p.paid_at, p.id) > ($1, $2) AND p.paid_at <= $3
             ORDER BY p.paid_at, p.id LIMIT $4""",
        since,
        after or UUID(int=0),
        until,
        limit,
    )
    return [purchase for row in rows if (purchase := _read(row))]


async def find_all(conn: Connection, purchases: Sequence[UUID]) -> list[Purchase]:
    """Find those of these purchases that are there."""
    rows = await conn.fetch(f"{_SELECT} WHERE p.id = ANY($1)", purchases)
    return [purchase for row in rows if (purchase := _read(row))]


async def mark_unknown(conn: Connection, purchase: UUID) -> None:
    """Record that Stripe was asked for the payment and did not answer; not if we know of the payment by now."""
    await conn.execute(
        """UPDATE purchase SET state = 'unknown'
            WHERE id = $1 AND state = 'created' AND payment_intent IS NULL AND checkout_session IS NULL""",
        purchase,
    )


async def doubt(conn: Connection, purchase: UUID, *, look_at: datetime) -> None:
    """Record that nobody knows whether Stripe has charged the card; it is looked at from then on, unless it is paid."""
    await conn.execute(
        """UPDATE purchase SET look_at = $2, state = CASE WHEN state = 'created' THEN 'unknown' ELSE state END
            WHERE id = $1 AND paid_at IS NULL AND state <> 'canceled'""",
        purchase,
        look_at,
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


async def move(
    conn: Connection,
    purchase: UUID,
    state: PurchaseState,
    *,
    failure: str | None = None,
    cancellation: str | None = None,
    asked_at: datetime | None = None,
) -> bool:
    """Move an unpaid purchase along an allowed edge; False if there is none from where it is."""
    return (
        await conn.fetchval(
            """UPDATE purchase
                  SET state = $2, failure = coalesce($4, failure), cancellation = $5, asked_at = $6,
                      client_secret = CASE WHEN $2 = 'canceled' THEN NULL ELSE client_secret END
                WHERE id = $1 AND state = ANY($3) RETURNING true""",
            purchase,
            state,
            sources(state),
            failure,
            cancellation,
            asked_at,
        )
        is True
    )


async def note_card(conn: Connection, purchase: UUID, card: PaidByCard) -> None:
    """Note the card that paid."""
    await conn.execute(
        "UPDATE purchase SET card_brand = $2, card_last4 = $3 WHERE id = $1", purchase, card.brand, card.last4
    )


async def mark_paid(conn: Connection, payments: Mapping[UUID, str], *, at: datetime) -> dict[UUID, int]:
    """Record that Stripe has the money of purchases, by which payment; returns the revisions to tell that under.

    What was known to be paid is not among them.
    """
    rows = await conn.fetch(
        """UPDATE purchase AS p
              SET state = 'succeeded', payment_intent = paid.payment_intent, paid_at = $3, revision = p.revision + 1,
                  paid_revision = p.revision + 1, failure = NULL, cancellation = NULL, asked_at = NULL,
                  client_secret = NULL
             FROM unnest($1::uuid[], $2::text[]) AS paid (id, payment_intent)
            WHERE p.id = paid.id AND p.paid_at IS NULL AND p.state = ANY($4) RETURNING p.id, p.revision""",
        list(payments.keys()),
        list(payments.values()),
        at,
        sources("succeeded"),
    )
    return {row["id"]: row["revision"] for row in rows}


async def mark_returned(
    conn: Connection, purchase: UUID, *, refunded_minor: int, withdrawn_minor: int, state: PurchaseState
) -> bool:
    """Record how much has gone back in total, by refunds and by disputes; False if the refunds are as they were."""
    return (
        await conn.fetchval(
            """UPDATE purchase AS p SET state = $4, refunded_minor = $2, withdrawn_minor = $3
                 FROM (SELECT id, refunded_minor FROM purchase WHERE id = $1) AS before
                WHERE p.id = before.id AND (p.state = ANY($5) OR p.state = $4)
            RETURNING before.refunded_minor <> p.refunded_minor""",
            purchase,
            refunded_minor,
            withdrawn_minor,
            state,
            sources(state),
        )
        is True
    )


async def count_telling(conn: Connection, purchase: UUID) -> int:
    """Count that something is told of the purchase that leaves its state; returns the revision to tell it under."""
    revision: int = await conn.fetchval(
        "UPDATE purchase SET revision = revision + 1 WHERE id = $1 RETURNING revision", purchase
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
        quote=quotes.read(row),
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
        withdrawn_minor=row["withdrawn_minor"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        takes_back=row["takes_back"],
        paid_at=row["paid_at"],
        paid_revision=row["paid_revision"],
        gift_card=row["gift_card"],
        card=PaidByCard(brand=row["card_brand"], last4=row["card_last4"]) if row["card_brand"] else None,
        cancellation=row["cancellation"],
        asked_at=row["asked_at"],
        paying=PayingBy(row["card"], saves=row["saves_card"]),
    )
