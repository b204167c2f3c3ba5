"""What was once said is understood for ever: the golden examples, today's models and today's schemas agree."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from libs.contracts import events
from libs.contracts.envelope import CloudEvent
from libs.contracts.events.usage_v1 import UsageData
from libs.contracts.ids import new_id

CONTRACTS = Path(__file__).parents[2] / "libs" / "contracts"
SCHEMAS = CONTRACTS / "schemas" / "events"
EXAMPLES = sorted((CONTRACTS / "examples").glob("*.json"))
USAGE = "scrip.usage.v1"

example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def kind_of(example: Path) -> str:
    """Tell the event's type and major version, which a file's name begins with."""
    return next(kind for kind in (*events.BY_TYPE, USAGE) if example.stem.startswith(kind))


def schema_for(example: Path) -> Draft202012Validator:
    schema = read(SCHEMAS / f"{kind_of(example)}.json")
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=FormatChecker())


def understood(example: Path) -> UsageData | events.Event:
    envelope = CloudEvent.decode(example.read_bytes())
    if kind_of(example) == USAGE:
        return UsageData.model_validate(envelope.data)
    return events.BY_TYPE[envelope.type].of(envelope)


def test_every_event_has_an_example() -> None:
    assert {kind_of(example) for example in EXAMPLES} == {*events.BY_TYPE, USAGE}


@example
def test_an_example_is_understood_and_said_again_in_the_same_words(example: Path) -> None:
    envelope = CloudEvent.decode(example.read_bytes())
    assert json.loads(envelope.encode()) == read(example)
    assert understood(example).model_dump(mode="json", exclude_unset=True) == envelope.data


@example
def test_an_event_is_written_as_its_envelope_is_encoded(example: Path) -> None:
    event = understood(example)
    if isinstance(event, events.Event):
        said: dict[str, Any] = {
            "at": CloudEvent.decode(example.read_bytes()).time,
            "id": new_id(),
            "traceparent": "00-1-2-01",
        }
        assert json.loads(event.write(**said)) == json.loads(event.envelope(**said).encode())


@example
def test_an_example_is_what_its_schema_describes(example: Path) -> None:
    schema_for(example).validate(read(example))


@example
def test_a_schema_names_every_field_of_the_example(example: Path) -> None:
    """A field that the schema has lost would pass unnoticed where unknown ones are ignored."""
    schema = read(SCHEMAS / f"{kind_of(example)}.json")
    content = schema["$defs"][schema["properties"]["data"]["$ref"].rpartition("/")[2]]
    assert set(read(example)) <= set(schema["properties"])
    assert set(read(example)["data"]) <= set(content["properties"])


@pytest.mark.parametrize("kind", [*events.BY_TYPE, USAGE])
def test_the_examples_of_an_event_show_every_field_it_has(kind: str) -> None:
    """So that a later change to any of them meets an example."""
    model = UsageData if kind == USAGE else events.BY_TYPE[kind]
    shown = {field for example in EXAMPLES if kind_of(example) == kind for field in read(example)["data"]}
    assert shown == set(model.model_fields)


@example
def test_an_event_is_keyed_by_whom_it_is_about(example: Path) -> None:
    event = understood(example)
    if isinstance(event, events.Event):
        assert read(example)["subject"] == event.key()
        assert read(example)["source"] == event.source


@example
@pytest.mark.parametrize("field", ["id", "source", "type", "subject", "data"])
def test_a_schema_refuses_an_event_without_what_every_event_has(example: Path, field: str) -> None:
    event = {name: value for name, value in read(example).items() if name != field}
    assert not schema_for(example).is_valid(event)


@example
def test_a_later_version_may_say_more(example: Path) -> None:
    if kind_of(example) == USAGE:  # what a price depends on is not guessed: an unknown word there is refused
        return
    more = read(example)
    more["data"]["said_from_tomorrow_on"] = "news"
    more["extension"] = "news"
    schema_for(example).validate(more)
    envelope = CloudEvent.decode(json.dumps(more).encode())
    assert events.BY_TYPE[envelope.type].of(envelope) == understood(example)
