"""What a batch reads before it decides, and writes after: a fixed few statements, each for all of it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from msgspec.structs import astuple

from libs.chassis.pool import Connection, Record
from services.credits.domain.accounts import Account, BurntCharge, HeldCredits, Leg, Lot, Part
from services.credits.domain.books import Books, Known, Rules
from services.credits.domain.tallies import Tally
from services.credits.store import counts, limits

WRITE = (Path(__file__).parents[1] / "sql" / "write.sql").read_text()


async def open_accounts(conn: Connection, accounts: Sequence[UUID], at: datetime) -> None:
    """Open the accounts that are not open yet."""
    await conn.execute(
        """INSERT INTO account (id, opened_at, changed_at) SELECT id, $2, $2 FROM unnest($1::uuid[]) AS a (id)
           ON CONFLICT DO NOTHING""",
        accounts,
        at,
    )


_ACCOUNTS = """
    SELECT id, state, available, held, debt, coalesce(overdraft_limit, $2), sequence, head_lot, head_remaining,
           next_due, earned, purchased, spent, expired, refunded, overdraft_ever, coalesce(low_below, $3), low,
           resumes_at, limits_actors, coalesce(uncovered_usage = 'block_holds', $4), uncovered, hold_first,
           hour, hour_spent, hour_before_spent, day_spends, changed_at
      FROM account WHERE id = ANY($1) ORDER BY id"""


async def lock_accounts(
    conn: Connection, accounts: Sequence[UUID], rules: Rules
) -> tuple[dict[UUID, Account], datetime | None]:
    """Lock the accounts in id order and read them; also tells the latest instant at which one of them changed.

    A statement of its own, before any other reads what belongs to them: those would see it as it was before the lock.
    The rows themselves come as they are once locked.
    """
    rows = await conn.fetch(f"{_ACCOUNTS} FOR NO KEY UPDATE", accounts, *_defaults(rules))
    return _accounts(rows, rules)


async def read_accounts(
    conn: Connection, accounts: Sequence[UUID], rules: Rules
) -> tuple[dict[UUID, Account], datetime | None]:
    """Read the accounts as `lock_accounts` does, and lock none."""
    rows = await conn.fetch(_ACCOUNTS, accounts, *_defaults(rules))
    return _accounts(rows, rules)


def _defaults(rules: Rules) -> tuple[int, int, bool]:
    """Give what holds for accounts that have nothing of their own."""
    return rules.overdraft_limit, rules.low_below, rules.enforcement.blocks_holds


def _accounts(rows: Sequence[Record], rules: Rules) -> tuple[dict[UUID, Account], datetime | None]:
    counting = rules.count_accounts
    latest: datetime | None = None
    locked: dict[UUID, Account] = {}
    for row in rows:
        account = locked[row[0]] = Account(*row[:23])
        if counting:
            account.tally = Tally(*row[23:27])
        changed_at = row[27]
        if latest is None or changed_at > latest:
            latest = changed_at
    return locked, latest


async def known(
    conn: Connection, keys: Sequence[UUID], *, since: datetime, until: datetime
) -> tuple[dict[UUID, Known], dict[UUID, set[UUID]]]:
    """Find what was posted under these keys, and what was refused: each with the contents that were.

    Each key is a probe of its own in the indexes of the months between. Of what was posted the first leg tells what it
    was, the last one what it left.
    """
    rows = await conn.fetch(
        """SELECT e.key, e.fingerprint, e.sequence, l.available_after, l.held_after, l.debt_after
             FROM unnest($1::uuid[]) AS asked (key)
            CROSS JOIN LATERAL (
                SELECT * FROM entry
                 WHERE entry.key = asked.key AND entry.at BETWEEN $2 AND $3 AND entry.leg = 0 LIMIT 1
            ) AS e
            CROSS JOIN LATERAL (
                SELECT * FROM entry AS last
                 WHERE (last.account_id, last.at, last.sequence) = (e.account_id, e.at, e.sequence)
                 ORDER BY last.leg DESC LIMIT 1
            ) AS l
            UNION ALL
           SELECT key, fingerprint, NULL, NULL, NULL, NULL FROM rejected_usage WHERE key = ANY($1)""",
        keys,
        since,
        until,
    )
    posted: dict[UUID, Known] = {}
    refused: dict[UUID, set[UUID]] = {}
    for row in rows:
        if row[2] is not None:
            posted[row[0]] = Known(*row[1:])
        else:
            refused.setdefault(row[0], set()).add(row[1])
    return posted, refused


_LOT = """id, remaining, account_id, kind, priority, granted, taken_back, revision, cost_minor, currency,
          reference_type, reference_id, granted_at, expires_at"""


async def open_lots(conn: Connection, accounts: Sequence[UUID], named: Sequence[UUID]) -> list[Lot]:
    """Read the open lots of accounts, and lots by their ids, open or not; a head's own row may lag behind."""
    rows = await conn.fetch(
        f"SELECT {_LOT} FROM lot WHERE (account_id = ANY($1) AND open) OR id = ANY($2)",  # noqa: S608 - a constant
        accounts,
        named,
    )
    return [Lot(*row) for row in rows]


