"""Generated files: written from the code, committed, and never edited by hand.

`python -m deploy.generate` writes them; with `--check` it writes nothing and fails if one is out of date.
"""

import argparse
import inspect
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from libs.contracts import errors, events
from libs.contracts.envelope import CloudEvent
from libs.contracts.events.usage_v1 import UsageData
from libs.contracts.http import credits_v1, gateway_v1, notifications_v1, payments_v1

PROJECT = Path(__file__).parents[1]
SCHEMAS = PROJECT / "libs" / "contracts" / "schemas"
HTTP_MODULES = (gateway_v1, payments_v1, credits_v1, notifications_v1)

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ADDRESS = "https://scrip.dev/schemas/"

Documents = Mapping[Path, str]
"""What is to stand in which file."""


def event_schemas() -> Documents:
    """Write a schema per event type and major version: the whole CloudEvent, as it travels."""
    schemas = {event.type: _event_schema(event, {"const": event.type}) for event in events.ALL}
    meter = {"type": "string", "minLength": 1, "maxLength": 255, "description": "The meter"}
    schemas["scrip.usage.v1"] = _event_schema(UsageData, meter)
    return {SCHEMAS / "events" / f"{name}.json": _written(name, schema) for name, schema in schemas.items()}


def http_schemas() -> Documents:
    """Write a file per HTTP API and major version, with the schemas of its models, and one for problem documents."""
    named = {module.__name__.rpartition(".")[2]: _models(module) for module in HTTP_MODULES}
    named["problem"] = [errors.Problem]
    return {SCHEMAS / "http" / f"{name}.json": _written(name, _schemas_of(models)) for name, models in named.items()}


GENERATORS: tuple[Callable[[], Documents], ...] = (event_schemas, http_schemas)


def _event_schema(data: type[BaseModel], kind: Mapping[str, Any]) -> dict[str, Any]:
    """Narrow the schema of all events to one: its type, and what its data is."""
    envelope = CloudEvent.model_json_schema()
    content = data.model_json_schema()
    definitions = content.pop("$defs", {}) | {data.__name__: content}
    properties = envelope["properties"] | {"type": kind, "data": {"$ref": f"#/$defs/{data.__name__}"}}
    return {
        "description": content["description"],
        "type": "object",
        "required": [*envelope["required"], "data", "subject"],
        "properties": properties,
        "$defs": definitions,
    }


def _models(module: ModuleType) -> list[type[BaseModel]]:
    classes = [member for _, member in inspect.getmembers(module, inspect.isclass)]
    return [model for model in classes if issubclass(model, BaseModel) and model.__module__ == module.__name__]


def _schemas_of(models: Iterable[type[BaseModel]]) -> dict[str, Any]:
    return models_json_schema([(model, "validation") for model in models])[1]


def _written(name: str, schema: Mapping[str, Any]) -> str:
    document = {"$schema": _DIALECT, "$id": f"{_ADDRESS}{name}.json", "title": name, **schema}
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def generated() -> Documents:
    """Write everything, into memory."""
    return {path: text for generator in GENERATORS for path, text in generator().items()}


def differences(documents: Documents, folders: Iterable[Path]) -> list[str]:
    """Say what is out of date: files that are missing or differ, and files that nobody generates any more."""
    there = {path for folder in folders for path in folder.rglob("*") if path.is_file()}
    stale = [path for path, text in documents.items() if path not in there or path.read_text("utf-8") != text]
    return sorted(
        [f"{path.relative_to(PROJECT)} is out of date" for path in stale]
        + [f"{path.relative_to(PROJECT)} is generated no more" for path in there - documents.keys()]
    )


def write(documents: Documents) -> None:
    """Put the documents where they belong."""
    for path, text in documents.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def main() -> None:
    """Write, or check."""
    parser = argparse.ArgumentParser(prog="python -m deploy.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is out of date")
    documents = generated()
    if not parser.parse_args().check:
        write(documents)
    if found := differences(documents, [SCHEMAS]):
        sys.exit("\n".join([*found, "run: make generate"]))


if __name__ == "__main__":
    main()
