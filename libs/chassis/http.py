"""The HTTP app of every service: problem documents, request ids, bounded bodies, health, readiness, metrics."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs.chassis.errors import DomainError, UnavailableError
from libs.chassis.lean_routes import LeanRoutes
from libs.chassis.pool import TRANSIENT
from libs.chassis.telemetry import REQUESTS, log, new_traceparent, traceparent
from libs.contracts import errors as codes
from libs.contracts.errors import PROBLEM_TYPE, ErrorCode, Problem
from libs.contracts.ids import new_id, show

Check = Callable[[], Awaitable[bool]]
ErrorHandler = Callable[[Request, Exception], Awaitable[Response]]

_STATUS_CODES = {
    401: codes.NOT_AUTHENTICATED,
    403: codes.NOT_ALLOWED,
    404: codes.NOT_FOUND,
    405: codes.METHOD_NOT_ALLOWED,
    413: codes.PAYLOAD_TOO_LARGE,
    503: codes.UNAVAILABLE,
}

_TOO_LARGE = "a body has at most {} bytes here"
_PROBLEM_MEDIA = "application/problem+json"
_PROBLEM = {"$ref": "#/components/schemas/Problem"}

_EXPECTED = {401: {"WWW-Authenticate": "Bearer"}, 429: {"Retry-After": "1"}, 503: {"Retry-After": "1"}}
"""Headers that an answer with such a status has, unless the error brings its own."""


def create_app(
    title: str, *, version: str = "1", largest_body: int = 1024 * 1024, checks: Mapping[str, Check]
) -> FastAPI:
    """Make an app; `checks` are what readiness depends on, by the name an operator sees."""
    app = _App(
        title=title,
        version=version,
        docs_url=None,
        redoc_url=None,
        responses={"default": {"model": Problem, "description": "A problem document"}},
        largest_body=largest_body,
    )
    app.add_exception_handler(DomainError, _on_domain_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    for error in TRANSIENT:
        app.add_exception_handler(error, _on_transient)
    _add_health(app, checks)
    return app


class _App(FastAPI):
    """FastAPI, with a short cut to lean routes: past its layers, and through our envelope all the same."""

    def __init__(self, *, largest_body: int, **more: Any) -> None:
        super().__init__(**more)
        self.add_middleware(_Envelope, largest_body=largest_body)
        self._short_cut = _Envelope(self._serve, largest_body=largest_body)
        self._lean: LeanRoutes | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            if self._lean is None:
                self._lean = LeanRoutes(iter_route_contexts(self.routes))
            if found := self._lean.find(scope["path"]):
                route, scope["serve"], scope["path_params"] = found
                scope["app"], scope["route_path"] = self, route
                await self._short_cut(scope, receive, send)
                return
        await super().__call__(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response: Response = await scope["serve"](request)
        except Exception as error:
            handlers = (self.exception_handlers.get(kind) for kind in type(error).__mro__)
            handle = next((handler for handler in handlers if handler is not None), None)
            if handle is None:
                raise
            response = await cast("ErrorHandler", handle)(request, error)
        await response(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """Describe the API; problems have their own media type, where FastAPI puts the route's (0.165)."""
        document = super().openapi()
        for path in document["paths"].values():
            for operation in path.values():
                for answer in operation["responses"].values():
                    if any(media.get("schema") == _PROBLEM for media in answer.get("content", {}).values()):
                        answer["content"] = {_PROBLEM_MEDIA: {"schema": _PROBLEM}}
        return document


def _add_health(app: FastAPI, checks: Mapping[str, Check]) -> None:
    @app.get("/livez", include_in_schema=False)
    async def livez() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> JSONResponse:
        results = await asyncio.gather(*(_passes(name, check) for name, check in checks.items()))
        states = dict(zip(checks, results, strict=True))
        status = 200 if all(results) else 503
        return JSONResponse({"status": "ok" if status == 200 else "not ready", "checks": states}, status_code=status)

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _passes(name: str, check: Check) -> bool:
    try:
        return await check()
    except Exception:
        log.exception("readiness.check_failed", check=name)
        return False


