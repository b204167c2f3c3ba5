import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import asyncpg
import httpx2
import pytest
import structlog
from fastapi import FastAPI, Request
from pydantic import BaseModel, SecretStr, field_validator
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse
from structlog.testing import capture_logs

from libs.chassis.errors import (
    DomainError,
    NotAuthenticatedError,
    NotFoundError,
    TooManyRequestsError,
    UnavailableError,
)
from libs.chassis.http import create_app
from libs.chassis.internal_api import Caller, CallingService, IdempotencyKey
from libs.chassis.telemetry import traceparent
from libs.chassis.tokens import Signer, new_key, verifier
from libs.contracts import errors as codes
from libs.contracts.errors import ErrorCode
from tests.integration.chassis.waiting import until
from tests.support.serving import asking, served, speak

LARGEST = 1000
SECRET = "hunter2"


class InsufficientCreditsError(DomainError):
    """The account's available credits do not cover this."""

    code: ClassVar[ErrorCode] = codes.INSUFFICIENT_CREDITS


class Order(BaseModel):
    amount: int
    password: SecretStr = SecretStr("")

    @field_validator("password")
    @classmethod
    def _is_not_short(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value()) < 8:
            raise ValueError("too short")
        return value


ERRORS: dict[str, Exception] = {
    "domain": InsufficientCreditsError(required="5", available="1"),
    "missing": NotFoundError("there is no such pack"),
    "busy": TooManyRequestsError(headers={"Retry-After": "7"}),
    "unavailable": UnavailableError(),
    "unauthenticated": NotAuthenticatedError(),
    "starlette": HTTPException(403, "not yours"),
    "teapot": HTTPException(418, "short and stout"),
    "lost": OSError(f"cannot reach postgresql://scrip:{SECRET}@db/scrip"),
    "deadlock": asyncpg.DeadlockDetectedError(SECRET),
    "slow": TimeoutError(SECRET),
    "bug": ZeroDivisionError(SECRET),
    "constraint": asyncpg.UniqueViolationError(f"Key (email)=({SECRET}) already exists."),
    "misuse": asyncpg.InterfaceError(SECRET),
}


def make_app(**checks: Any) -> FastAPI:
    app = create_app("Test", largest_body=LARGEST, checks=checks)

    @app.get("/fails/{how}")
    async def fails(how: str) -> None:
        raise ERRORS[how]

    @app.post("/orders")
    async def orders(order: Order) -> dict[str, int]:
        return {"amount": order.amount}

    @app.post("/raw")
    async def raw(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    @app.get("/context")
    async def context() -> dict[str, Any]:
        return {**structlog.contextvars.get_contextvars(), "traceparent": traceparent.get()}

    @app.get("/breaks-off")
    async def breaks_off() -> StreamingResponse:
        async def lines() -> AsyncIterator[bytes]:
            yield b"one\n"
            raise ZeroDivisionError

        return StreamingResponse(lines())

    return app


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with asking(make_app()) as client:
        yield client


def assert_problem(answer: httpx2.Response, code: ErrorCode) -> dict[str, Any]:
    document: dict[str, Any] = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, document["status"]) == (code.status, code.status)
    assert (document["code"], document["title"]) == (code.code, code.title)
    assert document["type"].endswith(code.code)
    assert document["request_id"] == answer.headers["x-request-id"]
    assert SECRET not in answer.text
    return document


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("domain", codes.INSUFFICIENT_CREDITS),
        ("missing", codes.NOT_FOUND),
        ("busy", codes.TOO_MANY_REQUESTS),
        ("unavailable", codes.UNAVAILABLE),
        ("unauthenticated", codes.NOT_AUTHENTICATED),
        ("starlette", codes.NOT_ALLOWED),
        ("lost", codes.UNAVAILABLE),
        ("deadlock", codes.UNAVAILABLE),
        ("slow", codes.UNAVAILABLE),
        ("bug", codes.INTERNAL_ERROR),
        ("constraint", codes.INTERNAL_ERROR),
        ("misuse", codes.INTERNAL_ERROR),
    ],
)
async def test_every_error_is_a_problem_document_without_internals(
    http: httpx2.AsyncClient, how: str, code: ErrorCode
) -> None:
    assert_problem(await http.get(f"/fails/{how}"), code)


