"""The example service of another team, against the whole stack: jobs that end well, fail, or die with the service."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from deploy.cli.customer import Customer, wait_for
from deploy.embedded.ports import free_ports
from deploy.embedded.processes import Process
from deploy.embedded.readiness import answers
from deploy.embedded.settings import PROJECT
from deploy.embedded.stack import Stack
from libs.contracts.ids import show
from tests.e2e.conftest import move_clock

CREDIT = 1_000_000
STREET, SEA = "a street", "the sea"


class Studio:
    """The service as a process of its own, and what its customers ask of it."""

    def __init__(self, process: Process, http: httpx2.AsyncClient, account: str) -> None:
        self.process = process
        self._http = http
        self._account = account

    async def order(self, *scenes: str) -> httpx2.Response:
        return await self._http.post("/videos", json={"account": self._account, "scenes": scenes})

    async def preview(self) -> None:
        answer = await self._http.post("/previews", json={"account": self._account, "scene": STREET})
        assert answer.status_code == 202, answer.text

    async def ended(self, order: httpx2.Response) -> dict[str, Any]:
        assert order.status_code == 202, order.text

        async def found() -> dict[str, Any] | None:
            job: dict[str, Any] = (await self._http.get(f"/videos/{order.json()['id']}")).json()
            return job if job["state"] != "running" else None

        return await wait_for(found)

    async def slow_down(self) -> None:
        """Have a scene take an hour from now on."""
        await self.process.restart(env={**self.process.env, "VIDEO_SECONDS_A_SCENE": "3600"})


@pytest.fixture
async def studio(stack: Stack, customer: Customer, tmp_path: Path) -> AsyncIterator[Studio]:
    """The service, which works for the customer's account."""
    (port,) = free_ports(1)
    key = await customer.api_key("holds:write", "usage:write")
    address = f"http://127.0.0.1:{port}"
    process = Process(
        "video-generator",
        [sys.executable, "-m", "deploy.examples.video_generator"],
        home=tmp_path,
        ready=lambda: answers(f"{address}/openapi.json"),
        env={
            "VIDEO_GATEWAY": stack.addresses.gateway,
            "VIDEO_API_KEY": key.secret or "",
            "VIDEO_SPOOL": str(tmp_path / "spool"),
            "VIDEO_PORT": str(port),
            "VIDEO_SECONDS_A_SCENE": "0.05",
        },
        cwd=PROJECT,
    )
    await process.start()
    async with httpx2.AsyncClient(base_url=address, timeout=30) as http:
        yield Studio(process, http, show("account", customer.account))
    await process.stop()


async def has(customer: Customer, *, available: int, held: int = 0) -> None:
    await customer.wait_until(lambda b: (b.available, b.held) == (available * CREDIT, held * CREDIT))


async def test_a_video_costs_what_was_rendered_and_the_rest_of_its_hold_is_released(
    customer: Customer, studio: Studio
) -> None:
    job = await studio.ended(await studio.order(STREET, STREET))
    assert (job["state"], job["credits"]) == ("done", "5")
    await has(customer, available=5)
    told = [(t.type, t.credits // CREDIT) for t in await customer.transactions()]
    assert told == [("release", 5), ("capture", 0), ("hold", -10), ("bonus", 10)]


async def test_a_video_that_cannot_be_rendered_costs_nothing(customer: Customer, studio: Studio) -> None:
    job = await studio.ended(await studio.order("unrenderable"))
    assert (job["state"], job["why"]) == ("failed", "nobody can render 'unrenderable'")
    await has(customer, available=10)


async def test_who_cannot_pay_is_told_before_any_work(customer: Customer, studio: Studio) -> None:
    answer = await studio.order(*(f"scene {number}" for number in range(3)))
    assert answer.status_code == 402
    assert answer.json()["detail"].startswith("this costs 15 credits: ")
    await has(customer, available=10)


async def test_of_two_videos_at_once_only_what_the_account_can_pay_is_made(customer: Customer, studio: Studio) -> None:
    orders = await asyncio.gather(*(studio.order(STREET, SEA) for _ in range(2)))
    jobs = [await studio.ended(order) for order in orders if order.status_code == 202]
    assert [job["credits"] for job in jobs if job["state"] == "done"] == ["10"]
    await has(customer, available=0)


async def test_credits_of_a_video_are_free_again_when_the_service_is_stopped(
    customer: Customer, studio: Studio
) -> None:
    await studio.slow_down()
    await studio.order(STREET)
    await has(customer, available=5, held=5)
    await studio.process.stop()
    await has(customer, available=10)


async def test_credits_of_a_video_are_free_again_some_time_after_the_service_was_killed(
    customer: Customer, studio: Studio, stack: Stack
) -> None:
    await studio.slow_down()
    await studio.order(STREET)
    await has(customer, available=5, held=5)
    studio.process.kill()
    move_clock(stack, minutes=1)
    await has(customer, available=10)


async def test_a_preview_is_charged_once_though_the_gateway_is_away_and_the_service_killed(
    customer: Customer, studio: Studio, stack: Stack
) -> None:
    gateway = stack.processes["gateway"]
    await gateway.stop()
    await studio.preview()
    studio.process.kill()
    await studio.process.start()
    await gateway.start()
    await has(customer, available=5)
