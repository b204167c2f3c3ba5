"""Gift cards: ordered with a purchase, vouchers once that is paid."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from libs.chassis.pool import Connection
from libs.contracts.events import GiftCardTakenBack
from libs.contracts.http.vouchers_v1 import GiftCard, StartGiftCard
from libs.contracts.money import Money
from services.payments.domain.vouchers import DueGiftCard


async def insert(
    conn: Connection,
    gift_card: UUID,
    request: StartGiftCard,
    *,
    purchase: UUID,
    deliver_at: datetime,
) -> None:
    """Record for whom a gift card is."""
    order = request.order
    await conn.execute(
        """INSERT INTO gift_card (id, purchase, product, sender_name, recipient_email, recipient_name, message,
                                  deliver_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8)""",
        gift_card,
        purchase,
        order.product,
        request.buyer.name,
        order.recipient.email,
        order.recipient.name,
        order.message,
        deliver_at,
    )


async def issue(conn: Connection, purchase: UUID, *, at: datetime) -> None:
    """Make the voucher of a gift card whose purchase is paid, worth what that says, at the price that was paid."""
    await conn.execute(
        """WITH card AS (UPDATE gift_card SET due_at = greatest(deliver_at, $2) WHERE purchase = $1
                         RETURNING id, purchase)
           INSERT INTO voucher (id, purchase, description, credits, kind, cost_minor, currency,
                                credits_expire_after_days, issued_at)
           SELECT card.id, p.id, p.description, p.credits, 'purchased', p.amount_minor, p.currency,
                  p.expires_after_days, $2
             FROM card JOIN purchase p ON p.id = card.purchase""",
        purchase,
        at,
    )


async def follow_money(conn: Connection, purchase: UUID, *, at: datetime) -> None:
    """Make a gift card void while its price goes back whole or is disputed, unless it is redeemed."""
    await conn.execute(
        """UPDATE voucher v
              SET voided_at = CASE WHEN why.void IS NOT NULL THEN coalesce(v.voided_at, $2) END, voided_by = why.void
             FROM (SELECT CASE
                       WHEN EXISTS (SELECT FROM dispute WHERE purchase = $1 AND state IN ('open', 'lost'))
                           THEN 'dispute'
                       WHEN p.amount_minor <= (SELECT sum(amount_minor) FROM refund
                                                WHERE purchase = $1 AND state <> 'failed') THEN 'refund' END
                     FROM purchase p WHERE p.id = $1) AS why (void)
            WHERE v.purchase = $1 AND v.redeemed_at IS NULL""",
        purchase,
        at,
    )


async def redeemer(conn: Connection, gift_card: UUID) -> tuple[UUID, UUID] | None:
    """Tell the account and the user that have redeemed it."""
    row = await conn.fetchrow(
        "SELECT account, user_id FROM voucher WHERE id = $1 AND redeemed_at IS NOT NULL", gift_card
    )
    return (row["account"], row["user_id"]) if row is not None else None


async def note_taken_back(conn: Connection, told: GiftCardTakenBack) -> None:
    """Note what is told to be gone of a redeemed gift card."""
    await conn.execute(
        "UPDATE voucher SET taken_back = $2, taken_back_revision = $3, taken_back_at = $4 WHERE id = $1",
        told.voucher,
        told.credits,
        told.revision,
        told.occurred_at,
    )


async def take_due(conn: Connection, *, at: datetime, limit: int) -> list[DueGiftCard]:
    """Take some gift cards whose code is to be told now; they are told once. One that is void waits."""
    rows = await conn.fetch(
        """WITH due AS (SELECT g.id, v.credits, p.account, p.user_id
                          FROM gift_card g JOIN voucher v ON v.id = g.id JOIN purchase p ON p.id = g.purchase
                         WHERE g.due_at <= $1 AND g.told_at IS NULL AND v.voided_at IS NULL AND v.redeemed_at IS NULL
                         ORDER BY g.due_at LIMIT $2 FOR UPDATE OF g, v SKIP LOCKED)
           UPDATE gift_card g SET told_at = $1 FROM due WHERE g.id = due.id
        RETURNING g.id, due.account, due.user_id AS "user", due.credits, g.sender_name, g.recipient_email,
                  g.recipient_name, g.message""",
        at,
        limit,
    )
    return [DueGiftCard(**row) for row in rows]


async def give_codes(conn: Connection, cards: Sequence[UUID], code_hashes: Sequence[bytes]) -> None:
    """Let gift cards be found by their codes, from now on."""
    await conn.execute(
        """UPDATE voucher v SET code_hash = told.code_hash
             FROM unnest($1::uuid[], $2::bytea[]) AS told (id, code_hash) WHERE v.id = told.id""",
        cards,
        code_hashes,
    )


async def page(conn: Connection, account: UUID, *, before: UUID | None, limit: int) -> list[GiftCard]:
    """Read the gift cards that an account has paid for, newest first, older than `before` if it is given."""
    rows = await conn.fetch(
        """SELECT g.id, g.purchase, g.product, g.recipient_email, g.recipient_name, g.message, g.due_at AS deliver_at,
                  v.credits, v.cost_minor, v.currency, v.redeemed_at,
                  CASE WHEN v.voided_at IS NOT NULL THEN 'void' WHEN v.redeemed_at IS NOT NULL THEN 'redeemed'
                       WHEN g.told_at IS NOT NULL THEN 'delivered' ELSE 'scheduled' END AS state
             FROM gift_card g JOIN voucher v ON v.id = g.id JOIN purchase p ON p.id = g.purchase
            WHERE p.account = $1 AND ($2::uuid IS NULL OR g.id < $2)
            ORDER BY g.id DESC LIMIT $3""",
        account,
        before,
        limit,
    )
    return [
        GiftCard.model_validate({**row, "price": Money(amount_minor=row["cost_minor"], currency=row["currency"])})
        for row in rows
    ]
