"""`api.md`: the gateway's routes for people, from its OpenAPI document and from what its door lets in."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from deploy.generate import fields, openapi
from deploy.generate.documents import REFERENCE, Documents
from deploy.generate.fields import Schema
from deploy.generate.markdown import code, page, table
from services.gateway.api.door import Door

_INTRODUCTION = """
What frontends and services can ask of the gateway. The same for programs:
[openapi-gateway.json](openapi-gateway.json), which a running gateway serves at `/openapi.json`; the services' own APIs,
for other services and the `scrip` command, are in `openapi-payments.json`, `openapi-credits.json` and
`openapi-notifications.json`.

- JSON in, JSON out. Credits are decimal strings (`"12.5"`), money is integer minor units and a currency, times are
  RFC 3339, ids have a prefix that tells their kind.
- A user's token, or an API key, goes into `Authorization: Bearer`; a key also into `X-Api-Key`.
- A list answers `next_cursor`; give it back as `cursor` for the next page. It is null on the last.
- Where `Idempotency-Key` is named, a retry under the same key acts once and answers the same, with
  `Idempotency-Replayed: true`.
- A problem is a document by RFC 9457 with a stable `code`: [errors](errors.md).
- Every answer carries `X-Request-Id`; most carry `RateLimit` and `RateLimit-Policy`.
"""


def documents() -> Documents:
    """Write the page."""
    app = openapi.app("gateway")
    document, callers = app.openapi(), dict(_callers(app))
    sections = [_section(document, tag, callers) for tag in _tags(document)]
    text = page("The gateway's API", _INTRODUCTION, *sections, "## Models", *_models(document))
    return {REFERENCE / "api.md": text}


def _callers(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Tell of each operation who may call it."""
    for route in iter_route_contexts(app.routes):
        if isinstance(route.original_route, APIRoute) and route.operation_id:
            yield route.operation_id, _caller(route.dependant)


def _caller(route: Dependant) -> str:
    """Say whom the door lets in; a route that does not pass it is open, and guards itself."""
    passed = [who for call in _dependencies(route) if (who := _let_in(call))]
    return passed[0] if passed else "anybody"


def _dependencies(route: Dependant) -> Iterator[Callable[..., Any]]:
    for dependency in route.dependencies:
        if dependency.call is not None:
            yield dependency.call
        yield from _dependencies(dependency)


def _let_in(dependency: Callable[..., Any]) -> str | None:
    """Say whom a dependency lets in, if it is the door's; the scopes are where the door has put them.

    Raises KeyError for a way through the door that is not named here.
    """
    made_by, _, inner = getattr(dependency, "__qualname__", "").partition(".<locals>.")
    if not made_by.startswith(f"{Door.__qualname__}."):
        return None
    kept = inspect.getclosurevars(dependency).nonlocals if inner else {}
    scopes = " or ".join(code(scope) for scope in kept.get("scopes", (kept.get("scope", ""),)))
    return _DOOR[made_by].format(scope=scopes)


_DOOR = {
    Door.anybody.__qualname__: "anybody",
    Door.someone_signing_in.__qualname__: "anybody",
    Door.user.__qualname__: "a signed-in user",
    Door.user_with_code.__qualname__: "a signed-in user",
    Door.key_with.__qualname__: "an API key with {scope}",
    Door.user_or_key_with.__qualname__: "a signed-in user, or an API key with {scope}",
}


def _tags(document: Schema) -> list[str]:
    return sorted({operation["tags"][0] for _, _, operation in _operations(document)}, key=str.lower)


def _operations(document: Schema) -> Iterator[tuple[str, str, Schema]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def _section(document: Schema, tag: str, callers: Mapping[str, str]) -> str:
    rows = [
        (
            f"**{operation['summary']}** {code(f'{method} {path}')}",
            callers[operation["operationId"]],
            operation["description"],
            _takes(operation),
            _answers(operation),
            _problems(operation),
        )
        for method, path, operation in sorted(_operations(document), key=lambda found: found[1])
        if operation["tags"][0] == tag
    ]
    head = ("route", "who may call", "what it does", "takes", "answers", "problems")
    return f"## {tag[0].upper()}{tag[1:]}\n\n{table(head, rows)}"


def _takes(operation: Schema) -> str:
    parameters = [found for found in operation.get("parameters", ()) if found["in"] != "path"]
    named = [code(found["name"].title() if found["in"] == "header" else found["name"]) for found in parameters]
    bodies = [_content(operation["requestBody"])] if "requestBody" in operation else []
    return ", ".join([*bodies, *named])


def _answers(operation: Schema) -> str:
    good = {status: answer for status, answer in operation["responses"].items() if status < "4"}
    return "; ".join(f"{status} {_content(answer)}".strip() for status, answer in good.items())


def _problems(operation: Schema) -> str:
    return ", ".join(status for status in operation["responses"] if "4" <= status < "6")


def _content(carrier: Schema) -> str:
    """Name what a body is: its model, or else its media type."""
    contents = carrier.get("content", {}).items()
    found = [name for media, content in contents for name in _names(content.get("schema", {})) or [code(media)]]
    return " or ".join(dict.fromkeys(found))


def _names(schema: Schema) -> list[str]:
    if "$ref" in schema:
        return [_link(schema["$ref"].rpartition("/")[2])]
    if schema.get("type") == "array":
        return [f"list of {name}" for name in _names(schema["items"])]
    if variants := schema.get("oneOf") or schema.get("anyOf"):
        return [name for each in variants for name in _names(each)]
    return [schema["title"]] if "title" in schema else []


def _models(document: Schema) -> Iterator[str]:
    for name, model in document["components"]["schemas"].items():
        yield "\n\n".join(filter(None, [f"### {name}", model.get("description"), fields.table_of(model, _link)]))


def _link(model: str) -> str:
    return f"[{model}](#{model.lower()})"
