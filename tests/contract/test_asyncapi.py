"""The AsyncAPI document says what the code says of topics and events, and says it soundly."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from deploy.generate import asyncapi
from deploy.generate.documents import REFERENCE
from libs.contracts import events, topics

DOCUMENT: dict[str, Any] = json.loads(asyncapi.documents()[REFERENCE / "asyncapi.json"])
MESSAGES: dict[str, Any] = DOCUMENT["components"]["messages"]
TOLD = [name for name, message in MESSAGES.items() if "examples" in message]


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        for name, value in part.items():
            if name == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def resolved(reference: str) -> Any:
    found: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def test_every_reference_leads_somewhere() -> None:
    assert len({*references(DOCUMENT)}) > 20
    for reference in references(DOCUMENT):
        assert resolved(reference)


def test_every_topic_is_a_channel_as_it_is_created() -> None:
    assert set(DOCUMENT["channels"]) == {topic.name for topic in topics.ALL}
    for topic in topics.ALL:
        channel = DOCUMENT["channels"][topic.name]
        assert channel["address"] == channel["bindings"]["kafka"]["topic"] == topic.name
        assert channel["bindings"]["kafka"]["partitions"] == topic.partitions
        assert channel["bindings"]["kafka"]["topicConfiguration"] == {"retention.ms": topic.retention_ms}


def test_every_event_is_a_message_of_its_topic() -> None:
    for event in events.ALL:
        reference = DOCUMENT["channels"][event.topic.name]["messages"][event.type]["$ref"]
        assert resolved(reference)["title"] == event.__name__


def test_every_channel_is_used_by_one_operation_with_all_its_messages() -> None:
    used = {resolved(operation["channel"]["$ref"])["address"] for operation in DOCUMENT["operations"].values()}
    assert used == set(DOCUMENT["channels"])
    for operation in DOCUMENT["operations"].values():
        messages = sorted(message["$ref"].rpartition("/")[2] for message in operation["messages"])
        assert messages == sorted(resolved(operation["channel"]["$ref"])["messages"])


@pytest.mark.parametrize("name", TOLD)
def test_an_example_is_what_its_message_describes(name: str) -> None:
    """By the whole document, so that its references lead where they say."""
    message = MESSAGES[name]
    schema = Draft202012Validator({**DOCUMENT, "$ref": message["payload"]["$ref"]}, format_checker=FormatChecker())
    (example,) = message["examples"]
    schema.validate(example["payload"])
    without_subject = {field: value for field, value in example["payload"].items() if field != "subject"}
    assert not schema.is_valid(without_subject)
    assert not schema.is_valid({**example["payload"], "data": []})
