"""A lease's client and the gateway agree: what was used is told in all, in the background and in the end."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from fastapi import Request

from deploy.cli.customer import wait_for
from libs.chassis.errors import DomainError, RemoteError
from libs.chassis.http import create_app
from libs.contracts import errors as codes
from libs.contracts.client import CreditsClient, CreditsClientError, HoldExpiredError, InvalidOrderError
from libs.contracts.http.leases_v1 import LeaseChanged, NewLease
from libs.contracts.http.spending_v1 import BalanceAfter
from libs.contracts.ids import new_id, show
from tests.support.serving import served

ACCOUNT = new_id()
SPENT_FOR: Any = {"reference": None, "description": None, "meter": "agent", "quantity": None}


@dataclass
class Gateway:
    """The gateway's routes for leases, with one lease of a credit a second; `problems` are answered first."""

    url: str = ""
    told: list[tuple[str, str]] = field(default_factory=list)
    problems: list[DomainError] = field(default_factory=list)
    has: int = 100
    used: int = 0
    open: bool = True
    order: NewLease | None = None
    id: UUID = field(default_factory=new_id)

    async def begin(self, order: NewLease) -> LeaseChanged:
        self.order = order
        return self._said()

    async def change(self, request: Request, id: str, verb: str, account: str) -> LeaseChanged:
        assert (id, account) == (show("hold", self.id), show("account", ACCOUNT))
        quantity = str((await request.json())["quantity"])
        self.told.append((verb, quantity))
        if self.problems:
            raise self.problems.pop(0)
        self.used, self.open = int(Decimal(quantity)), verb == "heartbeat"
        return self._said()

    def _said(self) -> LeaseChanged:
        at = datetime.now(UTC)
        held = max(min(4, self.has - self.used), 0) if self.open else 0
        return LeaseChanged(
            id=self.id,
            account=ACCOUNT,
            state="pending" if self.open else "captured",
            reserved=4,
            captured=min(self.used, self.has),
            held=held,
            placed_at=at,
            expires_at=at + timedelta(seconds=30),
            ends_by=at + timedelta(hours=1),
            settled_at=None,
            properties={},
            metadata={},
            balance=BalanceAfter(available=0, held=held, overdraft=0, debt=0, sequence=1),
            metered=Decimal(self.used),
            cost=self.used,
            short=max(self.used - self.has, 0),
            **SPENT_FOR,
        )


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    gateway = Gateway()
    app = create_app("gateway", largest_body=40_000, checks={})
    app.add_api_route("/v1/leases", gateway.begin, methods=["POST"], status_code=201)
    app.add_api_route("/v1/leases/{id}/{verb}", gateway.change, methods=["POST"], status_code=201)
    async with served(app) as gateway.url:
        yield gateway


@pytest.fixture
async def credits(gateway: Gateway) -> AsyncIterator[CreditsClient]:
    async with CreditsClient(gateway.url, "scrip_sk_test", patience_seconds=0.5) as client:
        yield client


def agent(credits: CreditsClient, **more: Any) -> Any:
    return credits.lease(ACCOUNT, meter="agent", reserve="4", **more)


async def test_what_was_used_is_told_in_all_and_settled_in_the_end(credits: CreditsClient, gateway: Gateway) -> None:
    async with agent(credits, properties={"model": "big"}, reference=("run", "7")) as lease:
        lease.use(3)
        lease.use("1.5")
        assert (await lease.settle()).captured == 4
        lease.use(Decimal(2))
        assert (lease.used, lease.go_on, lease.id) == (Decimal("6.5"), True, gateway.id)
    assert gateway.told == [("heartbeat", "4.5"), ("close", "6.5")]
    assert (lease.captured, lease.go_on) == (6, False)
    assert gateway.order is not None
    assert (gateway.order.reserve, gateway.order.properties) == (4_000_000, {"model": "big"})


async def test_heartbeats_go_on_in_the_background(credits: CreditsClient, gateway: Gateway) -> None:
    async with agent(credits, heartbeat_seconds=1) as lease:
        lease.use(2)
        await wait_for(lambda: _true(len(gateway.told) >= 2))
    assert set(gateway.told[:-1]) == {("heartbeat", "2")}


async def _true(what: bool) -> bool:
    return what


async def test_work_is_told_to_stop_when_credits_run_out(credits: CreditsClient, gateway: Gateway) -> None:
    gateway.has = 5
    async with agent(credits) as lease:
        lease.use(5)
        await lease.settle()
        assert not lease.go_on


async def test_work_that_fails_is_settled_for_what_it_used(credits: CreditsClient, gateway: Gateway) -> None:
    async def work() -> None:
        async with agent(credits) as lease:
            lease.use(7)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await work()
    assert gateway.told == [("close", "7")]


async def test_a_lease_that_has_ended_is_told_of_and_not_closed(credits: CreditsClient, gateway: Gateway) -> None:
    async with agent(credits, heartbeat_seconds=1) as lease:
        gateway.problems = [RemoteError(codes.HOLD_EXPIRED, "too late")]
        await wait_for(lambda: _true(not lease.go_on))
    assert [verb for verb, _ in gateway.told] == ["heartbeat"]


async def test_a_heartbeat_that_is_refused_is_an_error_of_its_own(credits: CreditsClient, gateway: Gateway) -> None:
    gateway.problems = [RemoteError(codes.HOLD_EXPIRED, "too late")] * 2
    with pytest.raises(HoldExpiredError):
        async with agent(credits) as lease:
            await lease.settle()


async def test_a_lease_whose_end_cannot_be_told_ends_by_itself(credits: CreditsClient, gateway: Gateway) -> None:
    async with agent(credits) as lease:
        lease.use(1)
        gateway.problems = [RemoteError(codes.HOLD_SETTLED, "closed before")]
    assert gateway.told == [("close", "1")]


@pytest.mark.parametrize("quantity", [1.5, "many", -1, "NaN", "Infinity"])
async def test_a_quantity_that_is_none_is_refused(credits: CreditsClient, gateway: Gateway, quantity: Any) -> None:
    async with agent(credits) as lease:
        with pytest.raises(InvalidOrderError, match="quantity"):
            lease.use(quantity)
        assert lease.used == 0


async def test_a_lease_that_has_not_begun_knows_nothing(credits: CreditsClient) -> None:
    lease = agent(credits)
    with pytest.raises(CreditsClientError, match="async with"):
        _ = lease.go_on
    with pytest.raises(InvalidOrderError, match="reserve"):
        credits.lease(ACCOUNT, meter="agent", reserve="-4")
    await asyncio.sleep(0)
