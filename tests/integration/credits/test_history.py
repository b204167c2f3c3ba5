"""History: what the balance was, what moved it, what became of every lot."""

from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest

from libs.chassis.errors import InvalidRequestError, NotFoundError
from libs.contracts import ids
from libs.contracts.credits import MICRO
from libs.contracts.http.credits_v1 import Transaction
from libs.contracts.http.history_v1 import (
    Explanation,
    ExportPageQuery,
    LotExplanation,
    LotQuery,
    PageQuery,
    PastBalance,
    TransactionQuery,
)
from services.credits.domain.errors import UnknownAccountError
from services.credits.operations import history
from tests.integration.credits.serving import Api
from tests.support.ledger import PAID, Credits, paid, refunded, used

SHOW = {"type": "show", "id": "evening"}


async def page(credits: Credits, account: UUID, **wanted: Any) -> list[Transaction]:
    return (await history.transactions(credits.pool, account, TransactionQuery(**wanted))).data


async def all_pages(credits: Credits, account: UUID, limit: int, **wanted: Any) -> list[Transaction]:
    found: list[Transaction] = []
    cursor: str | None = None
    while True:
        query = TransactionQuery(limit=limit, cursor=cursor, **wanted)
        answer = await history.transactions(credits.pool, account, query)
        assert len(answer.data) <= limit
        found += answer.data
        cursor = answer.next_cursor
        if cursor is None:
            return found


async def explain(credits: Credits, account: UUID, **query: Any) -> Explanation:
    return await history.explain(credits.pool, credits.ledger, credits.clock, account, PageQuery(**query))


async def balance_at(credits: Credits, account: UUID, at: datetime) -> PastBalance:
    return await history.balance_at(credits.pool, credits.ledger, credits.clock, account, at=at)


async def a_busy_life(credits: Credits, api: Api) -> UUID:
    """An account that did everything that moves credits."""
    account, friend = await credits.open(), await credits.open()
    payment = paid(account, "100")
    await credits.tell(payment)
    await credits.use(used(account, "video", 2, id="one", resolution="720p"), used(account, "credit", 3, id="two"))
    charge = (await api.charge(account, "7", reference=SHOW, description="An evening", metadata={"seat": "B4"})).json()
    await api.post(f"/charges/{charge['id']}/refunds", {"amount": "2"}, account=account)
    hold = await api.placed(account, "10")
    await api.post(f"/holds/{hold}/capture", {"amount": "4", "final": True}, account=account)
    await api.placed(account, "5")
    await credits.tell(refunded(payment, "90", revision=2))
    await credits.tell(paid(account, "20"))
    assert friend != account
    return account


async def test_each_past_balance_is_what_the_transaction_before_left(credits: Credits, api: Api) -> None:
    account = await a_busy_life(credits, api)
    told = await page(credits, account, limit=100)
    assert {t.type for t in told} >= {"bonus", "purchase", "usage", "charge", "charge_refund", "hold", "capture"}
    for transaction in told:
        then = await balance_at(credits, account, transaction.at)
        if then.sequence == transaction.sequence:
            assert then.available - then.overdraft == transaction.balance_after
        before = await balance_at(credits, account, transaction.at - timedelta(microseconds=1))
        assert before.sequence < transaction.sequence <= then.sequence
    now = await credits.balance(account)
    then = await balance_at(credits, account, credits.clock.now())
    assert (then.available, then.held, then.overdraft, then.debt, then.sequence) == (
        now.available,
        now.held,
        now.overdraft,
        now.debt,
        now.sequence,
    )


async def test_before_its_first_transaction_an_account_had_nothing(credits: Credits) -> None:
    account = await credits.open()
    then = await balance_at(credits, account, credits.clock.now() - timedelta(days=900))
    assert (then.available, then.held, then.overdraft, then.debt, then.sequence) == (0, 0, 0, 0, 0)
    with pytest.raises(UnknownAccountError):
        await balance_at(credits, ids.new_id(), credits.clock.now())


async def test_what_expired_by_an_instant_to_come_is_not_told_of_it(credits: Credits) -> None:
    account = await credits.open()
    await credits.tell(paid(account, "50", expires_at=credits.clock.now() - timedelta(seconds=1)))
    assert (await balance_at(credits, account, credits.clock.now() + timedelta(days=1))).available == 10 * MICRO


async def test_transactions_say_what_users_ask(credits: Credits, api: Api) -> None:
    account = await a_busy_life(credits, api)
    told = {t.type: t for t in reversed(await page(credits, account, limit=100))}
    assert (told["purchase"].paid, told["purchase"].credits) == (PAID, 20 * MICRO)
    assert told["purchase"].reference_type == "purchase"
    usage = told["usage"]
    assert (usage.reference_type, usage.reference_id, usage.description) == ("meter", "credit", "3 x credit")
    assert (usage.metadata["event_id"], usage.price_version, usage.credits) == ("two", "test-1", -3 * MICRO)
    charge = told["charge"]
    assert (charge.description, charge.metadata, charge.status) == ("An evening", {"seat": "B4"}, "completed")
    assert (charge.reference_type, charge.reference_id) == (SHOW["type"], SHOW["id"])
    assert (told["hold"].status, told["capture"].credits) == ("pending", 6 * MICRO)
    assert told["charge_refund"].credits == 2 * MICRO
    assert told["payment_refund"].credits == -90 * MICRO


