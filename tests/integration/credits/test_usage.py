import random
from asyncio import gather
from datetime import UTC, datetime, timedelta

import pytest

from libs.contracts import ids
from libs.contracts.envelope import CloudEvent
from libs.contracts.events import UsageRejected
from services.credits.domain.usage_events import MalformedEventError, read
from tests.support.desk import Desk
from tests.support.ledger import CATALOGUE, Credits, used
from tests.support.oracle.scripts import START
from tests.support.outbox import told_of


async def told(credits: Credits) -> list[CloudEvent]:
    """Read what the ledger's outbox tells, in order."""
    async with credits.pool.connection() as conn:
        rows = await conn.fetch("SELECT payloads FROM outbox ORDER BY id")
    return [CloudEvent.decode(payload) for row in rows for payload in row["payloads"]]


async def test_a_usage_event_told_twice_is_charged_once(credits: Credits) -> None:
    account = await credits.open()
    event = used(account, quantity=3, id="one")
    assert await credits.use(event) == ["burnt"]
    assert await credits.use(event, event) == ["again", "again"]
    assert await credits.available(account) == 7_000_000


async def test_a_changed_event_with_the_same_id_is_refused_and_told_once(credits: Credits) -> None:
    account = await credits.open()
    await credits.use(used(account, quantity=3, id="one"))
    changed = used(account, quantity=4, id="one")
    assert await credits.use(changed) == ["PAY024"]
    assert await credits.use(changed) == ["PAY024"]
    assert [event.type for event in await told(credits)].count(UsageRejected.type) == 1
    assert await credits.available(account) == 7_000_000


async def test_what_cannot_be_covered_is_rejected_and_a_later_smaller_event_passes(credits: Credits) -> None:
    account = await credits.open()
    events = [used(account, quantity=q) for q in (4, 7, 5, 2, 1)]
    assert await credits.use(*events) == ["burnt", "PAY001", "burnt", "PAY001", "burnt"]
    assert await credits.available(account) == 0


async def test_a_rejection_is_final_for_its_event(credits: Credits) -> None:
    account = await credits.open()
    dear = used(account, quantity=11)
    assert await credits.use(dear) == ["PAY001"]
    await credits.tell_payment(account, "50")
    assert await credits.use(dear) == ["again"]
    assert await credits.available(account) == 60_000_000


async def test_a_rejection_says_what_was_required_and_what_there_was(credits: Credits) -> None:
    account = await credits.open()
    await credits.use(used(account, quantity=11))
    rejected = UsageRejected.of((await told(credits))[-1])
    assert (rejected.code, rejected.required, rejected.available) == ("PAY001", 11_000_000, 10_000_000)


async def test_promotional_credits_burn_before_purchased_ones(credits: Credits) -> None:
    account = await credits.open_with("50")
    await credits.use(used(account, quantity=12))
    assert (await credits.balance(account)).by_kind == {"purchased": 48_000_000}


async def test_by_fifo_the_older_lot_burns_first_whatever_its_kind(credits: Credits) -> None:
    fifo = Credits(credits.pool, catalogue=CATALOGUE.model_copy(update={"burn_order": "fifo", "welcome_bonus": None}))
    account = await fifo.open_with("5")
    await fifo.tell_payment(account, "5", kind="promotional")
    await fifo.use(used(account, quantity=6))
    assert (await fifo.balance(account)).by_kind == {"promotional": 4_000_000}


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (used(ids.new_id(), "teleport"), "PAY021"),
        (used(ids.new_id(), "video", resolution="4k"), "PAY022"),
        (used(ids.new_id(), "credit"), "PAY028"),
        (used(ids.new_id(), "credit", -1), "PAY007"),
        (used(ids.new_id(), "credit", "1e3000000"), "PAY007"),
    ],
    ids=["unknown meter", "no price fits", "unknown account", "negative", "beyond all bounds"],
)
async def test_an_unusable_event_is_refused_with_its_code_and_the_rest_is_burnt(
    credits: Credits, event: CloudEvent, code: str
) -> None:
    account = await credits.open()
    assert await credits.use(used(account), event, used(account)) == ["burnt", code, "burnt"]
    assert await credits.available(account) == 8_000_000


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b'{"specversion":"1.0"}', b"\xff", b"x" * 300_000])
def test_what_is_no_event_at_all_cannot_be_read(payload: bytes) -> None:
    with pytest.raises(MalformedEventError):
        read(payload)


async def test_fifty_spends_at_once_on_a_balance_for_ten_accept_exactly_ten(credits: Credits) -> None:
    account = await credits.open()
    said = await gather(*(credits.use(used(account)) for _ in range(50)))
    assert [outcome for (outcome,) in said].count("burnt") == 10
    assert await credits.available(account) == 0


async def test_four_writers_over_the_same_accounts_neither_deadlock_nor_lose_a_credit(credits: Credits) -> None:
    accounts = [await credits.open_with("1000") for _ in range(20)]
    events = [used(random.choice(accounts)) for _ in range(2000)]

    async def write() -> list[str]:
        mine = random.sample(events, len(events))
        return [s for i in range(0, len(mine), 100) for s in await credits.use(*mine[i : i + 100])]

    said = [s for outcomes in await gather(*(write() for _ in range(4))) for s in outcomes]
    assert (said.count("burnt"), said.count("again")) == (2000, 6000)
    assert sum([await credits.available(account) for account in accounts]) == (20 * 1010 - 2000) * 1_000_000


async def test_the_balance_is_announced_once_for_many_changes(credits: Credits) -> None:
    account = await credits.open()
    for _ in range(5):
        await credits.use(used(account))
    async with credits.pool.connection() as conn:
        changed = await conn.fetchval("SELECT count(*) FROM balance_change WHERE $1 = ANY(account_ids)", account)
    assert changed == 6


async def test_an_event_that_does_not_say_when_counts_once_however_late_it_is_told_again(desk: Desk) -> None:
    desk.travel(datetime.now(UTC) - START)  # to where the journal has a partition for each month
    account = await desk.account(10_000_000)
    burnt, refused = used(account, quantity=3), used(account, quantity=30)
    assert await desk.use(burnt, refused) == ["burnt", "PAY001"]
    await desk.tell_payment(account, "50")
    for days in (40, 200):
        desk.travel(timedelta(days=days))
        dated = used(account, quantity=1).model_copy(update={"time": desk.clock.now()})
        assert await desk.use(dated, burnt, refused) == ["burnt", "again", "again"]
        assert await desk.use(refused, dated, burnt) == ["again", "again", "again"]
    assert await desk.available(account) == 55_000_000


async def test_an_event_told_again_long_after_its_time_is_refused_but_never_told_as_refused_if_it_was_burnt(
    desk: Desk,
) -> None:
    account = await desk.account(10_000_000)
    burnt = used(account).model_copy(update={"time": START})
    assert await desk.use(burnt) == ["burnt"]
    desk.travel(timedelta(days=35))
    assert await desk.use(burnt) == ["again"]
    desk.travel(timedelta(seconds=1))
    assert await desk.use(burnt) == ["PAY007"]
    assert await told_of(desk.pool, UsageRejected) == []
    assert await desk.use(used(account).model_copy(update={"time": START})) == ["PAY007"]
    assert len(await told_of(desk.pool, UsageRejected)) == 1
    assert await desk.available(account) == 9_000_000
