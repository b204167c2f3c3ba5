"""Requests to the gateway that are made until there is an answer, under one idempotency key."""

import asyncio
import logging
from typing import TypeVar

import httpx2
from pydantic import BaseModel

from ..http.base import IDEMPOTENCY_KEY_HEADER
from .answers import address_of, problem_of, retry_after
from .pauses import pauses
from .refusals import CreditsUnavailableError, RefusedError, refused

T = TypeVar("T", bound=BaseModel)
_SECONDS = 10.0
_FOR_NOW = (408, 425, 429)

log = logging.getLogger(__name__)


class Gateway:
    """Connections to a gateway, with an API key."""

    def __init__(self, base_url: str, api_key: str, *, patience_seconds: float) -> None:
        self._base_url = address_of(base_url)
        self._patience = patience_seconds
        self._http = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}, timeout=_SECONDS
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def post(
        self, path: str, body: BaseModel, answer: type[T], *, key: str, params: dict[str, str] | None = None
    ) -> T:
        """Have something done once, however often it is asked. Raises RefusedError, CreditsUnavailableError."""
        why = ""
        try:
            async with asyncio.timeout(self._patience):
                for pause in pauses():
                    try:
                        return await self._post_once(path, body, answer, key=key, params=params)
                    except _NotNow as trouble:
                        why = str(trouble)
                        log.warning("%s%s: %s", self._base_url, path, why)
                        await asyncio.sleep(trouble.retry_after or pause)
        except TimeoutError:
            pass
        raise CreditsUnavailableError(f"no answer from {self._base_url}{path} in {self._patience:g} s: {why}")

    async def _post_once(
        self, path: str, body: BaseModel, answer: type[T], *, key: str, params: dict[str, str] | None
    ) -> T:
        content, headers = body.model_dump_json(exclude_none=True), {IDEMPOTENCY_KEY_HEADER: key}
        try:
            got = await self._http.post(self._base_url + path, content=content, params=params, headers=headers)
        except httpx2.TransportError as error:
            raise _NotNow(f"it does not answer: {error!r}") from error
        if got.is_success:
            return answer.model_validate_json(got.content)
        problem = problem_of(got)
        if got.status_code >= 500 or got.status_code in _FOR_NOW:
            raise _NotNow(f"{got.status_code} {problem.get('detail', '')}", retry_after=retry_after(got))
        if "code" not in problem:
            raise RefusedError(
                str(got.status_code), f"is {self._base_url} the address of Scrip's gateway? ({got.reason_phrase})", {}
            )
        raise refused(problem)


class _NotNow(Exception):  # noqa: N818 - why to ask again
    def __init__(self, why: str, *, retry_after: float | None = None) -> None:
        super().__init__(why)
        self.retry_after = retry_after
