"""The client that spends and the gateway agree: real HTTP, the contracts' models, the gateway's problem documents."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx2
import pytest
from fastapi import Request

from deploy.embedded.ports import free_ports
from libs.chassis.errors import (
    DomainError,
    InvalidRequestError,
    NotAllowedError,
    RemoteError,
    TooManyRequestsError,
    UnavailableError,
)
from libs.chassis.http import create_app
from libs.contracts import errors as codes
from libs.contracts.client import (
    CaptureTooLargeError,
    CreditsClient,
    CreditsUnavailableError,
    HoldExpiredError,
    InsufficientCreditsError,
    InvalidOrderError,
    NotAuthorizedError,
    RefusedError,
)
from libs.contracts.credits import parse_credits
from libs.contracts.http.spending_v1 import BalanceAfter, Estimate, HoldChanged, NewEstimate, NewHold
from libs.contracts.ids import new_id, show
from tests.support.serving import served

ACCOUNT = new_id()
LIFE = timedelta(minutes=10)
SHORT = timedelta(seconds=1)
SPENT_FOR: Any = {"reference": None, "description": None, "meter": None, "quantity": None}


@dataclass
class Gateway:
    """The gateway's routes for holds and estimates, with one hold; `problems` are answered first, by the verb."""

    url: str = ""
    life: timedelta = LIFE
    longest: timedelta = timedelta(hours=1)
    asked: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    problems: dict[str, deque[DomainError]] = field(default_factory=dict)
    captured: int = 0
    held: int = 0
    beaten: asyncio.Event = field(default_factory=asyncio.Event)
    placed_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    id: UUID = field(default_factory=new_id)

    def fail(self, verb: str, *problems: DomainError) -> None:
        self.problems[verb] = deque(problems)

    def verbs(self) -> list[str]:
        return [verb for verb, _, _ in self.asked]

    def keys(self, verb: str) -> list[str]:
        return [key for asked, key, _ in self.asked if asked == verb]

    def _note(self, verb: str, request: Request, body: dict[str, Any]) -> None:
        self.asked.append((verb, request.headers["Idempotency-Key"], body))
        if self.problems.get(verb):
            raise self.problems[verb].popleft()

    async def estimate(self, request: Request, order: NewEstimate) -> Estimate:
        self._note("estimate", request, order.model_dump(mode="json"))
        affordable = order.quantity_used < 10
        facts: Any = {"rules": ["5 a minute"], "price_version": "v1", "code": None, "detail": None}
        return Estimate(credits=15_000_000, affordable=affordable, available=20_000_000, **facts)

    async def place(self, request: Request, order: NewHold) -> HoldChanged:
        self._note("place", request, order.model_dump(mode="json", exclude_none=True))
        self.held = order.amount or 15_000_000
        return self._told()

    async def change(self, request: Request, id: str, verb: str, account: str) -> HoldChanged:
        assert (id, account) == (show("hold", self.id), show("account", ACCOUNT))
        body = await request.json()
        self._note(verb, request, body)
        if verb == "extend":
            self.beaten.set()
        if verb == "capture":
            self.captured += parse_credits(body["amount"])
            self.held = 0 if body["final"] else self.held - parse_credits(body["amount"])
        if verb == "release":
            self.held = 0
        return self._told()

    def _told(self) -> HoldChanged:
        return HoldChanged(
            id=self.id,
            account=ACCOUNT,
            state="pending" if self.held else "captured" if self.captured else "released",
            reserved=15_000_000,
            captured=self.captured,
            held=self.held,
            placed_at=self.placed_at,
            expires_at=self.placed_at + self.life,
            ends_by=self.placed_at + self.longest,
            settled_at=None,
            properties={},
            metadata={},
            balance=BalanceAfter(available=0, held=self.held, overdraft=0, debt=0, sequence=1),
            **SPENT_FOR,
        )


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    gateway = Gateway()
    app = create_app("gateway", largest_body=40_000, checks={})
    app.add_api_route("/v1/estimates", gateway.estimate, methods=["POST"])
    app.add_api_route("/v1/holds", gateway.place, methods=["POST"], status_code=201)
    app.add_api_route("/v1/holds/{id}/{verb}", gateway.change, methods=["POST"], status_code=201)
    async with served(app) as gateway.url:
        yield gateway


@pytest.fixture
async def credits(gateway: Gateway) -> AsyncIterator[CreditsClient]:
    async with CreditsClient(gateway.url + "/", "scrip_sk_test") as client:
        yield client


async def test_an_estimate_says_what_it_costs_and_by_which_rules(credits: CreditsClient, gateway: Gateway) -> None:
    estimate = await credits.estimate(ACCOUNT, meter="video", quantity="4.2", properties={"hd": True})
    assert (estimate.credits, estimate.rules, estimate.affordable) == (15_000_000, ["5 a minute"], True)
    ((_, _, body),) = gateway.asked
    assert (body["account"], body["quantity"]) == (show("account", ACCOUNT), "4.2")
    assert body["properties"] == {"hd": True}


