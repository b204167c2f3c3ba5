"""Money that goes back and the credits that go with it."""

from itertools import pairwise, permutations
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.events.payments_v1 import LotKind, LotToGrant
from services.payments.domain.refunds import (
    ORDER,
    RefundState,
    covered_minor,
    earlier,
    read_status,
    share,
    state_after,
    take_back,
)

KINDS: tuple[LotKind, ...] = get_args(LotKind)
LOTS = st.lists(st.integers(1, 10**15), min_size=1, max_size=2).map(
    lambda amounts: [LotToGrant(kind=kind, credits=credits) for kind, credits in zip(KINDS, amounts, strict=False)]
)
PAID = st.integers(1, 99_999_999)


@given(lots=LOTS, paid=PAID)
def test_a_full_refund_takes_back_exactly_what_was_granted(lots: list[LotToGrant], paid: int) -> None:
    back = take_back(lots, refunded_minor=paid, paid_minor=paid)
    assert [(lot.kind, lot.credits) for lot in back] == [(lot.kind, lot.credits) for lot in lots]


@given(lots=LOTS, paid=PAID)
def test_no_refund_takes_back_nothing(lots: list[LotToGrant], paid: int) -> None:
    assert [lot.credits for lot in take_back(lots, refunded_minor=0, paid_minor=paid)] == [0] * len(lots)


@given(lots=LOTS, paid=PAID, data=st.data())
def test_more_money_back_never_takes_fewer_credits_and_never_more_than_the_share(
    lots: list[LotToGrant], paid: int, data: st.DataObject
) -> None:
    less, more = sorted(data.draw(st.tuples(st.integers(0, paid), st.integers(0, paid))))
    after_less = take_back(lots, refunded_minor=less, paid_minor=paid)
    after_more = take_back(lots, refunded_minor=more, paid_minor=paid)
    for lot, few, many in zip(lots, after_less, after_more, strict=True):
        assert few.credits <= many.credits <= lot.credits
        assert 0 <= lot.credits * more - many.credits * paid < paid  # rounded down, by less than a micro-credit


def test_a_third_of_a_lot_is_rounded_down_to_a_micro_credit() -> None:
    [back] = take_back([LotToGrant(kind="purchased", credits=100)], refunded_minor=1, paid_minor=3)
    assert back.credits == 33


def test_the_purchases_state_follows_the_total() -> None:
    states = [state_after(refunded_minor=refunded, paid_minor=3) for refunded in range(4)]
    assert states == ["succeeded", "partially_refunded", "partially_refunded", "refunded"]


def test_a_refund_ends_the_same_in_whatever_order_its_states_are_told() -> None:
    for told in permutations(ORDER):
        state: RefundState = "created"
        for news in told:
            state = news if state in earlier(news) else state
        assert state == "failed"


def test_a_status_we_do_not_know_is_money_on_its_way() -> None:
    statuses = ["pending", "requires_action", "succeeded", "failed", "canceled", "of_the_future"]
    assert [read_status(status) for status in statuses] == [
        "pending", "pending", "succeeded", "failed", "failed", "pending",
    ]  # fmt: skip


@given(lots=LOTS, paid=PAID, data=st.data())
def test_the_shares_of_refunds_add_up_to_what_their_sum_takes_back(
    lots: list[LotToGrant], paid: int, data: st.DataObject
) -> None:
    cuts = sorted({0, paid, *data.draw(st.lists(st.integers(0, paid), max_size=5))})
    taken: dict[LotKind, int] = {lot.kind: 0 for lot in lots}
    for before, after in pairwise(cuts):
        for lot in share(lots, before_minor=before, amount_minor=after - before, paid_minor=paid):
            taken[lot.kind] += lot.credits
    assert taken == {lot.kind: lot.credits for lot in lots}


@given(lots=LOTS, paid=PAID, data=st.data())
def test_what_is_covered_takes_no_more_than_remains_and_any_more_would(
    lots: list[LotToGrant], paid: int, data: st.DataObject
) -> None:
    before = data.draw(st.integers(0, paid))
    remaining: dict[str, int] = {lot.kind: data.draw(st.integers(0, lot.credits)) for lot in lots}
    most = covered_minor(lots, remaining, before_minor=before, paid_minor=paid)

    def fits(amount: int) -> bool:
        parts = share(lots, before_minor=before, amount_minor=amount, paid_minor=paid)
        return all(part.credits <= remaining[part.kind] for part in parts)

    assert fits(most)
    assert before + most == paid or not fits(most + 1)
