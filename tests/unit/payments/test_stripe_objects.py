"""What we read of Stripe's objects."""

import pytest

from services.payments.domain.stripe_objects import StripeDispute

TAKEN, AGAIN = {"amount": -100, "created": 10}, {"amount": -97, "created": 30}
GIVEN_LESS, GIVEN_MORE = {"amount": 98, "created": 20}, {"amount": 103, "created": 20}


@pytest.mark.parametrize(
    ("moved", "withdrawn"),
    [
        ([], False),
        ([TAKEN], True),
        ([TAKEN, GIVEN_LESS], False),
        ([GIVEN_LESS, TAKEN], False),
        ([TAKEN, GIVEN_MORE], False),
        ([TAKEN, GIVEN_MORE, AGAIN], True),
        ([TAKEN, {"amount": 0, "created": 40}], True),
        ([{"amount": -5}, {"amount": 4}], False),
    ],
)
def test_whether_a_bank_has_the_money_depends_on_what_moved_last_and_never_on_rates(
    moved: list[dict[str, int]], withdrawn: bool
) -> None:
    dispute = {"id": "du_1", "amount": 100, "currency": "eur", "status": "won", "reason": "general"}
    assert StripeDispute.model_validate({**dispute, "balance_transactions": moved}).withdrawn is withdrawn