async def test_a_domain_error_says_what_its_docstring_says_and_its_facts(http: httpx2.AsyncClient) -> None:
    problem = assert_problem(await http.get("/fails/domain"), codes.INSUFFICIENT_CREDITS)
    assert problem["detail"] == "The account's available credits do not cover this."
    assert (problem["required"], problem["available"]) == ("5", "1")
    assert (await http.get("/fails/missing")).json()["detail"] == "there is no such pack"


async def test_errors_that_pass_say_when_to_come_again(http: httpx2.AsyncClient) -> None:
    assert (await http.get("/fails/busy")).headers["retry-after"] == "7"
    for how in ("unavailable", "lost", "slow"):
        assert (await http.get(f"/fails/{how}")).headers["retry-after"] == "1"
    assert (await http.get("/fails/unauthenticated")).headers["www-authenticate"] == "Bearer"


async def test_a_bug_is_logged_with_its_traceback_under_the_request_id_that_the_caller_gets(
    http: httpx2.AsyncClient,
) -> None:
    with capture_logs([structlog.contextvars.merge_contextvars]) as logs:
        problem = (await http.get("/fails/bug")).json()
    (entry,) = [line for line in logs if line["event"] == "http.bug"]
    assert (entry["request_id"], entry["exc_info"]) == (problem["request_id"], ERRORS["bug"])


async def test_the_connection_survives_a_bug(http: httpx2.AsyncClient) -> None:
    for _ in range(3):
        assert (await http.get("/fails/bug")).status_code == 500
        assert (await http.get("/livez")).status_code == 200


async def test_an_answer_that_breaks_off_is_not_made_to_look_whole(
    http: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.CRITICAL, logger="uvicorn.error"), pytest.raises(httpx2.RemoteProtocolError):
        await http.get("/breaks-off")
    assert (await http.get("/livez")).status_code == 200


async def test_what_cannot_be_read_says_where_and_never_repeats_what_was_sent(http: httpx2.AsyncClient) -> None:
    answer = await http.post("/orders", json={"amount": "many", "password": SECRET})
    problem = assert_problem(answer, codes.INVALID_REQUEST)
    assert [(found["where"], found["what"]) for found in problem["errors"]] == [
        ("body/amount", "Input should be a valid integer, unable to parse string as an integer"),
        ("body/password", "too short"),
    ]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"amount": 1e999}'])
async def test_a_body_that_is_no_order_is_an_invalid_request(http: httpx2.AsyncClient, body: bytes) -> None:
    answer = await http.post("/orders", content=body, headers={"content-type": "application/json"})
    assert_problem(answer, codes.INVALID_REQUEST)


async def test_unknown_routes_and_methods_are_problems_too(http: httpx2.AsyncClient) -> None:
    assert_problem(await http.get("/nowhere"), codes.NOT_FOUND)
    refused = await http.delete("/orders")
    assert_problem(refused, codes.METHOD_NOT_ALLOWED)
    assert refused.headers["allow"] == "POST"
    assert_problem(await http.get("/docs"), codes.NOT_FOUND)


async def test_a_status_without_a_code_of_its_own_is_an_invalid_request(http: httpx2.AsyncClient) -> None:
    assert_problem(await http.get("/fails/teapot"), codes.INVALID_REQUEST)


async def test_the_request_id_is_the_callers_if_he_has_one(http: httpx2.AsyncClient) -> None:
    answer = await http.get("/context", headers={"x-request-id": "req-1"})
    assert (answer.headers["x-request-id"], answer.json()["request_id"]) == ("req-1", "req-1")


@pytest.mark.parametrize("bad", [b"with space", "ümlaut".encode("latin-1"), b"x" * 101, b""])
async def test_a_request_id_that_is_no_plain_word_is_replaced(http: httpx2.AsyncClient, bad: bytes) -> None:
    made = [(await http.get("/context", headers={b"x-request-id": bad})).headers["x-request-id"] for _ in range(2)]
    assert bad.decode("latin-1") not in made
    assert len(set(made)) == 2


async def test_requests_know_their_own_id_however_many_there_are_at_once(http: httpx2.AsyncClient) -> None:
    answers = await asyncio.gather(*(http.get("/context", headers={"x-request-id": str(n)}) for n in range(30)))
    assert [answer.json()["request_id"] for answer in answers] == [str(number) for number in range(30)]


async def test_the_callers_trace_goes_on_and_else_one_begins(http: httpx2.AsyncClient) -> None:
    given = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    assert (await http.get("/context", headers={"traceparent": given})).json()["traceparent"] == given
    begun = {(await http.get("/context")).json()["traceparent"] for _ in range(2)}
    assert len(begun) == 2