async def test_a_charge_without_a_reference_and_one_by_meter_can_be_told(credits: Credits, api: Api) -> None:
    account = await credits.open()
    await api.charge(account, "1")
    await api.charge(account, None, meter="video", quantity=1, properties={"resolution": "720p"})
    by_meter, plain, _ = await page(credits, account)
    assert (plain.reference_type, plain.reference_id, plain.description) == (None, None, "")
    assert (by_meter.reference_type, by_meter.reference_id, by_meter.description) == ("meter", "video", "1 x video")


async def test_holds_and_charges_say_how_they_ended(credits: Credits, api: Api) -> None:
    account = await credits.open()
    charge = (await api.charge(account, "1")).json()
    await api.post(f"/charges/{charge['id']}/refunds", {}, account=account)
    freed, used_up = await api.placed(account, "1"), await api.placed(account, "1")
    await api.post(f"/holds/{freed}/release", {}, account=account)
    await api.post(f"/holds/{used_up}/capture", {"amount": "1", "final": True}, account=account)
    assert [t.status for t in await page(credits, account, type="charge")] == ["refunded"]
    assert [t.status for t in await page(credits, account, type="hold")] == ["completed", "refunded"]


async def test_the_sum_of_all_transactions_is_the_balance(credits: Credits, api: Api) -> None:
    account = await a_busy_life(credits, api)
    now = await credits.balance(account)
    told = await all_pages(credits, account, 3)
    assert sum(t.credits for t in told) == now.available - now.overdraft - now.debt
    assert [t.sequence for t in told] == list(range(now.sequence, 0, -1))


async def test_pages_stay_as_they_are_while_more_comes(credits: Credits) -> None:
    account = await credits.open_with("100")
    await credits.use(*(used(account) for _ in range(8)))
    first = await history.transactions(credits.pool, account, TransactionQuery(limit=4))
    await credits.use(*(used(account) for _ in range(8)))
    second = await history.transactions(credits.pool, account, TransactionQuery(limit=4, cursor=first.next_cursor))
    assert [t.sequence for t in first.data + second.data] == [10, 9, 8, 7, 6, 5, 4, 3]


async def test_filters_agree_with_looking_at_everything(credits: Credits, api: Api) -> None:
    account = await a_busy_life(credits, api)
    everything = await page(credits, account, limit=100)
    ends = [None, everything[3].at, everything[-3].at]
    kinds = [None, "usage", "charge", "purchase", "expiry"]
    references = [None, "meter:credit", "show:evening", f"purchase:{everything[0].reference_id}", "show:never"]
    texts = [None, "EVENING", "one", "B4", "B_", "100%", "\\"]
    dice = Random(1)
    for _ in range(150):
        wanted = {
            "type": dice.choice(kinds),
            "from": dice.choice(ends),
            "to": dice.choice(ends),
            "reference": dice.choice(references),
            "q": dice.choice([None, None, *texts]),
        }
        given = {name: value for name, value in wanted.items() if value is not None}
        found = await all_pages(credits, account, 2, **given)
        assert [t.id for t in found] == [t.id for t in everything if fits(t, given)], given


def fits(transaction: Transaction, given: dict[str, Any]) -> bool:
    text = " ".join([transaction.description, transaction.reference_id or "", *transaction.metadata.values()]).lower()
    return (
        given.get("type", transaction.type) == transaction.type
        and given.get("from", transaction.at) <= transaction.at
        and ("to" not in given or transaction.at < given["to"])
        and given.get("reference", "") in ("", f"{transaction.reference_type}:{transaction.reference_id}")
        and ("q" not in given or given["q"].lower() in text)
    )


async def test_accounts_do_not_see_each_others_history(credits: Credits) -> None:
    account, other = await credits.open(), await credits.open()
    (mine,) = await page(credits, account)
    assert (await history.transaction(credits.pool, account, mine.id)).id == mine.id
    (lot,) = (await history.lots(credits.pool, account, LotQuery())).data
    with pytest.raises(NotFoundError):
        await history.transaction(credits.pool, other, mine.id)
    with pytest.raises(NotFoundError):
        await history.lot_movements(credits.pool, other, lot.id, PageQuery())


async def test_one_transaction_shows_every_movement(credits: Credits) -> None:
    account = await credits.open_with("50")
    await credits.use(used(account, quantity=12))
    spent, *_ = await page(credits, account)
    shown = await history.transaction(credits.pool, account, spent.id)
    assert [(m.moved_from, m.moved_to, m.credits, m.available_after) for m in shown.movements] == [
        ("available", "revenue", 10 * MICRO, 50 * MICRO),
        ("available", "revenue", 2 * MICRO, 48 * MICRO),
    ]
    assert len({m.lot for m in shown.movements}) == 2
    assert (shown.credits, shown.balance_after) == (-12 * MICRO, 48 * MICRO)


