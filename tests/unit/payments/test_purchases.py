"""The states of a purchase, and what Stripe's objects say of them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest

from libs.contracts.credits import MICRO
from libs.contracts.http.payments_v1 import PurchaseState, Quote
from libs.contracts.ids import new_id, show
from libs.contracts.money import Money
from services.payments.domain.purchases import (
    EDGES,
    PAID,
    Purchase,
    Sight,
    cancellation,
    difference,
    lots_of,
    sources,
    standing,
)
from services.payments.domain.stripe_objects import CheckoutSession, PaymentError, PaymentIntent, StripeEvent

STATES: tuple[PurchaseState, ...] = get_args(PurchaseState)
NOW = datetime(2026, 11, 1, tzinfo=UTC)
QUOTE = Quote(
    pack="pro",
    description="Pro",
    list_price=Money(amount_minor=2499, currency="usd"),
    price=Money(amount_minor=2499, currency="usd"),
    discount=Money(amount_minor=0, currency="usd"),
    credits=150 * MICRO,
    bonus=10 * MICRO,
    bonus_kind="purchased",
)
PURCHASE = Purchase(
    id=new_id(),
    account=new_id(),
    user=new_id(),
    method="payment_intent",
    quote=QUOTE,
    return_url=None,
    cancel_url=None,
    livemode=False,
    takes_back=True,
    withdrawn_minor=0,
    state="created",
    revision=0,
    looks=0,
    stripe_customer="cus_1",
    payment_intent="pi_1",
    checkout_session=None,
    client_secret="pi_1_secret",
    checkout_url=None,
    failure=None,
    refunded_minor=0,
    created_at=NOW,
    expires_at=NOW + timedelta(hours=2),
)


def intent(**more: Any) -> PaymentIntent:
    shape = {"id": "pi_1", "status": "succeeded", "amount": 2499, "amount_received": 2499, "currency": "usd"}
    return PaymentIntent.model_validate({**shape, "customer": "cus_1", "livemode": False, **more})


def test_every_state_is_in_the_table_of_edges() -> None:
    assert set(EDGES) == set(STATES)
    assert set().union(*EDGES.values()) <= set(STATES)


def test_what_is_paid_is_never_again_unpaid() -> None:
    for state in PAID:
        assert EDGES[state] <= PAID


def test_every_unpaid_state_can_still_become_paid_because_stripes_money_is_always_credited() -> None:
    assert set(sources("succeeded")) >= set(STATES) - PAID


def test_no_edge_leads_back_to_unknown_but_from_the_beginning() -> None:
    assert sources("unknown") == ["created"]


@pytest.mark.parametrize(
    ("status", "error", "state"),
    [
        ("requires_payment_method", None, "created"),
        ("requires_payment_method", PaymentError(code="card_declined"), "failed"),
        ("requires_confirmation", None, "created"),
        ("requires_action", None, "requires_action"),
        ("processing", None, "processing"),
        ("succeeded", None, "succeeded"),
        ("canceled", PaymentError(code="card_declined"), "canceled"),
        ("a_status_of_the_future", None, "processing"),
    ],
)
def test_stripes_status_says_where_a_purchase_stands(status: str, error: PaymentError | None, state: str) -> None:
    assert standing(Sight(intent(status=status, last_payment_error=error))) == state


@pytest.mark.parametrize(
    ("status", "paying", "state"),
    [
        ("open", None, "created"),
        ("expired", None, "canceled"),
        ("expired", intent(status="requires_payment_method"), "canceled"),
        ("expired", intent(), "succeeded"),
        ("complete", intent(status="processing"), "processing"),
        ("complete", intent(), "succeeded"),
    ],
)
def test_a_payment_page_says_where_a_purchase_stands(status: str, paying: PaymentIntent | None, state: str) -> None:
    session = CheckoutSession(id="cs_1", status=status, livemode=False)
    assert standing(Sight(paying, session)) == state


@pytest.mark.parametrize(
    ("state", "minutes", "asked", "abandoned"),
    [
        ("created", 119, None, False),
        ("created", 120, None, True),
        ("failed", 120, None, True),
        ("processing", 999, None, False),
        ("unknown", 999, None, False),
        ("canceled", 999, None, False),
        ("succeeded", 999, None, False),
        ("requires_action", 120, 119, False),
        ("requires_action", 148, 119, False),
        ("requires_action", 149, 119, True),
        ("requires_action", 60, 0, False),
    ],
)
def test_only_what_nobody_pays_and_no_bank_just_asks_about_is_abandoned(
    state: PurchaseState, minutes: int, asked: int | None, abandoned: bool
) -> None:
    asked_at = None if asked is None else NOW + timedelta(minutes=asked)
    purchase = replace(PURCHASE, state=state, asked_at=asked_at)
    assert purchase.abandoned(NOW + timedelta(minutes=minutes)) is abandoned


def test_stripe_says_why_a_payment_was_canceled_and_a_page_that_ran_out_was_abandoned() -> None:
    closed = CheckoutSession(id="cs_1", status="expired", livemode=False)
    canceled = intent(status="canceled", cancellation_reason="abandoned")
    before, after = NOW, NOW + timedelta(hours=2)
    assert cancellation(PURCHASE, Sight(canceled), at=before) == "abandoned"
    assert cancellation(PURCHASE, Sight(intent(status="canceled")), at=after) is None
    assert cancellation(PURCHASE, Sight(None, closed), at=before) is None
    assert cancellation(PURCHASE, Sight(None, closed), at=after) == "abandoned"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({}, None),
        ({"amount": 2500, "amount_received": 2500}, "amount"),
        ({"amount_received": 2498}, "amount"),
        ({"currency": "eur"}, "currency"),
        ({"customer": "cus_2"}, "customer"),
        ({"customer": None}, "customer"),
        ({"livemode": True}, "livemode"),
        ({"id": "pi_2"}, "payment_intent"),
        ({"status": "processing", "amount_received": 0}, None),
        ({"status": "processing", "amount": 1, "amount_received": 0}, "amount"),
    ],
)
def test_what_differs_from_our_record_is_named(change: dict[str, Any], named: str | None) -> None:
    assert difference(PURCHASE, Sight(intent(**change))) == named


def test_another_payment_page_than_ours_differs() -> None:
    ours = replace(PURCHASE, checkout_session="cs_1", payment_intent=None)
    assert difference(ours, Sight(None, CheckoutSession(id="cs_2", livemode=False))) == "checkout_session"
    assert difference(ours, Sight(None, CheckoutSession(id="cs_1", livemode=False))) is None


def test_a_bonus_of_the_kind_purchased_is_part_of_the_one_lot() -> None:
    assert [(lot.kind, lot.credits, lot.bonus) for lot in lots_of(QUOTE)] == [("purchased", 160 * MICRO, 10 * MICRO)]


def test_a_bonus_of_another_kind_is_a_lot_of_its_own() -> None:
    apart = lots_of(QUOTE.model_copy(update={"bonus_kind": "promotional"}))
    assert [(lot.kind, lot.credits) for lot in apart] == [("purchased", 150 * MICRO), ("promotional", 10 * MICRO)]


def test_without_a_bonus_there_is_one_lot_whatever_kind_it_would_have() -> None:
    plain = QUOTE.model_copy(update={"bonus": 0, "bonus_kind": "promotional"})
    assert [(lot.kind, lot.credits) for lot in lots_of(plain)] == [("purchased", 150 * MICRO)]


def test_attempts_are_told_apart_by_their_charge_or_else_by_method_and_error() -> None:
    assert PaymentError(code="card_declined", charge="ch_1").attempt == "ch_1"
    first, second = ({"id": f"pm_{number}"} for number in (1, 2))
    assert PaymentError(code="x", payment_method=first).attempt != PaymentError(code="x", payment_method=second).attempt


def test_metadata_that_is_not_ours_names_nothing() -> None:
    for value in ("", "17", "pur_17", show("account", PURCHASE.account)):
        assert intent(metadata={"purchase": value}).ours("purchase") is None
    assert intent(metadata={"purchase": show("purchase", PURCHASE.id)}).ours("purchase") == PURCHASE.id


@pytest.mark.parametrize("body", [{}, {"id": "evt_1"}, {"id": "evt_1", "type": "x", "livemode": False, "data": 1}])
def test_a_body_that_is_no_event_is_an_error(body: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="StripeEvent"):
        StripeEvent.of(body)
