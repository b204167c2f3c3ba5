"""Usage over HTTP: batches to the gateway's `POST /v1/events`."""

from collections.abc import Mapping, Sequence

import httpx2

from .answers import address_of, problem_of, retry_after
from .errors import NotAcceptedError, Refusal, SetUpError
from .reports import Report

_PATH = "/v1/events"
_BATCH = "application/cloudevents-batch+json"
_SECONDS = 20.0  # longer than the gateway waits for its broker
_ABOUT_THE_EVENTS = (400, 413, 422)
_FOR_NOW = (408, 409, 425, 429)


class HttpTransport:
    """A connection to the gateway, with an API key that has the scope `usage:write`."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self._base_url = address_of(base_url)
        self._http = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {api_key}", "Content-Type": _BATCH}, timeout=_SECONDS
        )

    async def send(self, reports: Sequence[Report]) -> Sequence[Refusal]:
        """Hand a batch over. The gateway takes all or nothing, so what it refuses is left out and the rest sent again.

        Where it does not say which events it refuses, halves are tried until the culprits are alone.
        """
        answer = await self._post(reports)
        if answer.is_success:
            return []
        if answer.status_code not in _ABOUT_THE_EVENTS:
            raise self._explained(answer)
        if named := _named_culprits(answer):
            refused = [Refusal(report.event, named[i]) for i, report in enumerate(reports) if i in named]
            rest = [report for i, report in enumerate(reports) if i not in named]
            return [*refused, *(await self.send(rest) if rest else [])]
        if len(reports) == 1:
            return [Refusal(reports[0].event, _detail(answer))]
        middle = len(reports) // 2
        return [*await self.send(reports[:middle]), *await self.send(reports[middle:])]

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _post(self, reports: Sequence[Report]) -> httpx2.Response:
        body = b"[" + b",".join(report.payload for report in reports) + b"]"
        try:
            return await self._http.post(self._base_url + _PATH, content=body)
        except httpx2.TransportError as error:
            raise NotAcceptedError(f"{self._base_url} does not answer: {error!r}") from error

    def _explained(self, answer: httpx2.Response) -> NotAcceptedError:
        status, detail = answer.status_code, _detail(answer)
        if status >= 500 or status in _FOR_NOW:
            return NotAcceptedError(
                f"{self._base_url} cannot take usage now ({status}: {detail})", retry_after=retry_after(answer)
            )
        if status in (401, 403):
            return SetUpError(
                f"{self._base_url} does not accept the API key ({status}: {detail}); "
                "make one with the scope usage:write and give that to UsageClient.http"
            )
        return SetUpError(
            f"POST {self._base_url}{_PATH} answers {status} ({detail}); is this the address of Scrip's gateway?"
        )


def _named_culprits(answer: httpx2.Response) -> Mapping[int, str]:
    """Read which events of the batch the problem names, by their index, and why."""
    errors = problem_of(answer).get("errors")
    if not isinstance(errors, list):
        return {}
    named = [error for error in errors if isinstance(error, dict) and isinstance(error.get("index"), int)]
    return {error["index"]: str(error.get("what", "")) for error in named}


def _detail(answer: httpx2.Response) -> str:
    problem = problem_of(answer)
    return f"{problem.get('code', '')} {problem['detail']}".strip() if "detail" in problem else answer.reason_phrase
