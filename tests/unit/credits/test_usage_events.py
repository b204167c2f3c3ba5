"""Usage events are read by two readers: the fast one may never differ from the contract."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.credits.domain import usage_events
from services.credits.domain.usage_events import MalformedEventError, UsageEvent

ACCOUNT = "acc_018f2b6c0d4e7a1b9c3d5e7f90a1b2c3"
A_MICROSECOND = timedelta(microseconds=1)  # one reader rounds what is finer than that, the other cuts it off


def written(value: Any) -> st.SearchStrategy[str]:
    """Write a value as JSON: with escapes, or with the letters themselves."""
    return st.booleans().map(lambda escaped: json.dumps(value, ensure_ascii=escaped))


def names(least: int = 0, most: int = 260) -> st.SearchStrategy[str]:
    return st.text(st.characters(codec="utf-8"), min_size=least, max_size=most).flatmap(written)


# fmt: off
ODD = st.sampled_from([  # words that a JSON reader may take or leave
    "0", "-0", "1", "1.0", "1e0", "0.1", "1.5e1", "-1", "01", "1.", ".5", "+1", "1E12", "1e-6", "1e-7", "0.0000001",
    "1000000000000", "1000000000001", "999999999999.999999", "1.0000000000000001", "9223372036854775808",
    "184467440737095516160", "1e400000", "NaN", "Infinity", "-Infinity", "true", "false", "null", "[]", "{}", "[1]",
    '""', '"x"', '"1"', '" 1"', '"1.50"', '"1_0"', '"\\u0000"', '"\\ud800"', '"\\ud83d\\ude00"', '"a\tb"',
])
# fmt: on
PROPERTY_NAMES = st.one_of(
    st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True),
    st.sampled_from(["", "A", "1a", "a\n", "a" * 64, "a" * 65, "ä"]),
)
PROPERTY_VALUES = st.one_of(
    st.booleans().flatmap(written),
    st.integers(-(2**70), 2**70).map(str),
    names(most=20),
    st.sampled_from([500, 501]).map(lambda length: json.dumps("ä" * length)),
    ODD,
)


def an_object(members: st.SearchStrategy[list[tuple[str, str]]]) -> st.SearchStrategy[str]:
    """Write an object; a member may come twice."""
    return members.map(lambda pairs: "{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in pairs) + "}")


PROPERTIES = st.one_of(
    an_object(st.lists(st.tuples(PROPERTY_NAMES, PROPERTY_VALUES), max_size=4)),
    st.sampled_from([50, 51]).map(lambda number: json.dumps({f"p{i}": i for i in range(number)})),
    ODD,
)
COSTS = st.one_of(
    an_object(
        st.lists(
            st.one_of(
                st.tuples(st.just("amount_micros"), st.one_of(st.integers(-1, 10**15 + 1).map(str), ODD)),
                st.tuples(
                    st.just("currency"), st.sampled_from(['"usd"', '"USD"', '"us"', '"usd\\n"', '"u\u0073d"', '"üsd"'])
                ),
                st.tuples(st.just("other"), ODD),
            ),
            max_size=3,
        )
    ),
    st.just('{"amount_micros":300,"currency":"usd"}'),
    ODD,
)
DATA = st.one_of(
    an_object(
        st.lists(
            st.one_of(
                st.tuples(st.just("quantity"), st.one_of(st.integers(0, 10**13).map(str), ODD)),
                st.tuples(st.just("properties"), PROPERTIES),
                st.tuples(st.just("cost"), COSTS),
                st.tuples(st.just("other"), ODD),
            ),
            max_size=3,
        )
    ),
    ODD,
)
SUBJECTS = st.one_of(
    st.just(json.dumps(ACCOUNT)),
    st.text("0123456789abcdefABCDEF-_{} +٣", min_size=31, max_size=33).map(lambda digits: json.dumps("acc_" + digits)),
    ODD,
)
TIMES = st.one_of(
    st.datetimes().map(lambda at: json.dumps(at.isoformat() + "Z")),
    st.from_regex(r"20\d\d-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?", fullmatch=True).map(
        json.dumps
    ),
    ODD,
)
FIELDS: dict[str, st.SearchStrategy[str]] = {
    "id": st.one_of(names(), ODD),
    "source": names(),
    "type": names(),
    "subject": SUBJECTS,
    "data": DATA,
    "specversion": st.sampled_from(['"1.0"', '"0.3"', "1.0", "null"]),
    "time": TIMES,
    "datacontenttype": st.sampled_from(['"application/json"', '"text/plain"', "null"]),
    "traceparent": st.one_of(names(most=65), ODD),
    "actor": st.one_of(
        st.sampled_from(['"user:ada"', '"key:key_1"', '"ada"', '"user:"', '"user:a\\n"', '"user:ä"', '"USER:ada"']),
        st.sampled_from([200, 201]).map(lambda length: json.dumps("user:" + "a" * length)),
        ODD,
    ),
    "extension": st.one_of(names(most=20), ODD),
}
USUAL = {"id": '"1"', "source": '"/s"', "type": '"video"', "subject": json.dumps(ACCOUNT), "data": '{"quantity":3}'}


@st.composite
def payloads(draw: st.DrawFn) -> bytes:
    """Write a usual event in which some members are drawn: left out, odd, or there twice."""
    members = list(USUAL.items())
    for name in draw(st.lists(st.sampled_from(list(FIELDS)), max_size=4)):
        if draw(st.booleans()):
            members = [member for member in members if member[0] != name]
        members.append((name, draw(FIELDS[name])))
    return draw(an_object(st.just(members))).encode("utf-8")


def said(event: UsageEvent) -> tuple[object, ...]:
    meaning = event.account, event.key, event.fingerprint, event.meter, event.source, event.id, event.quantity
    return (*meaning, event.properties, event.payload, event.actor, event.cost, event.problem is None)


def same(payload: bytes) -> None:
    """Check that an event is read as the contract reads it, and refused where the contract refuses it."""
    try:
        contract = usage_events._read_by_contract(payload)
    except MalformedEventError:
        with pytest.raises(MalformedEventError):
            usage_events.read(payload)
        return
    read = usage_events.read(payload)
    assert said(read) == said(contract)
    assert (read.time is None) == (contract.time is None)
    if read.time is not None and contract.time is not None:
        assert abs(read.time - contract.time) <= A_MICROSECOND


@settings(max_examples=2000, derandomize=True)
@given(payload=payloads())
def test_an_event_is_read_as_the_contract_says(payload: bytes) -> None:
    same(payload)


@settings(max_examples=1000, derandomize=True)
@given(payload=payloads(), place=st.integers(0, 400), replacement=st.binary(max_size=2))
@example(b'{"id":"1","source":"/s","type":"t","subject":"%s","data":{},"x":" "}' % ACCOUNT.encode(), 94, b"\xff")
def test_a_damaged_event_is_read_as_the_contract_says(payload: bytes, place: int, replacement: bytes) -> None:
    place %= len(payload)
    same(payload[:place] + replacement + payload[place + 1 :])


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"quantity": 12},
        {"quantity": 1.5},
        {"quantity": "0.000001"},
        {"quantity": 1, "properties": {"resolution": "4k", "hd": True, "seconds": 12}},
        {"quantity": 1, "cost": {"amount_micros": 300, "currency": "usd"}},
    ],
    ids=["one of it", "a quantity", "a part", "a part as text", "properties", "its cost"],
)
def test_what_is_usual_is_not_left_to_the_contract(monkeypatch: pytest.MonkeyPatch, data: dict[str, Any]) -> None:
    monkeypatch.delattr(usage_events, "_read_by_contract")
    event = {"id": "1", "source": "/s", "type": "video", "subject": ACCOUNT, "data": data}
    extended = {"specversion": "1.0", "time": "2026-01-01T00:00:00Z", "partitionkey": "p", "actor": "user:ada", **event}
    for usual in (event, extended):
        read = usage_events.read(json.dumps(usual).encode())
        assert (read.id, read.meter, read.problem) == ("1", "video", None)


@pytest.mark.parametrize("depth", [300, 100_000])
def test_an_event_that_is_nested_without_end_ends_nobody(depth: int) -> None:
    payload = b'{"id":"1","source":"/s","type":"t","subject":"acc_1","data":' + b"[" * depth + b"]" * depth + b"}"
    with pytest.raises(MalformedEventError):
        usage_events.read(payload)


def test_the_same_said_in_other_words_has_the_same_fingerprint() -> None:
    words = ["3", "3.0", "3e0", '"3"', '"3.00"', "30e-1"]
    prints = {usage_events.read(_with_quantity(word)).fingerprint for word in words}
    assert len(prints) == 1
    assert usage_events.read(_with_quantity("4")).fingerprint not in prints


@pytest.mark.parametrize("amount", ["0", "300", "1000000000000000"])
def test_a_cost_is_a_whole_number_of_millionths(amount: str) -> None:
    payload = _with(f'{{"cost":{{"amount_micros":{amount},"currency":"usd"}}}}')
    same(payload)
    assert usage_events.read(payload).cost == usage_events.Cost(int(amount), "usd")


@pytest.mark.parametrize("amount", ["-1", "1000000000000001", "1.0", "1e2", "0.5", '"300"', "true", "null", "NaN"])
def test_what_is_no_whole_number_of_millionths_is_no_cost(amount: str) -> None:
    payload = _with(f'{{"cost":{{"amount_micros":{amount},"currency":"usd"}}}}')
    same(payload)
    assert usage_events.read(payload).problem is not None


@pytest.mark.parametrize("currency", ['"usd\\n"', '"USD"', '"us"', '"usdd"', '"üsd"', "null", '"usd","other":1'])
def test_what_names_no_currency_is_no_cost(currency: str) -> None:
    payload = _with(f'{{"cost":{{"amount_micros":300,"currency":{currency}}}}}')
    same(payload)
    assert usage_events.read(payload).problem is not None


def test_another_cost_is_another_content_and_none_is_what_it_always_was() -> None:
    costs = ['{"amount_micros":300,"currency":"usd"}', '{"currency":"eur","amount_micros":300}']
    prints = [usage_events.read(_with(f'{{"quantity":3,"cost":{cost}}}')).fingerprint for cost in [*costs, "null"]]
    assert len(set(prints)) == 3
    assert prints[-1] == usage_events.read(_with_quantity("3")).fingerprint
    assert prints[-1] == UUID("5e4654fc-90b4-3646-f074-0a2c8a7e7276")  # of all that was ever reported


def _with_quantity(word: str) -> bytes:
    return _with(f'{{"quantity":{word}}}')


def _with(data: str) -> bytes:
    members = ",".join(f'"{name}":{value}' for name, value in (USUAL | {"data": data}).items())
    return f"{{{members}}}".encode()