async def funded_lots(conn: Connection, references: Iterable[tuple[str, str, str]]) -> list[Lot]:
    """Find lots by kind and reference."""
    rows = await conn.fetch(
        f"""SELECT {_LOT} FROM lot INNER JOIN unnest($1::text[], $2::text[], $3::text[])
                 AS asked (kind, reference_type, reference_id) USING (kind, reference_type, reference_id)""",  # noqa: S608 - a constant
        *zip(*references, strict=True),
    )
    return [Lot(*row) for row in rows]


HOLD = """hold.id, account_id, state, reserved, captured, placed_at, expires_at, ends_by, reference_type, reference_id,
          description, details::text, parts, actor, settled_at, reserve, metered, price_version, set_aside"""


async def holds(conn: Connection, ids: Sequence[UUID], accounts: Sequence[UUID], due: datetime) -> list[HeldCredits]:
    """Read holds by their ids, and those of accounts that are due; by probes, as a plan for few would scan."""
    rows = await conn.fetch(
        f"""SELECT {HOLD}
              FROM (SELECT unnest($1::uuid[]) AS id
                    UNION
                    SELECT due.id FROM unnest($2::uuid[]) AS asked (account)
                     CROSS JOIN LATERAL (
                         SELECT hold.id FROM hold
                          WHERE hold.account_id = asked.account AND hold.state = 'pending' AND hold.expires_at <= $3
                         OFFSET 0
                     ) AS due) AS wanted
             CROSS JOIN LATERAL (SELECT * FROM hold WHERE hold.id = wanted.id LIMIT 1) AS hold""",  # noqa: S608 - a constant
        ids,
        accounts,
        due,
    )
    return [held_credits(row) for row in rows]


def held_credits(row: Record) -> HeldCredits:
    """Read a hold's row, its columns in the order of the struct's fields."""
    columns = list(row)
    columns[12] = [_part(kept) for kept in row["parts"]]
    return HeldCredits(*columns)


def _part(kept: Mapping[str, Any]) -> Part:
    at = kept.get("at")
    return Part(UUID(kept["lot"]), kept["reserved"], kept["left"], datetime.fromisoformat(at) if at else None)


def _parts(hold: HeldCredits) -> str:
    return orjson.dumps([_kept(part) for part in hold.parts]).decode()


def _kept(part: Part) -> Mapping[str, Any]:
    kept = {"lot": str(part.lot), "reserved": part.reserved, "left": part.left}
    return kept if part.at is None else kept | {"at": part.at}


async def next_hold_expiries(conn: Connection, accounts: Sequence[UUID], after: datetime) -> dict[UUID, datetime]:
    """Tell when the next hold of each account expires, if it has any."""
    rows = await conn.fetch(
        """SELECT account_id, min(expires_at) FROM hold
            WHERE account_id = ANY($1) AND state = 'pending' AND expires_at > $2 GROUP BY account_id""",
        accounts,
        after,
    )
    return {row[0]: row[1] for row in rows}