@pytest.mark.parametrize("path", ["/raw", "/orders"])
async def test_a_body_that_is_too_large_is_refused_announced_or_not(http: httpx2.AsyncClient, path: str) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b" " * 100

    assert_problem(await http.post(path, content=b" " * (LARGEST + 1)), codes.PAYLOAD_TOO_LARGE)
    assert_problem(await http.post(path, content=chunks()), codes.PAYLOAD_TOO_LARGE)
    assert (await http.post("/raw", content=b" " * LARGEST)).json() == {"bytes": LARGEST}


async def test_a_body_that_is_announced_too_large_is_not_even_read() -> None:
    async with served(make_app()) as address:
        for length in (b"1001", b"9" * 15):
            said = await speak(
                address, b"POST /raw HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %b\r\n\r\n" % length
            )
            assert said.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("length", [b"-1", b"abc", b"1_0", b"9" * 400])
async def test_a_length_that_is_no_length_is_the_callers_mistake(length: bytes) -> None:
    async with served(make_app()) as address:
        said = await speak(
            address, b"POST /raw HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %b\r\n\r\nx" % length
        )
    assert said.startswith(b"HTTP/1.1 4")


async def test_a_caller_who_goes_away_in_mid_body_is_no_bug_of_ours() -> None:
    app = make_app()
    done: list[str] = []

    @app.post("/waits")
    async def waits(request: Request) -> None:
        try:
            await request.body()
        finally:
            done.append("read")

    with capture_logs() as logs:
        async with served(app) as address:
            await speak(address, b"POST /waits HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf", listen=False)
            await until(lambda: bool(done))
    assert [line["event"] for line in logs if line["log_level"] == "error"] == []


async def test_alive_is_alive_and_ready_is_what_the_checks_say() -> None:
    states = {"database": True, "schema": True}

    async def database() -> bool:
        return states["database"]

    async def schema() -> bool:
        return 1 / states["schema"] == 1

    async with asking(make_app(database=database, schema=schema)) as http:
        assert (await http.get("/readyz")).json() == {"status": "ok", "checks": {"database": True, "schema": True}}
        for broken in ("database", "schema"):
            states[broken] = False
            answer = await http.get("/readyz")
            assert (answer.status_code, answer.json()["checks"][broken]) == (503, False)
            states[broken] = True
        assert (await http.get("/livez")).json() == {"status": "ok"}


async def test_requests_are_measured_by_route_and_status(http: httpx2.AsyncClient) -> None:
    for path in ("/fails/missing", "/fails/bug", "/nowhere/1", "/nowhere/2"):
        await http.get(path)
    metrics = (await http.get("/metrics")).text
    for labels in (
        'route="/fails/{how}",status="404"',
        'route="/fails/{how}",status="500"',
        'route="none",status="404"',
    ):
        assert f'scrip_http_request_seconds_count{{method="GET",{labels}}}' in metrics
    assert "/nowhere/1" not in metrics


async def test_internal_routes_want_a_service_a_caller_and_a_key(tmp_path: Path) -> None:
    key = new_key("gateway")
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    app = make_app()
    app.state.verifier = verifier("payments", tmp_path / "keys.json")

    @app.post("/internal/v1/things")
    async def things(service: CallingService, caller: Caller, key: IdempotencyKey) -> dict[str, str]:
        return {"service": service, "caller": caller, "key": key}

    token = Signer("gateway", key).token("payments")
    whole = {"authorization": f"Bearer {token}", "scrip-caller": "user:1", "idempotency-key": "k"}
    async with asking(app) as http:

        async def post(**other: str) -> httpx2.Response:
            return await http.post("/internal/v1/things", headers={k: v for k, v in (whole | other).items() if v})

        assert (await post()).json() == {"service": "gateway", "caller": "user:1", "key": "k"}
        for header in ("", token, f"Basic {token}", "Bearer", f"Bearer {token}x"):
            assert_problem(await post(authorization=header), codes.NOT_AUTHENTICATED)
        assert_problem(await post(**{"idempotency-key": ""}), codes.IDEMPOTENCY_KEY_MISSING)
        assert_problem(await post(**{"idempotency-key": "x" * 256}), codes.INVALID_REQUEST)
        assert_problem(await post(**{"scrip-caller": ""}), codes.INVALID_REQUEST)
