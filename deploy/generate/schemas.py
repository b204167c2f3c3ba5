"""JSON Schemas of events, HTTP models and the catalogue file; they travel with the package `scrip_contracts`."""

import inspect
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from deploy.generate.documents import SCHEMAS, Documents, to_json
from libs.contracts import errors, events
from libs.contracts.catalogue import Catalogue
from libs.contracts.envelope import CloudEvent
from libs.contracts.events.usage_v1 import UsageData
from libs.contracts.http import (
    catalogue_v1,
    credits_v1,
    gateway_v1,
    grants_v1,
    insight_v1,
    leases_v1,
    limits_v1,
    notifications_v1,
    payment_methods_v1,
    payments_v1,
    prices_v1,
    promo_codes_v1,
    rejections_v1,
    spending_v1,
)

HTTP_MODULES = (
    gateway_v1,
    payments_v1,
    payment_methods_v1,
    promo_codes_v1,
    credits_v1,
    spending_v1,
    leases_v1,
    prices_v1,
    rejections_v1,
    insight_v1,
    limits_v1,
    grants_v1,
    notifications_v1,
    catalogue_v1,
)

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ADDRESS = "https://scrip.dev/schemas/"


def documents() -> Documents:
    """Write them all."""
    catalogue = _written("catalogue", Catalogue.model_json_schema())
    return {**_event_schemas(), **_http_schemas(), SCHEMAS / "catalogue.json": catalogue}


def _event_schemas() -> Documents:
    """Write a schema per event type and major version: the whole CloudEvent, as it travels."""
    schemas = {event.type: _event_schema(event, {"const": event.type}) for event in events.ALL}
    meter = {"type": "string", "minLength": 1, "maxLength": 255, "description": "The meter"}
    schemas["scrip.usage.v1"] = _event_schema(UsageData, meter)
    return {SCHEMAS / "events" / f"{name}.json": _written(name, schema) for name, schema in schemas.items()}


def _http_schemas() -> Documents:
    """Write a file per HTTP API and major version, with the schemas of its models, and one for problem documents."""
    named = {module.__name__.rpartition(".")[2]: _models(module) for module in HTTP_MODULES}
    named["problem"] = [errors.Problem]
    return {SCHEMAS / "http" / f"{name}.json": _written(name, _schemas_of(models)) for name, models in named.items()}


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
    return to_json({"$schema": _DIALECT, "$id": f"{_ADDRESS}{name}.json", "title": name, **schema})