CHARGE = """id, account_id, amount, refunded, reference_type, reference_id, description, details::text, charged_at"""


async def charges(conn: Connection, ids: Sequence[UUID]) -> list[BurntCharge]:
    """Read charges with what each burnt, in the order in which it did."""
    rows = await conn.fetch(f"SELECT {CHARGE} FROM charge WHERE id = ANY($1)", ids)  # noqa: S608 - a constant
    found = {row["id"]: BurntCharge(*row) for row in rows}
    since = min((charge.at for charge in found.values()), default=None)
    legs = await conn.fetch(
        "SELECT key, lot_id, amount FROM entry WHERE key = ANY($1) AND at >= $2 ORDER BY key, leg", ids, since
    )
    for key, lot, amount in legs:
        found[key].legs.append(Leg(lot, amount))
    return list(found.values())


async def charged_references(
    conn: Connection, asked: Iterable[tuple[UUID, str, str]]
) -> dict[tuple[UUID, str, str], BurntCharge]:
    """Find charges by account and reference."""
    rows = await conn.fetch(
        f"""SELECT {CHARGE} FROM charge INNER JOIN unnest($1::uuid[], $2::text[], $3::text[])
                AS asked (account_id, reference_type, reference_id)
                USING (account_id, reference_type, reference_id)""",  # noqa: S608 - a constant
        *zip(*asked, strict=True),
    )
    found = [BurntCharge(*row) for row in rows]
    return {(charge.account, str(charge.reference_type), str(charge.reference_id)): charge for charge in found}


async def write(conn: Connection, books: Books) -> None:
    """Write what a batch did."""
    changed = [account for account in books.accounts.values() if account.changed]
    if changed:
        for account in changed:
            account.note_head()
        counted = _columns([_tally_row(a.tally) for a in changed if a.tally is not None], 4)
        await conn.execute(
            WRITE, *_columns(books.entries, 18), books.at, *_columns(_account_rows(changed), 13), *counted
        )
    await limits.write_marks(conn, [account for account in books.accounts.values() if account.marked])
    if books.guard is not None:
        await limits.write_actors(conn, [actor for actor in books.guard.actors.values() if actor.changed])
    await counts.write(conn, {name: count for name, count in books.counts.items() if count.changed})
    await _write_lots(conn, [lot for lot in books.lots.values() if lot.changed or lot.new])
    await _write_holds(conn, [hold for hold in books.holds.values() if hold.changed or hold.new])
    await _write_charges(conn, [charge for charge in books.charges.values() if charge.changed or charge.new])


def _account_rows(changed: Iterable[Account]) -> list[tuple[Any, ...]]:
    return [
        (
            a.id,
            a.available,
            a.held,
            a.debt,
            a.sequence,
            a.head_lot,
            a.head_remaining,
            a.next_due,
            a.earned,
            a.purchased,
            a.spent,
            a.expired,
            a.refunded,
        )
        for a in changed
    ]


def _tally_row(tally: Tally) -> tuple[Any, ...]:
    return tally.hour, tally.spent, tally.spent_before, tally.times_today


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[Sequence[Any]]:
    """Turn rows into columns, for `unnest`."""
    return list(zip(*rows, strict=True)) if rows else [()] * width


