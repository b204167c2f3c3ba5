"""The fold of recorded usage into bills and a summary: what is counted where, rounded how, and kept at most."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from libs.contracts import ids
from libs.contracts.price_book import PriceBook
from services.credits.domain import backtests
from services.credits.domain.backtests import Backtest, Bill, Reason, Sums, band
from services.credits.domain.pricing import Prices

NOW = datetime(2026, 11, 22, tzinfo=UTC)
PRICES = Prices(
    PriceBook.model_validate({"version": "v", "meters": {"a": {"unit": "unit", "prices": [{"credits": 7}]}}})
)


@pytest.mark.parametrize(
    ("charged", "draft", "percent", "where"),
    [
        (0, 0, None, "the same"),
        (0, 1, None, "+100 % or more"),
        (1000, 0, "-100.0", "-50 % or less"),
        (1000, 500, "-50.0", "-50 % or less"),
        (1000, 501, "-49.9", "-50 to -25 %"),
        (1000, 750, "-25.0", "-50 to -25 %"),
        (1000, 900, "-10.0", "-25 to -10 %"),
        (1000, 999, "-0.1", "-10 to 0 %"),
        (10**18, 10**18 + 1, "+0.0", "0 to +10 %"),
        (1000, 1099, "+9.9", "0 to +10 %"),
        (1000, 1100, "+10.0", "+10 to +25 %"),
        (1000, 1250, "+25.0", "+25 to +50 %"),
        (1000, 1500, "+50.0", "+50 to +100 %"),
        (1000, 2000, "+100.0", "+100 % or more"),
        (2000, 2001, "+0.1", "0 to +10 %"),
    ],
)
def test_a_change_is_said_in_tenths_of_a_percent_and_lies_in_one_band(
    charged: int, draft: int, percent: str | None, where: str
) -> None:
    sums = Sums(1, charged, draft)
    assert (sums.percent, band(sums)) == (percent, where)


def leg(account: UUID, amount: int, *, number: int = 0, meter: str | None = "a", details: str | None = None) -> object:
    return account, number, NOW, amount, meter, details


def used(account: UUID, amount: int, quantity: int, meter: str = "a") -> object:
    return leg(account, amount, meter=meter, details=f'{{"source":"/s","quantity":"{quantity}","properties":{{}}}}')


def test_all_legs_of_a_usage_are_what_was_charged_and_those_of_a_named_amount_are_not() -> None:
    account, bills = ids.new_id(), list[Bill]()
    fold = Backtest(PRICES, NOW, done=bills.append)
    named = leg(account, 50, meter=None)
    fold.add([named, leg(account, 9, number=1), used(account, 10, 2), leg(account, 4, number=1)])
    fold.add([leg(account, 1, number=2), named, leg(account, 5, number=1)])
    fold.finish()
    assert [(bill.total.usages, bill.total.charged, bill.total.draft) for bill in bills] == [(1, 15, 14)]


def test_a_charge_says_its_meter_in_its_details() -> None:
    fold = Backtest(PRICES, NOW)
    fold.add([leg(ids.new_id(), 3, meter=None, details='{"meter":"a","quantity":"0.5","metadata":{"meter":"b"}}')])
    assert fold.finish().meters == {"a": Sums(1, 3, 4)}


def test_of_accounts_that_pay_much_more_those_with_the_largest_increases_are_kept() -> None:
    fold = Backtest(PRICES, NOW, dearer_by=10)
    fold.add(used(ids.new_id(), 1, quantity) for quantity in range(1, 301))
    summary = fold.finish()
    assert summary.dearer_count == 300
    assert [sums.draft for _, sums in summary.dearer] == [7 * quantity for quantity in range(300, 200, -1)]


def test_reasons_without_end_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backtests, "_MOST_REASONS", 3)
    fold, account = Backtest(PRICES, NOW), ids.new_id()
    fold.add(used(account, 2, 1, meter=f"m{number}") for number in range(10))
    summary = fold.finish()
    assert len(summary.refusals) == 4
    assert summary.refusals[Reason("", "PAY021", "other reasons")] == backtests.Refused(7, 14)
    assert sum(found.usages for found in summary.refusals.values()) == summary.total.refused == 10


def test_what_is_remembered_does_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backtests, "MOST_REMEMBERED", 10)
    fold, account = Backtest(PRICES, NOW), ids.new_id()
    fold.add(used(account, 7 * quantity, quantity) for quantity in [*range(1, 50), *range(1, 50)])
    assert len(fold._known) <= 10
    assert fold.finish().total.difference == 0
