"""Announcing balances: state, not fact. Coalesced per account, published straight to the broker, not kept."""

import secrets
from datetime import datetime
from itertools import count

import msgspec

from libs.chassis.broker.producer import Message, Producer
from libs.chassis.clock import Clock
from libs.chassis.pool import Connection, Pool
from libs.contracts import ids
from libs.contracts.credits import format_credits
from libs.contracts.events import BalanceChanged
from services.credits.store import accounts, announcements
from services.credits.store.accounts import AccountBalance

_CHANGES_A_PASS = 1000


async def announce_balances(pool: Pool, producer: Producer, clock: Clock) -> int:
    """Tell every balance that changed since the last pass, as it is now; returns how many accounts that was.

    One worker at a time. What is told twice, because we died in between, carries the same sequence and harms nobody.
    """
    async with pool.connection() as conn:
        if not await announcements.take_the_lead(conn):
            return 0
        try:
            return await _announce(conn, producer, clock.now())
        finally:
            await announcements.step_down(conn)


async def _announce(conn: Connection, producer: Producer, at: datetime) -> int:
    changes, changed = await announcements.unannounced(conn, _CHANGES_A_PASS)
    if not changes:
        return 0
    balances = await accounts.balances(conn, changed)
    topic = BalanceChanged.topic.name
    await producer.publish((topic, written(balance, at)) for balance in balances)
    await announcements.forget_changes(conn, changes)
    return len(balances)


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