async def _write_lots(conn: Connection, lots: Sequence[Lot]) -> None:
    if new := [astuple(lot)[:14] for lot in lots if lot.new]:
        await conn.execute(
            """INSERT INTO lot (id, remaining, account_id, kind, priority, granted, taken_back, revision, cost_minor,
                                currency, reference_type, reference_id, granted_at, expires_at, open)
               SELECT l.*, l.remaining > 0
                 FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::text[], $5::smallint[], $6::bigint[],
                             $7::bigint[], $8::int[], $9::bigint[], $10::text[], $11::text[], $12::text[],
                             $13::timestamptz[], $14::timestamptz[])
                      AS l (id, remaining, account_id, kind, priority, granted, taken_back, revision, cost_minor,
                            currency, reference_type, reference_id, granted_at, expires_at)""",
            *_columns(new, 14),
        )
    if old := [(lot.id, lot.remaining, lot.taken_back, lot.revision) for lot in lots if not lot.new]:
        await conn.execute(
            """UPDATE lot SET remaining = n.remaining, open = n.remaining > 0, taken_back = n.taken_back,
                              revision = n.revision
                 FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::int[])
                      AS n (id, remaining, taken_back, revision)
                WHERE lot.id = n.id""",
            *_columns(old, 4),
        )


async def _write_holds(conn: Connection, holds: Sequence[HeldCredits]) -> None:
    if new := [(*astuple(hold)[:12], _parts(hold), *_the_rest(hold)) for hold in holds if hold.new]:
        await conn.execute(
            """INSERT INTO hold (id, account_id, state, reserved, captured, placed_at, expires_at, ends_by,
                                 reference_type, reference_id, description, details, parts, actor, settled_at,
                                 reserve, metered, price_version, set_aside)
               SELECT h.id, h.account_id, h.state, h.reserved, h.captured, h.placed_at, h.expires_at, h.ends_by,
                      h.reference_type, h.reference_id, h.description, h.details::json, h.parts::jsonb, h.actor,
                      h.settled_at, h.reserve, h.metered, h.price_version, h.set_aside
                 FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[], $6::timestamptz[],
                             $7::timestamptz[], $8::timestamptz[], $9::text[], $10::text[], $11::text[], $12::text[],
                             $13::text[], $14::text[], $15::timestamptz[], $16::bigint[], $17::numeric[], $18::text[],
                             $19::boolean[])
                      AS h (id, account_id, state, reserved, captured, placed_at, expires_at, ends_by, reference_type,
                            reference_id, description, details, parts, actor, settled_at, reserve, metered,
                            price_version, set_aside)""",
            *_columns(new, 19),
        )
    if old := [_changed_hold(hold) for hold in holds if not hold.new]:
        await conn.execute(
            """UPDATE hold SET state = n.state, reserved = n.reserved, captured = n.captured, expires_at = n.expires_at,
                               parts = n.parts::jsonb, settled_at = n.settled_at, metered = n.metered
                 FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::timestamptz[], $6::text[],
                             $7::timestamptz[], $8::numeric[])
                      AS n (id, state, reserved, captured, expires_at, parts, settled_at, metered)
                WHERE hold.id = n.id""",
            *_columns(old, 8),
        )


def _the_rest(hold: HeldCredits) -> tuple[Any, ...]:
    return hold.actor, hold.settled_at, hold.reserve, hold.metered, hold.price_version, hold.set_aside


def _changed_hold(h: HeldCredits) -> tuple[Any, ...]:
    return h.id, h.state, h.reserved, h.captured, h.expires_at, _parts(h), h.settled_at, h.metered


async def _write_charges(conn: Connection, charges: Sequence[BurntCharge]) -> None:
    if new := [astuple(charge)[:9] for charge in charges if charge.new]:
        await conn.execute(
            """INSERT INTO charge (id, account_id, amount, refunded, reference_type, reference_id, description,
                                   details, charged_at)
               SELECT c.id, c.account_id, c.amount, c.refunded, c.reference_type, c.reference_id, c.description,
                      c.details::json, c.charged_at
                 FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[],
                             $8::text[], $9::timestamptz[])
                      AS c (id, account_id, amount, refunded, reference_type, reference_id, description, details,
                            charged_at)""",
            *_columns(new, 9),
        )
    if old := [(charge.id, charge.refunded) for charge in charges if not charge.new]:
        await conn.execute(
            """UPDATE charge SET refunded = n.refunded FROM unnest($1::uuid[], $2::bigint[]) AS n (id, refunded)
                WHERE charge.id = n.id""",
            *_columns(old, 2),
        )
