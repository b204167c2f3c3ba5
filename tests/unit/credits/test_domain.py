from decimal import Decimal
from fractions import Fraction
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts import ids
from libs.contracts.catalogue import PriceBook
from libs.contracts.credits import MICRO
from libs.contracts.events.usage_v1 import UsageData
from services.credits.domain import (
    Cause,
    Grant,
    Posting,
    Spend,
    TakeBack,
    UnknownMeterError,
    UnratableUsageError,
    first_of_each,
    key_of,
    rate,
    rounds,
)
from tests.support.ledger import CATALOGUE

BOOK = CATALOGUE.price_book
CAUSE = Cause("usage", "meter", "credit", "1 x credit")
ACCOUNTS = [ids.new_id() for _ in range(3)]


def a_spend(account: UUID, key: bytes = b"") -> Spend:
    return Spend(account, key or ids.new_id().bytes, b"f", 1, CAUSE)


def a_grant(account: UUID) -> Grant:
    return Grant(account, ids.new_id().bytes, b"f", 1, CAUSE, kind="purchased")


def a_take_back(account: UUID) -> TakeBack:
    return TakeBack(account, ids.new_id().bytes, b"f", 1, CAUSE, kind="purchased", revision=1)


def usage(quantity: str = "1", **properties: str) -> UsageData:
    return UsageData(quantity=Decimal(quantity), properties=properties)


@pytest.mark.parametrize(
    ("quantity", "resolution", "credits"),
    [("3", "720p", 15), ("5", "1080p", 40), ("0.1", "720p", 5), ("3.000001", "720p", 20), ("0", "720p", 0)],
)
def test_a_started_minute_counts_as_a_minute(quantity: str, resolution: str, credits: int) -> None:
    assert rate(BOOK, "video", usage(quantity, resolution=resolution)).credits == credits * MICRO


def test_a_rating_says_by_which_version_of_the_price_book() -> None:
    assert rate(BOOK, "credit", usage()).price_version == "test-1"


def test_a_meter_that_the_price_book_lacks_is_refused() -> None:
    with pytest.raises(UnknownMeterError, match="teleport"):
        rate(BOOK, "teleport", usage())


def test_properties_that_fit_no_price_are_refused() -> None:
    with pytest.raises(UnratableUsageError):
        rate(BOOK, "video", usage(resolution="4k"))


def test_a_usage_dearer_than_any_account_is_refused() -> None:
    dear = PriceBook.model_validate(
        {"version": "1", "meters": {"gold": {"unit": "bar", "prices": [{"credits": "9000000000000"}]}}}
    )
    with pytest.raises(UnratableUsageError, match="more than an account"):
        rate(dear, "gold", usage("1000000000000"))


@given(st.decimals(min_value=0, max_value=10**6, places=6), st.integers(0, 10**9))
def test_rating_rounds_up_and_by_less_than_a_micro_credit(quantity: Decimal, price: int) -> None:
    book = PriceBook.model_validate({"version": "1", "meters": {"m": {"unit": "u", "prices": [{"credits": price}]}}})
    exact = Fraction(quantity) * price
    assert 0 <= rate(book, "m", UsageData(quantity=quantity)).credits - exact < 1


def test_a_batch_of_spends_is_one_round() -> None:
    batch = [a_spend(account) for account in ACCOUNTS * 5]
    assert list(rounds(batch)) == [batch]


KINDS = st.sampled_from([a_spend, a_grant, a_take_back])


@given(st.lists(st.tuples(KINDS, st.sampled_from(ACCOUNTS)), max_size=30))
def test_rounds_keep_every_posting_once_and_each_accounts_order(wanted: list[tuple[type[Posting], UUID]]) -> None:
    batch = [make(account) for make, account in wanted]  # type: ignore[call-arg] # makers, drawn by name
    applied = [posting for members in rounds(batch) for posting in members]
    assert len(applied) == len(batch)
    for account in ACCOUNTS:
        assert [p for p in applied if p.account == account] == [p for p in batch if p.account == account]


@given(st.lists(st.tuples(KINDS, st.sampled_from(ACCOUNTS)), max_size=30))
def test_a_round_is_of_one_kind_and_grants_an_account_once(wanted: list[tuple[type[Posting], UUID]]) -> None:
    for members in rounds([make(account) for make, account in wanted]):  # type: ignore[call-arg] # as above
        assert len({type(posting) for posting in members}) == 1
        if not isinstance(members[0], Spend):
            assert len({posting.account for posting in members}) == len(members)


def test_a_key_repeated_within_a_batch_is_told_apart_from_its_first() -> None:
    one, two = a_spend(ACCOUNTS[0], b"k"), a_spend(ACCOUNTS[0], b"k")
    other = a_spend(ACCOUNTS[1], b"k")
    assert first_of_each([one, two, other]) == ([one, other], [two])


def test_a_key_is_told_apart_by_where_its_parts_end() -> None:
    assert key_of("ab", "c") != key_of("a", "bc")
    assert len(key_of("a")) == 16
