"""Reports where money was exchanged, is not ours or not real, moved at midnight, or is told in too many rows."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from libs.chassis.errors import InvalidRequestError
from libs.contracts.http.payments_v1 import Purchase
from libs.contracts.http.reports_v1 import MovementQuery, ReportQuery, RevenueRow
from services.payments.domain.movements import BalanceTransaction, Movement
from services.payments.operations import reports
from services.payments.store import movements
from tests.integration.payments.shop import Object, Shop

NOON = datetime(2026, 3, 31, 12, tzinfo=UTC)
ALL = {"since": "2026-01-01", "until": "2026-12-31"}


async def moved(shop: Shop, purchase: Purchase | None, *, source: Object, settled: Object, at: datetime = NOON) -> None:
    """Have Stripe's balance show that money moved for a purchase, or for another's."""
    intent = await shop.payment_intent(purchase) if purchase is not None else "pi_anothers"
    entry = {"id": f"txn_{source['id']}", "created": int(at.timestamp()), **settled}
    movement = Movement.of(BalanceTransaction(**entry, source={"payment_intent": intent, **source}))
    assert movement is not None
    async with shop.pool.transaction() as conn:
        await movements.note(conn, [movement])


def charge(id: str, amount: int, currency: str = "usd") -> Object:
    return {"object": "charge", "id": id, "amount": amount, "currency": currency}


def refund(id: str, amount: int, currency: str = "usd") -> Object:
    return {"object": "refund", "id": id, "amount": amount, "currency": currency}


def settled(amount: int, fee: int = 0, currency: str = "usd") -> Object:
    return {"amount": amount, "fee": fee, "net": amount - fee, "currency": currency}


async def revenue(shop: Shop, *, livemode: bool = False, **query: Any) -> tuple[list[RevenueRow], list[RevenueRow]]:
    found = await reports.revenue(shop.pool, ReportQuery.model_validate({**ALL, **query}), livemode=livemode)
    return found.data, found.totals


async def test_what_stripe_exchanged_is_told_in_both_currencies_and_never_added(shop: Shop) -> None:
    first, second = await shop.paid(pack="starter"), await shop.paid(pack="starter")
    await moved(shop, first, source=charge("ch_1", 999), settled=settled(921, 57, "eur"))
    await moved(shop, first, source=refund("re_1", 300), settled=settled(-281, 0, "eur"))
    await moved(shop, second, source=charge("ch_2", 999), settled=settled(999, 59))
    rows, totals = await revenue(shop)
    assert [(row.currency, row.settled_in, row.gross_minor, row.kept_minor) for row in rows] == [
        ("usd", "eur", 999, 699), ("usd", "usd", 999, 999)
    ]  # fmt: skip
    assert [(row.settled_minor, row.fees_minor, row.net_minor) for row in rows] == [(640, 57, 583), (999, 59, 940)]
    assert [row.model_copy(update={"period": None}) for row in rows] == totals


async def test_what_is_anothers_or_of_the_other_mode_is_left_out(shop: Shop) -> None:
    await moved(shop, await shop.paid(pack="starter"), source=charge("ch_3", 999), settled=settled(999))
    await moved(shop, None, source=refund("re_3", 500), settled=settled(-500))
    rows, _ = await revenue(shop)
    assert [(row.gross_minor, row.refunded_minor) for row in rows] == [(999, 0)]
    assert await revenue(shop, livemode=True) == ([], [])


async def test_a_day_begins_and_ends_at_midnight_utc(shop: Shop) -> None:
    instants = ("2026-03-30T23:59:59Z", "2026-03-31T00:00:00Z", "2026-03-31T23:59:59Z", "2026-04-01T00:00:00Z")
    for number, at in enumerate(map(datetime.fromisoformat, instants)):
        purchase = await shop.paid(pack="starter")
        await moved(shop, purchase, source=charge(f"ch_4{number}", 999), settled=settled(999), at=at)
    days, totals = await revenue(shop, since="2026-03-31", until="2026-03-31")
    assert [(row.period, row.payments, row.paying_accounts) for row in days] == [("2026-03-31", 2, 2)]
    assert totals[0].payments == 2
    months, _ = await revenue(shop, by="month")
    assert [(row.period, row.payments) for row in months] == [("2026-03", 3), ("2026-04", 1)]


async def test_who_pays_in_two_periods_is_one_account_in_the_total(shop: Shop) -> None:
    purchase = await shop.paid(pack="starter")
    await moved(shop, purchase, source=charge("ch_5", 998), settled=settled(998))
    april = datetime(2026, 4, 2, tzinfo=UTC)
    await moved(shop, purchase, source=charge("ch_6", 999), settled=settled(999), at=april)
    months, [total] = await revenue(shop, by="month")
    assert [row.paying_accounts for row in months] == [1, 1]
    assert (total.paying_accounts, total.arpu_minor, total.average_minor) == (1, 1997, 999)


async def test_more_rows_than_can_be_told_are_refused_and_movements_come_page_by_page(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchase = await shop.paid(pack="starter")
    for number in range(5):
        at = NOON.replace(day=number + 1)
        await moved(shop, purchase, source=charge(f"ch_7{number}", 999), settled=settled(999), at=at)
    seen: list[str] = []
    cursor = None
    while not seen or cursor:
        query = MovementQuery(since=date(2026, 1, 1), until=date(2026, 12, 31), limit=2, cursor=cursor)
        page = await reports.movements(shop.pool, query, livemode=False)
        seen += [row.id for row in page.data]
        cursor = page.next_cursor
    assert seen == [f"txn_ch_7{number}" for number in range(5)]
    monkeypatch.setattr(reports, "MOST_ROWS", 5)
    with pytest.raises(InvalidRequestError, match="ask for fewer days, or by month"):
        await revenue(shop)
    assert len((await revenue(shop, by="month"))[0]) == 1


async def test_books_that_were_never_followed_say_so(shop: Shop) -> None:
    query = ReportQuery.model_validate(ALL)
    found = await reports.sales(shop.pool, query, livemode=False)
    assert (found.data, found.totals, found.as_of) == ([], [], None)
