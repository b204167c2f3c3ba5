"""Routes that are called most: described by FastAPI, served without its machinery, which costs more than they do."""

import inspect
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, get_type_hints

import orjson
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, RouteContext
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.routing import compile_path

from libs.chassis.errors import InvalidRequestError, RemoteError
from libs.chassis.idempotency import Answer
from libs.chassis.internal_api import checked_key, service_of
from libs.contracts.errors import CODES
from libs.contracts.http.base import CALLER_HEADER, IDEMPOTENCY_KEY_HEADER, REPLAYED_HEADER

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
_REPLAYED = {REPLAYED_HEADER: "true"}


class DirectRoute(APIRoute):
    """A POST whose endpoint takes the request as it is, and answers it. Dependencies describe and do not run."""

    def get_route_handler(self) -> Handler:
        """Make what serves the route."""
        serve: Handler = self.endpoint
        return serve


class LeanRoute(DirectRoute):
    """A state change that another service asks for, once for a key of its caller.

    Of its endpoint `order` is the body, a model; `caller` and `key` are what the headers say; whatever else it takes
    is named in the path or the query. It answers an Answer. Dependencies describe and do not run: the service's token
    is checked here.
    """

    def get_route_handler(self) -> Handler:
        """Make what serves the route."""
        endpoint = self.endpoint
        taken = inspect.signature(endpoint).parameters
        hints = get_type_hints(endpoint, include_extras=True)
        order: type[BaseModel] | None = hints.get("order")
        named = {name: TypeAdapter(hints[name]) for name in taken if name not in ("order", "caller", "key")}

        async def serve(request: Request) -> Response:
            service_of(request)
            key, caller = checked_key(request.headers.get(IDEMPOTENCY_KEY_HEADER)), _caller(request)
            others = {name: _named(request, name, kind) for name, kind in named.items()}
            if order is not None:
                others["order"] = _read(order, await request.body())
            return respond(await endpoint(caller=caller, key=key, **others))

        return serve


class LeanRoutes:
    """The lean routes among an app's, found without asking each route in turn."""

    def __init__(self, routes: Iterable[RouteContext]) -> None:
        self._whole: dict[str, Handler] = {}
        self._named = []
        for route in routes:
            if isinstance(route.original_route, DirectRoute):
                path, serve = route.path or "", route.original_route.get_route_handler()
                if "{" in path:
                    self._named.append((compile_path(path)[0], path, serve))
                else:
                    self._whole[path] = serve

    def find(self, path: str) -> tuple[str, Handler, dict[str, str]] | None:
        """Find the route of a path, what serves it, and what its path names."""
        if serve := self._whole.get(path):
            return path, serve, {}
        for pattern, template, serve in self._named:
            if match := pattern.match(path):
                return template, serve, match.groupdict()
        return None


def respond(answer: Answer) -> Response:
    """Answer as was decided. Raises the problem if that was the answer."""
    if answer.status >= 400:
        problem = orjson.loads(answer.body)
        raise RemoteError(CODES[problem["code"]], problem["detail"], **problem["facts"])
    headers = _REPLAYED if answer.replayed else None
    return Response(answer.body, answer.status, headers, media_type="application/json")


def _caller(request: Request) -> str:
    caller = request.headers.get(CALLER_HEADER)
    if not caller or "\x00" in caller or len(caller) > 255:
        raise InvalidRequestError(f"header/{CALLER_HEADER}: it says on whose behalf, in at most 255 characters")
    return caller


def _named(request: Request, name: str, kind: TypeAdapter[Any]) -> Any:
    where, found = "path", request.path_params.get(name)
    if found is None:
        where, found = "query", request.query_params.get(name)
    try:
        return kind.validate_python(found)
    except ValidationError as error:
        raise _unreadable(error, where, name) from error


def _read(model: type[BaseModel], body: bytes) -> BaseModel:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise _unreadable(error, "body") from error


def _unreadable(error: ValidationError, *where: str) -> RequestValidationError:
    return RequestValidationError([{**each, "loc": (*where, *each["loc"])} for each in error.errors()])