def problem(code: ErrorCode, detail: str, *, headers: Mapping[str, str] | None = None, **facts: Any) -> JSONResponse:
    """Write a problem document (RFC 9457)."""
    body = {
        "type": PROBLEM_TYPE + code.code,
        "title": code.title,
        "status": code.status,
        "detail": detail,
        "code": code.code,
        "request_id": structlog.contextvars.get_contextvars().get("request_id"),
        **facts,
    }
    return JSONResponse(body, status_code=code.status, media_type=_PROBLEM_MEDIA, headers=headers)


async def _on_domain_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DomainError)  # noqa: S101 - the handler is registered for it
    headers = _EXPECTED.get(error.code.status, {}) | error.headers
    return problem(error.code, error.detail, headers=headers, **error.facts)


async def _on_invalid_request(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - the handler is registered for it
    found = [
        {"where": "/".join(str(part) for part in e["loc"]), "what": e["msg"].removeprefix("Value error, ")}
        for e in error.errors()[:20]
    ]
    what = f"{found[0]['where']}: {found[0]['what']}" if found else "the request cannot be read"
    return problem(codes.INVALID_REQUEST, what, errors=found)


async def _on_http_exception(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - the handler is registered for it
    code = _STATUS_CODES.get(error.status_code, codes.INVALID_REQUEST)
    return problem(code, str(error.detail), headers=error.headers)


async def _on_disconnect(_: Request, __: Exception) -> JSONResponse:
    return problem(codes.INVALID_REQUEST, "the body ended too soon")  # nobody is there to read it


async def _on_transient(request: Request, error: Exception) -> JSONResponse:
    log.warning("http.transient", path=request.url.path, error=repr(error))
    return await _on_domain_error(request, UnavailableError())


def _on_bug(scope: Scope, error: Exception) -> JSONResponse:
    log.error("http.bug", path=scope["path"], exc_info=error)
    return problem(codes.INTERNAL_ERROR, "Something went wrong on our side; tell us the request_id.")


class _Envelope:
    """Around every request: an id, the trace's context, a bound on the body, a measurement."""

    def __init__(self, app: ASGIApp, *, largest_body: int) -> None:
        self._app = app
        self._largest = largest_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        request_id = _plain(headers.get(b"x-request-id", b""), longest=100) or show("message", new_id())
        structlog.contextvars.bind_contextvars(request_id=request_id)
        traceparent.set(_plain(headers.get(b"traceparent", b""), longest=64) or new_traceparent())
        began, status, answered = time.perf_counter(), 500, False

        async def send_on(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status, answered = message["status"], True
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode("latin-1"))]
            await send(message)

        try:
            if _length(headers) > self._largest:
                answer = problem(codes.PAYLOAD_TOO_LARGE, _TOO_LARGE.format(self._largest))
                await answer(scope, receive, send_on)
            else:
                await self._app(scope, _bounded(receive, self._largest), send_on)
        except Exception as error:  # here, and not in a handler of the app's, which would answer outside of us
            if answered:
                raise
            await _on_bug(scope, error)(scope, receive, send_on)
        finally:
            route = scope.get("route_path") or getattr(scope.get("route"), "path", "none")
            REQUESTS.labels(scope["method"], route, status).observe(time.perf_counter() - began)
            structlog.contextvars.unbind_contextvars("request_id")


def _length(headers: Mapping[bytes, bytes]) -> int:
    """Read the announced length of the body; 0 if none is, or it is no number: reading will tell."""
    length = headers.get(b"content-length", b"")
    return int(length[:18]) if length.isdigit() else 0


def _plain(header: bytes, *, longest: int) -> str:
    """Take what a caller names for our logs and onward calls, if it is printable ASCII; else nothing."""
    return header.decode() if len(header) <= longest and re.fullmatch(rb"[\x21-\x7e]+", header) else ""


def _bounded(receive: Receive, largest: int) -> Receive:
    seen = 0

    async def bounded() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > largest:  # FastAPI hands on an HTTPException met while it reads, and takes any other for a bad body
            raise HTTPException(413, _TOO_LARGE.format(largest))
        return message

    return bounded