async def test_it_is_told_whether_an_account_can_afford_something(credits: CreditsClient) -> None:
    assert await credits.can_afford(show("account", ACCOUNT), meter="video", quantity=9)
    assert not await credits.can_afford(ACCOUNT, meter="video", quantity=10)


async def test_a_job_captures_in_steps_and_the_rest_is_released(credits: CreditsClient, gateway: Gateway) -> None:
    job: dict[str, Any] = {"meter": "video", "quantity": 3, "reference": ("render", "job-1"), "expires_in": 60}
    async with credits.hold(ACCOUNT, description="A film", metadata={"shots": "2"}, **job) as hold:
        await hold.capture("5")
        await hold.capture(Decimal("2.50"))
        assert (hold.id, hold.captured, hold.held, hold.state) == (gateway.id, 7_500_000, 7_500_000, "pending")
    assert gateway.verbs() == ["place", "capture", "capture", "release"]
    placed = gateway.asked[0][2]
    assert placed["reference"] == {"type": "render", "id": "job-1"}
    assert (placed["expires_in"], placed["metadata"]) == (60, {"shots": "2"})
    assert gateway.asked[1][2] == {"amount": "5", "final": False}
    assert hold.state == "captured"


async def test_a_job_that_fails_gives_all_back_and_its_error_is_told(credits: CreditsClient, gateway: Gateway) -> None:
    with pytest.raises(ZeroDivisionError):
        async with credits.hold(ACCOUNT, amount="15"):
            raise ZeroDivisionError
    assert gateway.verbs() == ["place", "release"]
    assert gateway.held == 0


async def test_a_job_that_is_cancelled_gives_all_back(credits: CreditsClient, gateway: Gateway) -> None:
    at_work = asyncio.Event()

    async def work() -> None:
        async with credits.hold(ACCOUNT, amount="15"):
            at_work.set()
            await asyncio.Event().wait()

    job = asyncio.create_task(work())
    await at_work.wait()
    job.cancel()
    await asyncio.wait([job])
    assert job.cancelled()
    assert gateway.verbs() == ["place", "release"]


@pytest.mark.parametrize("last", [{"amount": "15"}, {"amount": "3", "final": True}])
async def test_what_is_settled_is_not_released_again(
    credits: CreditsClient, gateway: Gateway, last: dict[str, Any]
) -> None:
    async with credits.hold(ACCOUNT, amount="15") as hold:
        await hold.capture(**last)
    assert gateway.verbs() == ["place", "capture"]


async def test_a_hold_is_extended_as_long_as_the_work_lasts(credits: CreditsClient, gateway: Gateway) -> None:
    gateway.life = SHORT
    gateway.fail("extend", UnavailableError())
    async with credits.hold(ACCOUNT, amount="15"):
        for _ in range(2):
            gateway.beaten.clear()
            await gateway.beaten.wait()
    beats = [(key, body) for verb, key, body in gateway.asked if verb == "extend"]
    assert {body["expires_in"] for _, body in beats} == {1}
    assert beats[0][0] == beats[1][0] != beats[2][0]
    assert gateway.verbs()[-1] == "release"


async def test_a_hold_is_not_extended_beyond_its_longest_life(credits: CreditsClient, gateway: Gateway) -> None:
    gateway.life = gateway.longest = SHORT
    async with credits.hold(ACCOUNT, amount="15") as hold:
        assert hold._beating is not None
        await hold._beating
    assert gateway.verbs() == ["place", "release"]


async def test_a_hold_that_is_lost_is_told_by_the_next_capture(credits: CreditsClient, gateway: Gateway) -> None:
    gateway.life = SHORT
    expired = RemoteError(codes.HOLD_EXPIRED, "it has expired")
    gateway.fail("extend", expired)
    gateway.fail("capture", expired)
    gateway.fail("release", expired)
    async with credits.hold(ACCOUNT, amount="15") as hold:
        assert hold._beating is not None
        await hold._beating
        with pytest.raises(HoldExpiredError, match="PAY037 it has expired"):
            await hold.capture("1")
    assert gateway.verbs() == ["place", "extend", "capture", "release"]


@pytest.mark.parametrize("verb", ["place", "capture", "release", "estimate"])
@pytest.mark.parametrize("problem", [UnavailableError(), TooManyRequestsError(), RuntimeError("a bug")], ids=repr)
async def test_what_the_gateway_cannot_do_now_is_asked_again_under_the_same_key(
    credits: CreditsClient, gateway: Gateway, verb: str, problem: DomainError
) -> None:
    gateway.fail(verb, problem, problem)
    await credits.estimate(ACCOUNT, amount="1")
    async with credits.hold(ACCOUNT, amount="15") as hold:
        await hold.capture("1")
    assert len(gateway.keys(verb)) == 3
    assert len(set(gateway.keys(verb))) == 1
    assert len({key for _, key, _ in gateway.asked}) == 4
    assert gateway.captured == 1_000_000


