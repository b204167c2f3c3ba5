"""Stripe's signatures and events, as rules."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.stripe_webhooks import (
    TOLERANCE,
    NotAnEventError,
    SignatureInvalidError,
    check_signature,
    read_event,
)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
BODY = b'{"id": "evt_1"}'


def signed(body: bytes = BODY, *, secret: str = "whsec_1", at: datetime = NOW) -> str:
    """Sign as Stripe's own client does."""
    when = int(at.timestamp())
    header: str = stripe.WebhookSignature.generate_signature_header(body.decode(), secret, timestamp=when)
    return header


def outcome(header: str | None, body: bytes = BODY, *, secrets: tuple[str, ...] = ("whsec_1",)) -> str:
    """Tell what becomes of a signature."""
    try:
        check_signature(header, body, secrets=secrets, now=NOW)
    except SignatureInvalidError as error:
        return error.outcome
    return "good"


def test_a_signature_of_any_known_secret_is_good() -> None:
    assert outcome(signed()) == "good"
    assert outcome(signed(secret="whsec_2"), secrets=("whsec_1", "whsec_2")) == "good"
    two = f"{signed(secret='whsec_unknown')},{signed().split(',')[1]}"
    assert outcome(two) == "good"
    assert outcome(signed().replace(",", " , ")) == "good"


@pytest.mark.parametrize("seconds", [-300, -299, 0, 299, 300])
def test_a_timestamp_within_the_tolerance_is_good(seconds: int) -> None:
    assert outcome(signed(at=NOW + timedelta(seconds=seconds))) == "good"


def test_a_timestamp_beyond_the_tolerance_is_not_and_says_which_way() -> None:
    assert outcome(signed(at=NOW - TOLERANCE - timedelta(seconds=1))) == "timestamp_old"
    assert outcome(signed(at=NOW + TOLERANCE + timedelta(seconds=1))) == "timestamp_future"


def test_only_scheme_v1_counts() -> None:
    timestamp, signature = signed().split(",")
    assert outcome(f"{timestamp},v0={signature[3:]}") == "signature_malformed"
    assert outcome(f"{timestamp},v0={signature[3:]},v1={'0' * 64}") == "signature_wrong"
    assert outcome(f"{timestamp},v0={'0' * 64},{signature}") == "good"


def test_of_two_timestamps_the_first_is_the_one_that_was_signed() -> None:
    timestamp, signature = signed().split(",")
    assert outcome(f"{timestamp},t=1,{signature}") == "good"
    assert outcome(f"t=1,{timestamp},{signature}") == "signature_wrong"


@given(st.binary(max_size=40), st.integers(0, 39))
def test_a_body_changed_in_one_byte_is_refused(body: bytes, place: int) -> None:
    body = (body + b" " * 40)[:40].decode("latin-1").encode()
    changed = bytearray(body)
    changed[place] ^= 1
    assert outcome(signed(body), bytes(body)) == "good"
    assert outcome(signed(body), bytes(changed)) == "signature_wrong"


@given(st.text(max_size=200))
def test_no_header_makes_the_check_fail_otherwise_than_with_an_outcome(header: str) -> None:
    assert outcome(header) != "good"


def an_event(subject: Any, **more: Any) -> bytes:
    event = {"id": "evt_1", "object": "event", "type": "x", "created": 1, "livemode": True, "data": {"object": subject}}
    return json.dumps(event | more).encode()


@pytest.mark.parametrize(
    ("subject", "key"),
    [
        ({"id": "pi_1", "object": "payment_intent", "customer": "cus_1"}, "cus_1"),
        ({"id": "pi_1", "object": "payment_intent", "customer": {"id": "cus_1"}}, "cus_1"),
        ({"id": "cs_1", "object": "checkout.session", "customer": None, "payment_intent": "pi_1"}, "pi_1"),
        ({"id": "re_1", "object": "refund", "payment_intent": "pi_1"}, "pi_1"),
        ({"id": "dp_1", "object": "dispute", "payment_intent": {"id": "pi_1"}}, "pi_1"),
        ({"id": "cus_1", "object": "customer", "customer": None}, "cus_1"),
        ({"id": "prod_1", "object": "product"}, "prod_1"),
        ({"object": "balance"}, "evt_1"),
        ({"object": "invoice", "customer": "cus_1"}, "cus_1"),
    ],
)
def test_events_of_a_customer_share_his_key_and_others_their_payments(subject: dict[str, Any], key: str) -> None:
    event = read_event(an_event(subject))
    assert event.key == key
    assert event.object_id == subject.get("id", "")
    assert event.livemode


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["id", "object", "customer", "payment_intent", "data", "type"]), inner)
        ),
        max_leaves=8,
    )
)
def test_whatever_the_object_is_reading_gives_an_event_or_says_that_it_is_none(subject: Any) -> None:
    try:
        event = read_event(an_event(subject))
    except NotAnEventError:
        return
    assert 0 < len(event.key) <= 255


@given(st.binary(max_size=60))
def test_no_body_makes_reading_fail_otherwise(body: bytes) -> None:
    with pytest.raises(NotAnEventError):
        read_event(body)