@pytest.mark.parametrize("cursor", ["x", "====", "MTIz", "MjAyNi0wMS0wMSAx", "MjAyNi0wMS0wMVQwMDowMCswMDowMCAtMQ"])
async def test_a_cursor_that_is_not_ours_is_refused(credits: Credits, cursor: str) -> None:
    account = await credits.open()
    (lot,) = (await history.lots(credits.pool, account, LotQuery())).data
    with pytest.raises(InvalidRequestError):
        await history.transactions(credits.pool, account, TransactionQuery(cursor=cursor))
    with pytest.raises(InvalidRequestError):
        await history.lots(credits.pool, account, LotQuery(cursor=cursor))
    with pytest.raises(InvalidRequestError):
        await history.lot_movements(credits.pool, account, lot.id, PageQuery(cursor=cursor))


async def test_lots_are_found_by_kind_and_by_whether_something_is_left(credits: Credits) -> None:
    account = await credits.open_with("5")
    await credits.tell_payment(account, "5", kind="promotional")
    await credits.use(used(account, quantity=12))

    async def kinds(**wanted: Any) -> list[str]:
        return [lot.kind for lot in (await history.lots(credits.pool, account, LotQuery(**wanted))).data]

    assert await kinds() == ["promotional", "purchased", "promotional"]
    assert await kinds(kind="purchased") == ["purchased"]
    assert await kinds(open=True) == ["promotional", "purchased"]
    assert await kinds(open=False, kind="promotional") == ["promotional"]


def adds_up(found: LotExplanation) -> bool:
    went = found.held + found.spent + found.expired + found.taken_back + found.repaid + found.transferred
    return found.lot.granted == found.lot.remaining + went - found.owed


async def test_what_became_of_every_lot_adds_up_to_the_balance(credits: Credits, api: Api) -> None:
    account = await a_busy_life(credits, api)
    first = await explain(credits, account, limit=2)
    rest = await explain(credits, account, limit=2, cursor=first.next_cursor)
    lots = first.data + rest.data
    assert rest.next_cursor is None
    assert all(adds_up(found) for found in lots)
    assert sum(found.lot.remaining for found in lots) - first.balance.overdraft == first.balance.available
    assert sum(found.held for found in lots) == first.balance.held
    assert sum(found.spent for found in lots) == first.balance.totals.spent
    assert sum(found.owed - found.repaid for found in lots) == first.balance.debt


async def test_an_explanation_says_what_funded_a_lot_and_what_burnt_it(credits: Credits, api: Api) -> None:
    account = await a_busy_life(credits, api)
    bought, bonus = (await explain(credits, account)).data[-2:]
    assert (bought.paid, bonus.paid) == (PAID, None)
    funding = await history.transaction(credits.pool, account, bought.funded_by)
    assert (funding.type, funding.reference_id) == ("purchase", bought.lot.reference)
    moved = await history.lot_movements(credits.pool, account, bonus.lot.id, PageQuery(limit=100))
    assert [(m.type, m.event_id, m.credits) for m in moved.data[:2]] == [
        ("bonus", None, 10 * MICRO),
        ("usage", "one", 10 * MICRO),
    ]
    assert (moved.data[1].event_source, moved.data[1].reference_id) == ("/tests", "video")


async def test_a_lots_movements_come_in_pages_oldest_first_and_sum_up(credits: Credits, api: Api) -> None:
    account = await a_busy_life(credits, api)
    for found in (await explain(credits, account)).data:
        whole = (await history.lot_movements(credits.pool, account, found.lot.id, PageQuery(limit=100))).data
        pages, cursor = [], None
        while True:
            query = PageQuery(limit=1, cursor=cursor)
            answer = await history.lot_movements(credits.pool, account, found.lot.id, query)
            pages += answer.data
            if (cursor := answer.next_cursor) is None:
                break
        assert pages == whole
        came = sum(m.credits for m in whole if m.moved_to == "available")
        went = sum(m.credits for m in whole if m.moved_from == "available")
        assert came - went == found.lot.remaining


async def test_what_was_transferred_and_what_repaid_a_debt_is_explained(credits: Credits) -> None:
    account = await credits.open()
    payment = paid(account, "20")
    await credits.tell(payment)
    await credits.use(used(account, quantity=30))
    await credits.tell(refunded(payment, "20", revision=2))
    await credits.tell_payment(account, "50")
    repaying, gone, _ = (await explain(credits, account)).data
    assert (gone.spent, gone.taken_back, gone.owed) == (20 * MICRO, 20 * MICRO, 20 * MICRO)
    assert (repaying.repaid, repaying.lot.remaining) == (20 * MICRO, 30 * MICRO)
    assert adds_up(repaying)
    assert adds_up(gone)


async def test_a_large_page_for_an_export_holds_everything_at_once(credits: Credits) -> None:
    account = await credits.open_with("1000")
    await credits.use(*(used(account) for _ in range(150)))
    answer = await history.transactions(credits.pool, account, ExportPageQuery())
    assert (len(answer.data), answer.next_cursor) == (152, None)