async def test_a_gateway_that_does_not_answer_is_told_after_the_patience() -> None:
    (nobody,) = free_ports(1)
    async with CreditsClient(f"http://127.0.0.1:{nobody}", "scrip_sk_test", patience_seconds=0.3) as credits:
        with pytest.raises(CreditsUnavailableError, match="it does not answer"):
            await credits.estimate(ACCOUNT, amount="1")


async def test_a_release_that_nobody_hears_does_not_hide_how_the_work_ended(gateway: Gateway) -> None:
    gateway.fail("release", *[UnavailableError()] * 1000)
    async with CreditsClient(gateway.url, "scrip_sk_test", patience_seconds=0.3) as credits:
        async with credits.hold(ACCOUNT, amount="15") as hold:
            await hold.capture("5")
        with pytest.raises(ZeroDivisionError):
            async with credits.hold(ACCOUNT, amount="15"):
                raise ZeroDivisionError


async def test_too_few_credits_are_told_with_what_lacks_and_where_to_buy(
    credits: CreditsClient, gateway: Gateway
) -> None:
    facts = {"required": "15", "available": "4", "buy": "/v1/packs"}
    gateway.fail("place", RemoteError(codes.INSUFFICIENT_CREDITS, "not enough", **facts))
    with pytest.raises(InsufficientCreditsError) as told:
        async with credits.hold(ACCOUNT, amount="15"):
            raise AssertionError("work without a hold")
    assert (told.value.code, told.value.detail) == ("PAY001", "not enough")
    assert {"required": told.value.required, "available": told.value.available, "buy": told.value.buy} == facts
    assert gateway.verbs() == ["place"]


async def test_a_capture_above_the_hold_says_what_is_left(credits: CreditsClient, gateway: Gateway) -> None:
    gateway.fail("capture", RemoteError(codes.CAPTURE_TOO_LARGE, "too much", left="15"))
    async with credits.hold(ACCOUNT, amount="15") as hold:
        with pytest.raises(CaptureTooLargeError) as told:
            await hold.capture("16")
    assert told.value.left == "15"


@pytest.mark.parametrize(
    ("problem", "kind"), [(NotAllowedError(), NotAuthorizedError), (InvalidRequestError(), RefusedError)]
)
async def test_a_refusal_is_told_at_once_by_its_code(
    credits: CreditsClient, gateway: Gateway, problem: DomainError, kind: type[RefusedError]
) -> None:
    gateway.fail("estimate", problem)
    with pytest.raises(kind, match=problem.detail) as told:
        await credits.estimate(ACCOUNT, amount="1")
    assert (type(told.value), told.value.code) == (kind, problem.code.code)
    assert len(gateway.asked) == 1


async def test_an_address_that_is_no_gateways_is_told(gateway: Gateway) -> None:
    async with httpx2.AsyncClient() as http:
        assert (await http.post(gateway.url + "/docs/v1/estimates")).status_code == 404
    async with CreditsClient(gateway.url + "/docs", "scrip_sk_test") as credits:
        with pytest.raises(RefusedError, match="PAY010"):
            await credits.estimate(ACCOUNT, amount="1")
    with pytest.raises(ValueError, match="begin with http"):
        CreditsClient("gateway:8000", "scrip_sk_test")


@pytest.mark.parametrize(
    ("order", "what"),
    [
        ({}, "name either amount or meter"),
        ({"amount": "1", "meter": "video"}, "name either amount or meter"),
        ({"amount": 5}, "credits or micro-credits"),
        ({"amount": 0.5}, "credits or micro-credits"),
        ({"amount": "0"}, "amount"),
        ({"amount": Decimal("1.0000001")}, "amount"),
        ({"meter": "video", "quantity": 0.1}, "quantity: 0.1 is not exact"),
        ({"meter": "video", "quantity": -1}, "quantity"),
        ({"account": "me", "amount": "1"}, "account: this is not the id of a"),
        ({"amount": "1", "expires_in": 0}, "expires_in"),
        ({"amount": "1", "reference": ("Render Job", "1")}, "reference"),
    ],
    ids=ascii,
)
async def test_what_can_be_no_order_is_never_sent(
    credits: CreditsClient, gateway: Gateway, order: dict[str, Any], what: str
) -> None:
    with pytest.raises(InvalidOrderError, match=what):
        credits.hold(**{"account": ACCOUNT, **order})
    assert gateway.asked == []
