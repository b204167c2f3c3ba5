"""A usage event is the same, in whichever of CloudEvents' forms a record brings it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.credits.domain import usage_events
from services.credits.domain.usage_events import MalformedEventError
from services.credits.domain.usage_records import documents

ACCOUNT = "acc_018f2b6c0d4e7a1b9c3d5e7f90a1b2c3"
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=40)
EVENTS = st.fixed_dictionaries(
    {
        "specversion": st.just("1.0"),
        "id": NAMES,
        "source": NAMES,
        "type": NAMES,
        "subject": st.just(ACCOUNT),
        "data": st.fixed_dictionaries(
            {"quantity": st.integers(0, 10**6), "properties": st.dictionaries(st.sampled_from(["hd", "model"]), NAMES)}
        ),
    },
    optional={"time": st.just("2026-11-21T12:00:00Z"), "actor": st.just("user:ada")},
)


def binary(event: dict[str, object], **headers: str) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Write an event as Kafka's binding has its binary form."""
    said = {f"ce_{name}": str(value) for name, value in event.items() if name != "data"}
    named = {"content-type": "application/json"} | said | headers
    return json.dumps(event["data"]).encode(), [(name, value.encode()) for name, value in named.items()]


@given(event=EVENTS)
def test_binary_and_structured_are_read_as_the_same_event(event: dict[str, object]) -> None:
    structured = usage_events.read(json.dumps(event).encode())
    [document] = documents(*binary(event))
    read = usage_events.read(document)
    for field in ("account", "key", "fingerprint", "meter", "source", "id", "time", "quantity", "properties", "actor"):
        assert getattr(read, field) == getattr(structured, field), field
    assert usage_events.read(read.payload).key == structured.key


@given(events=st.lists(EVENTS, max_size=5))
def test_a_batch_is_its_events_each_by_itself(events: list[dict[str, object]]) -> None:
    assert [json.loads(one) for one in documents(json.dumps(events).encode(), [])] == events


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (b"", []),
        (b"[", []),
        (b'[{"id": 1}', []),
        (b"<usage/>", [("ce_specversion", b"1.0"), ("ce_id", b"1"), ("content-type", b"application/xml")]),
        (b"{", [("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"/s"), ("ce_type", b"video")]),
        (b"{}", [("ce_specversion", b"1.0"), ("ce_id", b"\xff"), ("ce_subject", b"somebody")]),
        (b"{}", [("ce_specversion", b"0.3"), ("ce_id", b"1"), ("ce_source", b"/s"), ("ce_type", b"video")]),
    ],
)
def test_what_is_no_event_in_any_form_is_one_document_that_cannot_be_read(
    value: bytes, headers: list[tuple[str, bytes]]
) -> None:
    [document] = documents(value, headers)
    with pytest.raises(MalformedEventError):
        usage_events.read(document)
