"""Every SQL statement of the service."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from libs.chassis.pool import Connection, Record
from services.notifications.domain.messages import Contact, Message, Recipient


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery that we have claimed, and whom it goes to. `attempts` counts this try."""

    id: UUID
    template: str
    facts: Any
    attempts: int
    recorded_at: datetime
    email: str
    name: str


async def hold_person(conn: Connection, account: UUID, user: UUID) -> None:
    """Let one transaction at a time decide what becomes of a person's messages.

    Else one that records a message could miss the contact that another brings, which would miss the message.
    """
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"{account}/{user}")


async def add_contact(conn: Connection, contact: Contact, *, at: datetime) -> bool:
    """Keep a contact; False if the person has one already, which may be newer than what opened his account."""
    return (
        await conn.fetchval(
            """INSERT INTO contact (account_id, user_id, email, name, known_since) VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT DO NOTHING RETURNING true""",
            contact.account,
            contact.user,
            contact.email,
            contact.name,
            at,
        )
        is True
    )


async def release_waiting(conn: Connection, contact: Contact, *, at: datetime) -> None:
    """Have everything sent that waited for this contact."""
    await conn.execute(
        """UPDATE delivery SET state = 'pending', next_attempt_at = $3
            WHERE account_id = $1 AND user_id = $2 AND state = 'waiting_for_contact'""",
        contact.account,
        contact.user,
        at,
    )


async def add_delivery(
    conn: Connection,
    message: Message,
    *,
    id: UUID,
    account: UUID,
    user: UUID,
    at: datetime,
    due_at: datetime | None = None,
    recipient: Recipient | None = None,
) -> bool:
    """Record what a person is to be told, now or when it is due; False if it has been recorded before.

    Without a contact it waits for one. If there is a recipient, it is he who is told, and nothing is waited for.
    """
    return (
        await conn.fetchval(
            """INSERT INTO delivery (id, template, business_key, account_id, user_id, facts, recipient_email,
                                     recipient_name, state, next_attempt_at, recorded_at)
               SELECT $1, $2, $3, $4, $5, $6, $8, $9,
                      CASE WHEN reachable THEN 'pending' ELSE 'waiting_for_contact' END,
                      CASE WHEN reachable THEN coalesce($10, $7::timestamptz) END, $7
                 FROM (SELECT $8::text IS NOT NULL
                           OR EXISTS (SELECT FROM contact WHERE account_id = $4 AND user_id = $5)) AS person (reachable)
               ON CONFLICT (template, business_key) DO NOTHING RETURNING true""",
            id,
            message.template,
            message.business_key(),
            account,
            user,
            message.model_dump(mode="json"),
            at,
            recipient.email if recipient else None,
            recipient.name if recipient else None,
            due_at,
        )
        is True
    )


async def complete(conn: Connection, template: str, business_key: str, facts: Mapping[str, Any]) -> None:
    """Add to the facts of a message that nobody has tried to send."""
    await conn.execute(
        """UPDATE delivery SET facts = facts || $3::jsonb
            WHERE template = $1 AND business_key = $2 AND attempts = 0 AND settled_at IS NULL""",
        template,
        business_key,
        facts,
    )


async def bring_forward(conn: Connection, template: str, business_key: str, *, at: datetime) -> None:
    """Have a message sent by then that nobody has tried to send."""
    await conn.execute(
        """UPDATE delivery SET next_attempt_at = least(next_attempt_at, $3)
            WHERE template = $1 AND business_key = $2 AND attempts = 0 AND state = 'pending'""",
        template,
        business_key,
        at,
    )


