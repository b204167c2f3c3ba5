"""What the catalogue sells, as it was last applied, and what stands for it at Stripe."""

from datetime import datetime
from uuid import UUID

from libs.chassis.pool import Connection
from services.payments.domain.catalogue import Counterpart, Item, Wanted

LOCK = 0x5343_5249_5043_4154
"""Who has it, applies a catalogue: "SCRIPCAT"."""


async def products(conn: Connection) -> list[tuple[Item, datetime]]:
    """Read packs and gift cards, retired ones too, each with when it was changed last."""
    rows = await conn.fetch(
        "SELECT kind, id, terms, active, changed_at FROM product ORDER BY kind DESC, created_at, id"
    )
    return [(Item(row["kind"], row["id"], row["terms"], active=row["active"]), row["changed_at"]) for row in rows]


async def put(conn: Connection, item: Item, *, at: datetime) -> None:
    """Have a pack or gift card be so."""
    await conn.execute(
        """INSERT INTO product (kind, id, terms, active, created_at, changed_at) VALUES ($1, $2, $3, $4, $5, $5)
           ON CONFLICT (kind, id) DO UPDATE
              SET terms = excluded.terms, active = excluded.active, changed_at = excluded.changed_at""",
        item.kind,
        item.id,
        item.terms,
        item.active,
        at,
    )


async def counterparts(conn: Connection, *, livemode: bool) -> list[Counterpart]:
    """Read what stands for all of it at Stripe, or is to."""
    rows = await conn.fetch(
        """SELECT id, kind, name, fixed, said, revision, told, stripe_id FROM counterpart
            WHERE livemode = $1 ORDER BY created_at, id""",
        livemode,
    )
    return [Counterpart(**row) for row in rows]


async def intend(conn: Connection, id: UUID, wanted: Wanted, *, livemode: bool, at: datetime) -> None:
    """Record what is to be at Stripe, under a new id if nothing was recorded of it before."""
    await conn.execute(
        """INSERT INTO counterpart AS c (id, livemode, kind, name, fixed, said, revision, told, created_at, changed_at)
           VALUES ($1, $2, $3, $4, $5, $6, 1, 0, $7, $7)
           ON CONFLICT (livemode, kind, name, fixed) DO UPDATE
              SET said = excluded.said, revision = c.revision + 1, changed_at = excluded.changed_at
            WHERE c.said <> excluded.said""",
        id,
        livemode,
        wanted.kind,
        wanted.name,
        dict(wanted.fixed),
        dict(wanted.said),
        at,
    )


async def know(conn: Connection, id: UUID, *, told: int, stripe_id: str | None) -> None:
    """Record Stripe's answer to a revision."""
    await conn.execute(
        "UPDATE counterpart SET told = greatest(told, $2), stripe_id = coalesce($3, stripe_id) WHERE id = $1",
        id,
        told,
        stripe_id,
    )


async def renew(conn: Connection, id: UUID, *, revision: int) -> None:
    """Have what Stripe refused be said under a new key: under the old one it would only repeat its refusal."""
    await conn.execute("UPDATE counterpart SET revision = revision + 1 WHERE id = $1 AND revision = $2", id, revision)
