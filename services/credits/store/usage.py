"""Usage that was refused."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from uuid import UUID

from libs.chassis.pool import Connection


@dataclass(frozen=True, slots=True)
class RefusedUsage:
    """A refused usage event, as it is kept."""

    account: UUID
    key: UUID
    fingerprint: UUID
    source: str
    event_id: str
    meter: str
    event: str
    code: str
    detail: str
    required: int | None
    available: int | None


async def keep_refusals(conn: Connection, refused: Sequence[RefusedUsage], *, at: datetime) -> list[bool]:
    """Keep refused usage; tells which of them are new. One that was ever burnt before is not refused now."""
    rows = await conn.fetch(
        """INSERT INTO rejected_usage (account_id, key, fingerprint, source, event_id, meter, event, code, detail,
                                       required, available, at)
           SELECT r.account_id, r.key, r.fingerprint, r.source, r.event_id, r.meter, r.event, r.code, r.detail,
                  r.required, r.available, $12
             FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[],
                         $8::text[], $9::text[], $10::bigint[], $11::bigint[])
                  AS r (account_id, key, fingerprint, source, event_id, meter, event, code, detail, required, available)
            WHERE NOT EXISTS (SELECT FROM entry AS e
                               WHERE e.key = r.key AND e.fingerprint = r.fingerprint AND e.at <= $12)
           ON CONFLICT DO NOTHING RETURNING key, fingerprint""",
        *zip(*(astuple(usage) for usage in refused), strict=True),
        at,
    )
    fresh = {tuple(row) for row in rows}
    told: list[bool] = []
    for usage in refused:
        name = (usage.key, usage.fingerprint)
        told.append(name in fresh)
        fresh.discard(name)  # the same event twice in a batch is told once
    return told