async def tell_refund(conn: Connection, purchase: UUID, *, revision: int, total_minor: int) -> int | None:
    """Note the total refunded so far; returns what is new in it, None if a later revision has been told.

    Negative if a refund has come back: its money did not reach the customer.
    """
    latest: int | None = await conn.fetchval(
        """INSERT INTO refund_told AS told (purchase_id, revision, total_minor, latest_minor) VALUES ($1, $2, $3, $3)
           ON CONFLICT (purchase_id) DO UPDATE
              SET revision = excluded.revision, total_minor = excluded.total_minor,
                  latest_minor = excluded.total_minor - told.total_minor
            WHERE told.revision < excluded.revision
           RETURNING latest_minor""",
        purchase,
        revision,
        total_minor,
    )
    return latest


async def claim_due(conn: Connection, *, now: datetime, until: datetime) -> Due | None:
    """Take the delivery that has been due the longest, for ourselves until then; None if nothing is due."""
    row = await conn.fetchrow(
        """UPDATE delivery AS d SET claimed_until = $2, attempts = d.attempts + 1
             FROM (SELECT due.id, coalesce(due.recipient_email, contact.email) AS email,
                          coalesce(due.recipient_name, contact.name) AS name
                     FROM delivery AS due LEFT JOIN contact USING (account_id, user_id)
                    WHERE due.id = (SELECT id FROM delivery
                                     WHERE state = 'pending' AND next_attempt_at <= $1
                                       AND (claimed_until IS NULL OR claimed_until <= $1)
                                     ORDER BY next_attempt_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)) AS person
            WHERE d.id = person.id
           RETURNING d.id, template, facts, attempts, recorded_at, person.email, person.name""",
        now,
        until,
    )
    return Due(**row) if row else None


async def mark_sent(conn: Connection, due: Due, *, at: datetime) -> None:
    """Record that the mail server has taken it: whoever says so is right, even when his claim is over."""
    await conn.execute(
        """UPDATE delivery SET state = 'sent', sent_to = $2, settled_at = $3,
                  next_attempt_at = NULL, claimed_until = NULL, last_error = NULL
            WHERE id = $1 AND state = 'pending'""",
        due.id,
        due.email,
        at,
    )


async def put_off(conn: Connection, due: Due, *, until: datetime, error: str) -> None:
    """Record a try that failed and when the next one is, unless another has taken over meanwhile."""
    await conn.execute(
        """UPDATE delivery SET next_attempt_at = $3, last_error = $4, claimed_until = NULL
            WHERE id = $1 AND state = 'pending' AND attempts = $2""",
        due.id,
        due.attempts,
        until,
        _storable(error),
    )


async def give_up(conn: Connection, due: Due, *, at: datetime, error: str) -> None:
    """Record that it will not be tried again, unless another has taken over meanwhile."""
    await conn.execute(
        """UPDATE delivery SET state = 'failed', settled_at = $3, last_error = $4,
                  next_attempt_at = NULL, claimed_until = NULL
            WHERE id = $1 AND state = 'pending' AND attempts = $2""",
        due.id,
        due.attempts,
        at,
        _storable(error),
    )


async def deliveries_of(conn: Connection, account: UUID, *, before: UUID | None, limit: int) -> list[Record]:
    """List an account's deliveries, newest first, those older than `before`."""
    return await conn.fetch(
        """SELECT id, account_id, user_id, template, business_key, state, attempts, next_attempt_at, last_error,
                  sent_to, recorded_at, settled_at
             FROM delivery
            WHERE account_id = $1 AND ($2::uuid IS NULL OR id < $2)
            ORDER BY id DESC LIMIT $3""",
        account,
        before,
        limit,
    )


async def prune_deliveries(conn: Connection, *, before: datetime, limit: int = 1000) -> int:
    """Forget some of what was settled before then; returns how many rows that was."""
    tag = await conn.execute(
        """DELETE FROM delivery WHERE id = ANY(ARRAY(
               SELECT id FROM delivery WHERE settled_at < $1 LIMIT $2))""",
        before,
        limit,
    )
    return int(tag.split()[-1])


def _storable(error: str) -> str:
    """Make storable what a mail server said: PostgreSQL's text holds neither NUL nor lone surrogates."""
    return error.encode(errors="replace").decode().replace("\x00", "")[:1000]
