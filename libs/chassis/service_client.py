"""Calls to another of our services: its token, our deadline, its problem documents as our errors."""

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import httpx2
import structlog
from pydantic import BaseModel

from libs.chassis.errors import RemoteError, UnavailableError
from libs.chassis.pool import outside_transactions
from libs.chassis.telemetry import traceparent
from libs.chassis.tokens import Signer
from libs.contracts.errors import CODES, INTERNAL_ERROR, NOT_AUTHENTICATED
from libs.contracts.http.base import CALLER_HEADER, IDEMPOTENCY_KEY_HEADER, REPLAYED_HEADER

T = TypeVar("T", bound=BaseModel)

DEADLINE_HEADER = "Scrip-Deadline-Ms"
_LONGEST_SECONDS = 25.0
_NO_FACTS = {"type", "title", "status", "detail", "code", "request_id", "instance", "headers", "self"}

deadline: ContextVar[float | None] = ContextVar("deadline", default=None)
"""The loop's time by which the caller of what we do now wants his answer."""


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """What was answered under an idempotency key, and whether it had been answered before."""

    answer: T
    replayed: bool


class ServiceClient:
    """Speaks to one service under `/internal/v1`."""

    def __init__(self, service: str, *, base_url: str, signer: Signer) -> None:
        self._service = service
        self._signer = signer
        self._http = httpx2.AsyncClient(
            base_url=f"{base_url.rstrip('/')}/internal/v1",
            timeout=_LONGEST_SECONDS,
            limits=httpx2.Limits(max_connections=100, max_keepalive_connections=50, keepalive_expiry=60),
        )

    async def start(self) -> None:
        """Nothing to begin: connections are made on first need."""

    async def stop(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def get(
        self, path: str, answer: type[T], *, params: dict[str, Any] | None = None, caller: str | None = None
    ) -> T:
        """Ask. Raises the service's problem as RemoteError, UnavailableError if it does not answer."""
        headers = {CALLER_HEADER: caller} if caller else None
        return answer.model_validate_json((await self._send("GET", path, params=params, headers=headers)).content)

    async def post(
        self, path: str, body: BaseModel, answer: type[T], *, caller: str, params: dict[str, Any] | None = None
    ) -> T:
        """Have something done, on behalf of `caller`. Raises as `get` does."""
        headers = {CALLER_HEADER: caller}
        done = await self._send("POST", path, body=body, params=params, headers=headers)
        return answer.model_validate_json(done.content)

    async def post_once(
        self,
        path: str,
        body: BaseModel,
        answer: type[T],
        *,
        caller: str,
        idempotency_key: str,
        params: dict[str, Any] | None = None,
    ) -> Done[T]:
        """Have something done, on behalf of `caller`, once for an idempotency key of his. Raises as `get` does."""
        headers = {CALLER_HEADER: caller, IDEMPOTENCY_KEY_HEADER: idempotency_key}
        done = await self._send("POST", path, body=body, params=params, headers=headers)
        return Done(answer.model_validate_json(done.content), replayed=REPLAYED_HEADER in done.headers)

    async def put(
        self,
        path: str,
        body: BaseModel,
        answer: type[T],
        *,
        caller: str | None = None,
        params: dict[str, Any] | None = None,
    ) -> T:
        """Have something be so; repeating it changes nothing. Raises as `get` does."""
        headers = {CALLER_HEADER: caller} if caller else None
        done = await self._send("PUT", path, body=body, params=params, headers=headers)
        return answer.model_validate_json(done.content)

    async def delete(self, path: str, *, params: dict[str, Any] | None = None) -> None:
        """Have something be no more; repeating it changes nothing. Raises as `get` does."""
        await self._send("DELETE", path, params=params)

    async def _send(
        self,
        method: str,
        path: str,
        *,
        body: BaseModel | None = None,
        params: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx2.Response:
        outside_transactions()
        left = self._seconds_left()
        try:
            async with asyncio.timeout(left):  # httpx2's own timeout begins anew with every byte that comes
                answer = await self._http.request(
                    method,
                    path,
                    params={k: v for k, v in (params or {}).items() if v is not None},
                    content=body.model_dump_json(exclude_none=True) if body else None,
                    headers={**self._headers(left), **(headers or {})},
                )
        except (httpx2.TransportError, TimeoutError) as error:
            raise UnavailableError(f"the {self._service} service does not answer") from error
        if answer.is_success:
            return answer
        raise self._problem(answer)

    def _headers(self, left: float) -> dict[str, str]:
        bound = structlog.contextvars.get_contextvars()
        headers = {
            "Authorization": f"Bearer {self._signer.token(self._service)}",
            "Content-Type": "application/json",
            DEADLINE_HEADER: str(int(left * 1000)),
            "X-Request-Id": bound.get("request_id"),
            "traceparent": traceparent.get(),
        }
        return {name: value for name, value in headers.items() if value}

    def _problem(self, answer: httpx2.Response) -> RemoteError | UnavailableError:
        try:
            document = answer.json()
            code, detail = CODES[document["code"]], str(document["detail"])
            facts = {name: value for name, value in document.items() if name not in _NO_FACTS}
        except (ValueError, KeyError, TypeError):
            code, detail, facts = INTERNAL_ERROR, f"the {self._service} service failed", {}
        if code.status >= 500 or code == NOT_AUTHENTICATED:  # our token, not the caller's
            return UnavailableError(f"the {self._service} service cannot answer now")
        return RemoteError(code, detail, **facts)

    @staticmethod
    def _seconds_left() -> float:
        ends = deadline.get()
        if ends is None:
            return _LONGEST_SECONDS
        left = ends - asyncio.get_running_loop().time()
        if left <= 0:
            raise UnavailableError("there was no time left to ask")
        return min(left, _LONGEST_SECONDS)
