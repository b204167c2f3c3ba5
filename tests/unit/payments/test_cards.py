"""Saved cards: which of them stays, which is the default, and where a wish to save one stands."""

from datetime import UTC, datetime
from typing import Any

import pytest

from libs.contracts.ids import new_id
from services.payments.domain.cards import CardState, SavedCard, next_default, setup_standing, with_states
from services.payments.domain.stripe_objects import SetupIntent, StripeCard, StripeCustomer

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ERROR = {"code": "card_declined", "message": "Your card was declined."}


def at_stripe(method: str, number: str | None) -> StripeCard:
    details = {"brand": "visa", "last4": "4242", "exp_month": 8, "exp_year": 2030, "fingerprint": number}
    return StripeCard.model_validate({"id": method, "created": 1, "card": details})


def recorded(method: str, number: str, state: CardState = "saved") -> SavedCard:
    return SavedCard(
        id=new_id(), account=new_id(), method=method, state=state, brand="visa", last4="4242", exp_month=8,
        exp_year=2030, wallet=None, fingerprint=number, saved_at=NOW, default=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("newest_first", "states"),
    [
        ([], []),
        ([("pm_1", "a")], [("pm_1", "saved")]),
        ([("pm_2", "b"), ("pm_1", "a")], [("pm_1", "saved"), ("pm_2", "saved")]),
        (
            [("pm_4", "a"), ("pm_3", "b"), ("pm_2", "a"), ("pm_1", "a")],
            [("pm_1", "removing"), ("pm_2", "removing"), ("pm_3", "saved"), ("pm_4", "saved")],
        ),
        ([("pm_2", None), ("pm_1", None)], [("pm_1", "saved"), ("pm_2", "saved")]),
    ],
)
def test_of_a_number_the_newest_stays(newest_first: list[tuple[str, str]], states: list[tuple[str, str]]) -> None:
    found = with_states([at_stripe(method, number) for method, number in newest_first])
    assert [(card.id, state) for card, state in found] == states


@pytest.mark.parametrize(
    ("newest_first", "default", "becomes"),
    [
        ([], None, None),
        ([], "pm_1", None),
        ([("pm_1", "a", "saved")], None, "pm_1"),
        ([("pm_1", "a", "saved")], "pm_1", None),
        ([("pm_2", "b", "saved"), ("pm_1", "a", "saved")], None, "pm_2"),
        ([("pm_2", "b", "saved"), ("pm_1", "a", "saved")], "pm_1", None),
        ([("pm_2", "b", "saved"), ("pm_1", "a", "removing")], "pm_1", "pm_2"),
        ([("pm_3", "b", "saved"), ("pm_2", "a", "saved"), ("pm_1", "a", "removing")], "pm_1", "pm_2"),
        ([("pm_1", "a", "removing")], "pm_1", None),
        ([("pm_1", "a", "saved")], "pm_a_bank_account_of_the_dashboard", None),
    ],
)
def test_one_card_is_the_default_unless_somebody_chose_something_else(
    newest_first: list[tuple[str, str, CardState]], default: str | None, becomes: str | None
) -> None:
    chosen = next_default([recorded(*card) for card in newest_first], default)
    assert (chosen.method if chosen else None) == becomes


@pytest.mark.parametrize(
    ("status", "error", "state"),
    [
        ("requires_payment_method", None, "created"),
        ("requires_payment_method", ERROR, "failed"),
        ("requires_confirmation", None, "created"),
        ("requires_action", None, "requires_action"),
        ("processing", None, "processing"),
        ("succeeded", None, "succeeded"),
        ("canceled", ERROR, "canceled"),
        ("a_status_of_the_future", None, "created"),
    ],
)
def test_stripes_status_says_where_a_wish_stands(status: str, error: dict[str, Any] | None, state: str) -> None:
    shown = {"id": "seti_1", "status": status, "last_setup_error": error}
    assert setup_standing(SetupIntent.model_validate(shown)) == state


def test_a_customer_that_was_deleted_has_nothing() -> None:
    gone = StripeCustomer.model_validate({"id": "cus_1", "object": "customer", "deleted": True})
    assert (gone.deleted, gone.invoice_settings.default_payment_method) == (True, None)
