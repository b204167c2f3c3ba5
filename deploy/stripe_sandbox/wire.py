"""What every call of Stripe's goes through: keys, forms, idempotency, faults, errors, and the log."""

import asyncio
import logging
import re
import time
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from deploy.stripe_sandbox.authentication import ApiKey, authenticate, shows_publishable_key
from deploy.stripe_sandbox.call import Call
from deploy.stripe_sandbox.connection import hang_up
from deploy.stripe_sandbox.errors import (
    InvalidRequestError,
    KeyInUseError,
    SecretKeyRequiredError,
    StripeError,
    StripeFailedError,
    TooManyRequestsError,
    UnknownAddressError,
)
from deploy.stripe_sandbox.expand import present
from deploy.stripe_sandbox.faults import Fault, HungUpError, strike_after, strike_before
from deploy.stripe_sandbox.forms import decode
from deploy.stripe_sandbox.idempotency import Claim
from deploy.stripe_sandbox.messages import Asked, Reply, read, written
from deploy.stripe_sandbox.params import NoParams, parse
from deploy.stripe_sandbox.request_log import Exchange, without_card_numbers
from deploy.stripe_sandbox.routes import Operation
from deploy.stripe_sandbox.sandbox import Sandbox

VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(\.[a-z]+)?")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Work:
    """A request on its way: what it is answered by, and how it is to go wrong."""

    sandbox: Sandbox
    operation: Operation | None
    asked: Asked
    fault: Fault | None

    @property
    def log_url(self) -> str:
        """Where the request can be looked up afterwards."""
        return f"{self.sandbox.base_url}/sandbox/requests/{self.asked.request_id}"

    def goes_wrong_by(self, *kinds: str) -> bool:
        """Tell whether the call is to go wrong in one of these ways."""
        return self.fault is not None and self.fault.kind in kinds


async def answer(sandbox: Sandbox, operation: Operation | None, request: Request) -> Response:
    """Answer one request of Stripe's API, or break the connection where a fault says so."""
    asked = await read(request)
    work = Work(sandbox, operation, asked, sandbox.faults.take(asked.method, asked.path))
    began, number = time.monotonic(), sandbox.requests.next_number()
    reply = await _reply_or_silence(work, request)
    sandbox.requests.note(_exchange(work, reply, number=number, took_s=time.monotonic() - began))
    return written(asked, reply) if reply else await hang_up(request)


async def _reply_or_silence(work: Work, request: Request) -> Reply | None:
    async def wait(seconds: float) -> None:
        await _wait_for_caller_to_go(request, seconds)

    try:
        await strike_before(work.fault, wait)
        reply = await _reply(work)
        await strike_after(work.fault, wait)
    except HungUpError:
        return None
    return reply


async def _reply(work: Work) -> Reply:
    try:
        return await _unhindered_reply(work)
    except StripeError as error:
        return Reply(error.status, error.envelope(work.log_url))
    except Exception:
        log.exception("%s %s broke the sandbox", work.asked.method, work.asked.path)
        return Reply(500, StripeFailedError("The sandbox itself broke; its output says why.").envelope(work.log_url))


async def _unhindered_reply(work: Work) -> Reply:
    """Answer, or raise what is answered without a trace: nothing raised here is saved under the idempotency key."""
    asked, operation, key = work.asked, *_admitted(work)
    fields = decode(asked.form)
    now = work.sandbox.clock.now()
    claim = work.sandbox.keys.claim(asked.idempotency_key, method=asked.method, path=asked.path, fields=fields, now=now)
    with claim as held:
        if held.saved is not None:
            return Reply(held.saved["status"], held.saved["body"], held.saved["request_id"])
        params = parse(operation.params, fields)
        if work.fault and work.fault.kind == "slow":
            await asyncio.sleep(work.fault.seconds)
        return _carried_out(work, operation, key, params, claim=held)


def _admitted(work: Work) -> tuple[Operation, ApiKey]:
    if work.goes_wrong_by("429"):
        raise TooManyRequestsError
    if work.goes_wrong_by("409"):
        raise KeyInUseError(work.asked.idempotency_key or "none")
    key = authenticate(work.asked.authorization)
    version = work.asked.stripe_version
    if version is not None and not VERSION.fullmatch(version):
        raise InvalidRequestError(f"Invalid Stripe API version: {version}")
    if work.operation is None:
        raise UnknownAddressError(work.asked.method, work.asked.path)
    if key.publishable and not work.operation.publishable:
        raise SecretKeyRequiredError
    return work.operation, key


def _carried_out(work: Work, operation: Operation, key: ApiKey, params: NoParams, *, claim: Claim) -> Reply:
    """Run an operation and commit its effect together with its answer; nothing is awaited in here."""
    asked = work.asked
    call = work.sandbox.begin(
        request_id=asked.request_id, idempotency_key=asked.idempotency_key, publishable=key.publishable
    )
    result = None if work.goes_wrong_by("500_before") else _outcome(work, operation, call, params)
    told = _failure(work) if result is None or work.goes_wrong_by("500_after") else result
    saved = told if work.fault is None or work.fault.saves_its_answer else result
    if saved is not None:
        claim.keep(call.records, status=saved.status, body=saved.body, now=call.now, request_id=asked.request_id)
    work.sandbox.commit(call)
    return told


def _outcome(work: Work, operation: Operation, call: Call, params: NoParams) -> Reply:
    try:
        result = operation.run(call, params, **work.asked.ids)
        return Reply(200, present(call, result, params.expansions))
    except StripeError as error:
        if not error.keeps_changes:
            work.sandbox.undo(call)
        return Reply(error.status, error.envelope(work.log_url))
    except BaseException:
        work.sandbox.undo(call)
        raise


def _failure(work: Work) -> Reply:
    return Reply(500, StripeFailedError("The sandbox was told to fail.").envelope(work.log_url))


async def _wait_for_caller_to_go(request: Request, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            while (await request.receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return


def _exchange(work: Work, reply: Reply | None, *, number: int, took_s: float) -> Exchange:
    asked = work.asked
    return Exchange(
        number=number,
        request_id=asked.request_id,
        at=work.sandbox.clock.time(),
        method=asked.method,
        path=asked.path,
        query=asked.query,
        body=without_card_numbers(asked.body),
        idempotency_key=asked.idempotency_key,
        stripe_version=asked.stripe_version,
        publishable=shows_publishable_key(asked.authorization),
        status=reply.status if reply else None,
        answer=reply.body if reply else None,
        replayed=bool(reply and reply.replayed_from),
        fault=work.fault.kind if work.fault else None,
        took_ms=round(took_s * 1000, 2),
    )
