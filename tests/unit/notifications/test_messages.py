from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.contracts.credits import parse_credits
from libs.contracts.events.payments_v1 import LotToGrant, LotToTakeBack, PaymentRefunded, PaymentSucceeded
from libs.contracts.ids import new_id, show
from libs.contracts.money import Money
from services.notifications.domain.messages import Receipt, RefundNotice, read_message
from services.notifications.domain.retries import RETRY_AFTER, next_try

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PAID = Money(amount_minor=2499, currency="usd")
PURCHASE = new_id()
COMMON: dict[str, Any] = {
    "account": new_id(),
    "user": new_id(),
    "purchase": PURCHASE,
    "occurred_at": NOW,
    "paid": PAID,
    "payment_intent": "pi_1",
    "description": "Pro",
}


def test_a_receipt_adds_up_the_lots_and_their_bonus() -> None:
    lots = [
        LotToGrant(kind="purchased", credits=parse_credits("160"), bonus=parse_credits("10")),
        LotToGrant(kind="promotional", credits=parse_credits("5"), bonus=parse_credits("5")),
    ]
    receipt = Receipt.of(PaymentSucceeded(**COMMON, revision=1, lots=lots))
    assert (receipt.credits, receipt.bonus) == (parse_credits("165"), parse_credits("15"))


def test_a_receipt_is_one_per_purchase_and_a_refund_one_per_revision() -> None:
    purchase = show("purchase", PURCHASE)
    paid = PaymentSucceeded(**COMMON, revision=1, lots=[LotToGrant(kind="purchased", credits=1)])
    refunded = PaymentRefunded(
        **COMMON, revision=4, refunded=PAID, take_back=[LotToTakeBack(kind="purchased", credits=1)]
    )
    assert Receipt.of(paid).business_key() == purchase
    assert RefundNotice.of(refunded, amount_minor=1).business_key() == f"{purchase}/4"


def test_what_is_recorded_reads_back_the_same() -> None:
    event = PaymentRefunded(**COMMON, revision=4, refunded=PAID, take_back=[LotToTakeBack(kind="purchased", credits=1)])
    notice = RefundNotice.of(event, amount_minor=99)
    assert read_message("refund", notice.model_dump(mode="json")) == notice


def test_the_pauses_between_tries_grow_from_a_second_to_days() -> None:
    assert list(RETRY_AFTER) == sorted(RETRY_AFTER)
    assert RETRY_AFTER[:4] == (timedelta(seconds=1), timedelta(seconds=5), timedelta(seconds=30), timedelta(minutes=5))
    assert timedelta(days=2) < sum(RETRY_AFTER, timedelta()) < timedelta(days=4)


@pytest.mark.parametrize("attempts", [1, len(RETRY_AFTER)])
def test_each_pause_follows_its_try(attempts: int) -> None:
    assert next_try(attempts, at=NOW) == NOW + RETRY_AFTER[attempts - 1]


def test_there_is_an_end_to_trying() -> None:
    assert next_try(len(RETRY_AFTER) + 1, at=NOW) is None
