"""`events.md`: every topic, and every event with its fields and an example."""

from typing import Any

from pydantic import BaseModel

from deploy.generate import fields
from deploy.generate.documents import PROJECT, REFERENCE, Documents
from deploy.generate.markdown import code, page, table
from libs.contracts import events, topics
from libs.contracts.envelope import CONTENT_TYPE, LARGEST_EVENT_BYTES, CloudEvent
from libs.contracts.events.usage_v1 import UsageData
from libs.contracts.topics import DAY_MS, Topic

EXAMPLES = PROJECT / "libs" / "contracts" / "examples"
USAGE = "scrip.usage.v1"
"""What files call usage events, whose own `type` is the meter."""

_INTRODUCTION = f"""
What the services tell each other, and may tell yours. Every event is a CloudEvent 1.0 in structured mode: one JSON
document, `{CONTENT_TYPE}`, at most {LARGEST_EVENT_BYTES // 1024} KiB, with `subject` as the record's key. The same for
programs: [asyncapi.json](asyncapi.json), and a JSON Schema per event in `libs/contracts/schemas/events/`.

Delivery is at least once, in order for each key. Within a major version only optional fields are added: ignore those
that you do not know. Credits are decimal strings of at most six places; money is integer minor units and a currency.
"""


def documents() -> Documents:
    """Write the page."""
    about = [_event(kind, model, topic) for topic in topics.DECLARED for kind, model in told_on(topic)]
    envelope = f"## The envelope\n\n{_described(CloudEvent)}"
    text = page("Topics and events", _INTRODUCTION, "## Topics", _topics(), envelope, "## Events", *about)
    return {REFERENCE / "events.md": text}


def told_on(topic: Topic) -> list[tuple[str, type[BaseModel]]]:
    """Name what is told on a topic: the events' types and models; none on one for dead letters."""
    told: list[tuple[str, type[BaseModel]]] = [(event.type, event) for event in events.ALL if event.topic == topic]
    return [*told, (USAGE, UsageData)] if topic == topics.USAGE_EVENTS else told


def _topics() -> str:
    head = ("topic", "key", "partitions", "kept for", "events")
    return table(head, [_topic(topic) for topic in topics.ALL])


def _topic(topic: Topic) -> tuple[str, ...]:
    told = ", ".join(f"[{model.__name__}](#{model.__name__.lower()})" for _, model in told_on(topic))
    kept = f"{topic.retention_ms // DAY_MS} days"
    what = told or f"what a consumer of {code(topic.name.removesuffix('.dlq'))} could not handle, as it came"
    return code(topic.name), topic.key, str(topic.partitions), kept, what


def _event(kind: str, model: type[BaseModel], topic: Topic) -> str:
    name = "the meter" if kind == USAGE else code(kind)
    example = (EXAMPLES / f"{kind}.json").read_text("utf-8").strip()
    return "\n\n".join(
        [f"### {model.__name__}", f"Type {name}, on {code(topic.name)}.", _described(model), f"```json\n{example}\n```"]
    )


def _described(model: type[BaseModel]) -> str:
    """Write what a model says of itself, and its fields, with those of the models inside it."""
    schema = model.model_json_schema()
    inner = [_inner(name, found) for name, found in schema.get("$defs", {}).items()]
    return "\n\n".join([schema["description"], fields.table_of(schema, code), *inner])


def _inner(name: str, schema: dict[str, Any]) -> str:
    return f"`{name}`: {schema['description']}\n\n{fields.table_of(schema, code)}"
