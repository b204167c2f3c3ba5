import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from deploy.embedded.ports import free_ports
from libs.chassis.errors import RemoteError, UnavailableError
from libs.chassis.http import create_app, problem
from libs.chassis.internal_api import CallingService
from libs.chassis.service_client import ServiceClient, deadline
from libs.chassis.telemetry import traceparent
from libs.chassis.tokens import Signer, new_key, verifier
from libs.contracts import errors as codes
from libs.contracts.http.base import REPLAYED_HEADER
from tests.support.serving import served

KEY = new_key("gateway")
TRACE = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
ANSWERS: dict[str, tuple[int, bytes]] = {
    "html": (502, b"<html>Bad gateway</html>"),
    "list": (404, b'["not", "a", "problem"]'),
    "text": (404, b'"nothing"'),
    "unknown": (409, b'{"code": "PAY999", "detail": "from a later version"}'),
    "bare": (404, b"{}"),
}


class Thing(BaseModel):
    """What is sent and answered."""

    said: dict[str, Any] = {}


def make_app(keys: Path) -> FastAPI:
    app = create_app("Payments", checks={})
    app.state.verifier = verifier("payments", keys)

    @app.api_route("/internal/v1/heard", methods=["GET", "POST", "PUT"])
    async def heard(request: Request, service: CallingService, response: Response) -> Thing:
        left = (deadline.get() or 0) - asyncio.get_running_loop().time()
        response.headers[REPLAYED_HEADER] = "true"
        said = {"service": service, "query": dict(request.query_params), "left": left, **dict(request.headers)}
        return Thing(said=said | {"body": (await request.body()).decode()})

    @app.get("/internal/v1/problems/{code}")
    async def problems(code: str) -> Response:
        facts: dict[str, Any] = {"required": "5", "self": "me", "title": "mine"}
        return problem(codes.CODES[code], "in other words", **{k: v for k, v in facts.items() if k != "title"})

    @app.get("/internal/v1/answers/{name}")
    async def answers(name: str) -> Response:
        status, content = ANSWERS[name]
        return Response(content, status_code=status)

    @app.get("/internal/v1/drips")
    async def drips() -> StreamingResponse:
        async def drops() -> AsyncIterator[bytes]:
            while True:
                yield b" "
                await asyncio.sleep(0.01)

        return StreamingResponse(drops())

    return app


@pytest.fixture
async def payments(tmp_path: Path) -> AsyncIterator[ServiceClient]:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [KEY.as_dict(private=False)]}))
    async with served(make_app(keys)) as address:
        client = ServiceClient("payments", base_url=address, signer=Signer("gateway", KEY))
        yield client
        await client.stop()


@contextmanager
def answer_wanted_in(seconds: float) -> Iterator[None]:
    token = deadline.set(asyncio.get_running_loop().time() + seconds)
    yield
    deadline.reset(token)


async def test_a_call_says_who_calls_in_whose_name_and_under_which_key(payments: ServiceClient) -> None:
    body = Thing(said={"a": 1})
    done = await payments.post_once("/heard", body, Thing, caller="user:1", idempotency_key="key", params={"x": 1})
    said = done.answer.said
    assert done.replayed
    assert (said["service"], said["scrip-caller"], said["idempotency-key"]) == ("gateway", "user:1", "key")
    assert (json.loads(said["body"]), said["query"]) == ({"said": {"a": 1}}, {"x": "1"})
    once = await payments.post("/heard", body, Thing, caller="user:1")
    assert "idempotency-key" not in once.said
    assert json.loads((await payments.put("/heard", body, Thing)).said["body"]) == {"said": {"a": 1}}


async def test_parameters_that_are_none_are_left_out(payments: ServiceClient) -> None:
    assert (await payments.get("/heard", Thing, params={"a": None, "b": 0})).said["query"] == {"b": "0"}


async def test_the_request_id_and_the_trace_go_along(payments: ServiceClient) -> None:
    with structlog.contextvars.bound_contextvars(request_id="req-1"):
        traceparent.set(TRACE)
        said = (await payments.get("/heard", Thing)).said
    assert (said["x-request-id"], said["traceparent"]) == ("req-1", TRACE)


async def test_the_callers_deadline_is_passed_on(payments: ServiceClient) -> None:
    with answer_wanted_in(5):
        said = (await payments.get("/heard", Thing)).said
    assert 0 < int(said["scrip-deadline-ms"]) <= 5000
    assert 0 < said["left"] <= 5


async def test_without_a_deadline_there_is_a_longest_wait(payments: ServiceClient) -> None:
    assert int((await payments.get("/heard", Thing)).said["scrip-deadline-ms"]) == 25_000
    with answer_wanted_in(3600):
        assert int((await payments.get("/heard", Thing)).said["scrip-deadline-ms"]) == 25_000


async def test_when_no_time_is_left_nobody_is_asked(payments: ServiceClient) -> None:
    with answer_wanted_in(0), pytest.raises(UnavailableError, match="no time left"):
        await payments.get("/heard", Thing)


async def test_an_answer_that_comes_too_slowly_is_none(payments: ServiceClient) -> None:
    with answer_wanted_in(0.2), pytest.raises(UnavailableError, match="payments service does not answer"):
        await payments.get("/drips", Thing)
    assert (await payments.get("/heard", Thing)).said["service"] == "gateway"


async def test_a_service_that_is_away_is_unavailable() -> None:
    (port,) = free_ports(1)
    client = ServiceClient("payments", base_url=f"http://127.0.0.1:{port}", signer=Signer("gateway", KEY))
    with pytest.raises(UnavailableError, match="payments service does not answer"):
        await client.get("/heard", Thing)
    await client.stop()


@pytest.mark.parametrize("code", [codes.INSUFFICIENT_CREDITS, codes.NOT_FOUND, codes.PURCHASE_STATE])
async def test_a_problem_is_handed_on_as_it_came(payments: ServiceClient, code: codes.ErrorCode) -> None:
    with pytest.raises(RemoteError) as raised:
        await payments.get(f"/problems/{code.code}", Thing)
    assert (raised.value.code, raised.value.detail, raised.value.facts) == (code, "in other words", {"required": "5"})


@pytest.mark.parametrize("code", [codes.INTERNAL_ERROR, codes.UNAVAILABLE, codes.NOT_AUTHENTICATED])
async def test_what_is_our_own_trouble_is_unavailable_to_the_caller(
    payments: ServiceClient, code: codes.ErrorCode
) -> None:
    with pytest.raises(UnavailableError) as raised:
        await payments.get(f"/problems/{code.code}", Thing)
    assert "in other words" not in raised.value.detail


@pytest.mark.parametrize("name", ANSWERS)
async def test_an_answer_that_is_no_problem_of_ours_is_unavailable(payments: ServiceClient, name: str) -> None:
    with pytest.raises(UnavailableError):
        await payments.get(f"/answers/{name}", Thing)
