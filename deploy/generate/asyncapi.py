"""`asyncapi.json`: the topics and events as an AsyncAPI 3 document."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from deploy.generate.documents import REFERENCE, Documents, to_json
from deploy.generate.events import EXAMPLES, USAGE, told_on
from libs.contracts import topics
from libs.contracts.envelope import CONTENT_TYPE, CloudEvent
from libs.contracts.topics import Topic

_REF = "#/components/schemas/{model}"
_ABOUT = "What Scrip's services tell each other, and what services that use Scrip may read and report."
_DEAD_LETTER = "dead_letter"

Part = dict[str, Any]


def documents() -> Documents:
    """Write the document."""
    told = {kind: model for topic in topics.DECLARED for kind, model in told_on(topic)}
    document = {
        "asyncapi": "3.0.0",
        "info": {"title": "Scrip", "version": "1", "description": _ABOUT},
        "defaultContentType": CONTENT_TYPE,
        "channels": {topic.name: _channel(topic) for topic in topics.ALL},
        "operations": {f"{_action(topic)}.{topic.name}": _operation(topic) for topic in topics.ALL},
        "components": {
            "messages": {**{kind: _message(kind, model) for kind, model in told.items()}, _DEAD_LETTER: _dead_letter()},
            "schemas": _schemas(told),
        },
    }
    return {REFERENCE / "asyncapi.json": to_json(document)}


def _names(topic: Topic) -> list[str]:
    return [kind for kind, _ in told_on(topic)] or [_DEAD_LETTER]


def _action(topic: Topic) -> str:
    """Say what Scrip itself does there: it tells on all topics but that of usage."""
    return "receive" if topic == topics.USAGE_EVENTS else "send"


def _channel(topic: Topic) -> Part:
    configuration = {"retention.ms": topic.retention_ms}
    kafka = {"topic": topic.name, "partitions": topic.partitions, "topicConfiguration": configuration}
    return {
        "address": topic.name,
        "description": f"Keyed by {topic.key}.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _names(topic)},
        "bindings": {"kafka": {**kafka, "bindingVersion": "0.5.0"}},
    }


def _operation(topic: Topic) -> Part:
    channel = f"#/channels/{topic.name}"
    messages = [{"$ref": f"{channel}/messages/{name}"} for name in _names(topic)]
    return {"action": _action(topic), "channel": {"$ref": channel}, "messages": messages}


def _message(kind: str, model: type[BaseModel]) -> Part:
    example = json.loads((EXAMPLES / f"{kind}.json").read_text("utf-8"))
    return {
        "name": kind,
        "title": model.__name__,
        "summary": model.model_json_schema()["description"],
        "contentType": CONTENT_TYPE,
        "payload": {"$ref": _REF.format(model=kind)},
        "examples": [{"payload": example}],
        "bindings": {"kafka": {"key": {"type": "string"}, "bindingVersion": "0.5.0"}},
    }


def _dead_letter() -> Part:
    """Describe what a consumer could not handle: whatever it was."""
    return {
        "name": _DEAD_LETTER,
        "title": "DeadLetter",
        "summary": "A record that a consumer could not handle, as it came; its headers say which, why and where from.",
        "payload": {},
    }


def _schemas(told: Mapping[str, type[BaseModel]]) -> Part:
    """Write the models' schemas, and for each event the envelope narrowed to its type and data."""
    models = [(model, "validation") for model in (CloudEvent, *told.values())]
    definitions = models_json_schema(models, ref_template=_REF)[1]["$defs"]  # type: ignore[arg-type] # modes are literals
    return {**definitions, **{kind: _whole(kind, model) for kind, model in told.items()}}


def _whole(kind: str, model: type[BaseModel]) -> Part:
    narrowed = {"data": {"$ref": _REF.format(model=model.__name__)}}
    if kind != USAGE:  # whose type is the meter
        narrowed["type"] = {"const": kind}
    return {
        "allOf": [
            {"$ref": _REF.format(model=CloudEvent.__name__)},
            {"type": "object", "required": ["subject", "data"], "properties": narrowed},
        ]
    }
