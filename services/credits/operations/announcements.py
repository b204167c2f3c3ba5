"""Announcing balances: state, not fact. Coalesced per account, published straight to the broker, not kept."""

from libs.chassis.broker.producer import Message, Producer
from libs.chassis.clock import Clock
from libs.chassis.pool import Pool
from libs.contracts.events import BalanceChanged
from services.credits.store import accounts, announcements

_CHANGES_A_PASS = 1000


async def announce_balances(pool: Pool, producer: Producer, clock: Clock) -> int:
    """Tell every balance that changed since the last pass, as it is now; returns how many accounts that was.

    What is told twice, because we died in between, carries the same sequence and harms nobody.
    """
    async with pool.connection() as conn:
        changes, changed = await announcements.unannounced(conn, _CHANGES_A_PASS)
        balances = await accounts.balances(conn, changed)
    if not changes:
        return 0
    at = clock.now()
    topic = BalanceChanged.topic.name
    await producer.publish((topic, _message(balance.event(at), clock)) for balance in balances)
    async with pool.connection() as conn:
        await announcements.forget_changes(conn, changes)
    return len(balances)


def _message(event: BalanceChanged, clock: Clock) -> Message:
    return Message(event.key(), event.envelope(at=clock.now()).encode())
