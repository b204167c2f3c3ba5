"""Announcing balances: state, not fact. Coalesced per account, published straight to the broker, not kept."""

import secrets
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import count
from uuid import UUID

import msgspec

from libs.chassis.broker.producer import Message, Producer
from libs.chassis.clock import Clock
from libs.chassis.leading import leading
from libs.chassis.pacing import paced
from libs.chassis.pool import Connection, Pool
from libs.contracts import ids
from libs.contracts.credits import format_credits
from libs.contracts.events import BalanceChanged
from services.credits.store import accounts, announcements
from services.credits.store.accounts import AccountBalance

_CHANGES_A_PASS = 1000
_CHANGES_AT_ONCE = 100
_ACCOUNTS_AT_ONCE = 250
_PAUSES = 2
"""Times as long as announcing those took. The longer it all takes, the more changes of an account are told as one."""


async def announce_balances(pool: Pool, producer: Producer, clock: Clock) -> int:
    """Tell every balance that changed since the last pass, as it is now; returns how many accounts that was.

    One worker at a time. What is told twice, because we died in between, carries the same sequence and harms nobody.
    """
    async with pool.connection() as conn, leading(conn, announcements.LOCK) as leads:
        return await _announce(conn, producer, clock) if leads else 0


async def _announce(conn: Connection, producer: Producer, clock: Clock) -> int:
    changes, changed = await _changes(conn)
    if not changes:
        return 0
    topic = BalanceChanged.topic.name
    async for some in paced(_pieces(list(changed)), pauses=_PAUSES):
        balances = await accounts.balances(conn, some)
        await producer.publish([(topic, written(balance, clock.now())) for balance in balances])
    await announcements.forget_changes(conn, changes)
    return len(changed)


async def _changes(conn: Connection) -> tuple[list[int], set[UUID]]:
    """Read the oldest changes: their ids, and the accounts they name. A batch names hundreds: a few batches at once."""
    changes: list[int] = []
    changed: set[UUID] = set()
    while len(changes) < _CHANGES_A_PASS:
        found = await announcements.unannounced(conn, above=changes[-1] if changes else 0, limit=_CHANGES_AT_ONCE)
        for id, accounts_of_it in found:
            changes.append(id)
            changed.update(accounts_of_it)
        if len(found) < _CHANGES_AT_ONCE:
            break
    return changes, changed


def _pieces(changed: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    return (changed[begin : begin + _ACCOUNTS_AT_ONCE] for begin in range(0, len(changed), _ACCOUNTS_AT_ONCE))


def written(balance: AccountBalance, at: datetime) -> Message:
    """Write the event BalanceChanged, to the letter as its model would: there are thousands a second."""
    account = ids.show("account", balance.account)
    data = {
        "account": account,
        "sequence": balance.sequence,
        "occurred_at": at,
        "available": format_credits(balance.available),
        "held": format_credits(balance.held),
        "overdraft": format_credits(balance.overdraft),
        "debt": format_credits(balance.debt),
    }
    event = {
        "specversion": "1.0",
        "id": f"evt_{_PROCESS}{next(_NUMBERS):016x}",
        "source": BalanceChanged.source,
        "type": BalanceChanged.type,
        "subject": account,
        "time": at,
        "datacontenttype": "application/json",
        "data": data,
    }
    return Message(account, _ENCODER.encode(event))


_ENCODER = msgspec.json.Encoder()
_PROCESS = secrets.token_hex(8)
_NUMBERS = count()
