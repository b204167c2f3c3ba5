"""Spending, through the gateway: charges, jobs that hold and capture, and what a dying service does to them."""

import asyncio
from typing import Any

import httpx2
import pytest

from deploy.cli.customer import Customer, good
from deploy.embedded.stack import Stack
from tests.e2e.conftest import SignUp, move_clock
from tests.e2e.test_crashes import killed_at, persistently

HD = {"resolution": "720p"}


class Worker:
    """A service of the customer's, with an API key."""

    def __init__(self, http: httpx2.AsyncClient, secret: str) -> None:
        self._http = http
        self._secret = secret
        self._asked = 0

    async def ask(self, path: str, body: Any = None, *, key: str | None = None) -> httpx2.Response:
        """Have something done, under a key of its own unless one is named."""
        self._asked += 1
        headers = {"X-Api-Key": self._secret, "Idempotency-Key": key or f"ask-{self._asked}"}
        return await self._http.post(path, json=body, headers=headers)

    async def done(self, path: str, body: Any = None, *, key: str | None = None) -> dict[str, Any]:
        """Have something done, and give the answer. Raises Refused."""
        answer = await self.ask(path, body, key=key)
        good(answer)
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture
async def worker(customer: Customer, gateway: httpx2.AsyncClient) -> Worker:
    """The customer's worker, which may charge and hold."""
    key = await customer.api_key("charges:write", "holds:write")
    return Worker(gateway, key.secret or "")


async def test_a_charge_and_its_refund_show_in_the_balance_and_in_the_history(
    customer: Customer, worker: Worker
) -> None:
    made = await worker.done("/v1/charges", {"amount": "4", "reference": {"type": "lesson", "id": "1"}})
    again = await worker.done("/v1/charges", {"amount": "4", "reference": {"type": "lesson", "id": "1"}})
    assert (made["id"], made["balance"]["available"]) == (again["id"], "6")
    refund = await worker.done(f"/v1/charges/{made['id']}/refunds", {"amount": "1.5"})
    assert (refund["charge"]["refunded"], refund["balance"]["available"]) == ("1.5", "7.5")
    assert (await customer.balance()).available == 7_500_000
    told = [(t.type, t.credits, t.reference_type) for t in await customer.transactions()]
    assert told == [
        ("charge_refund", 1_500_000, "charge"),
        ("charge", -4_000_000, "lesson"),
        ("bonus", 10_000_000, "welcome"),
    ]


async def test_a_job_holds_what_it_may_cost_and_burns_what_it_did(customer: Customer, worker: Worker) -> None:
    job = {"type": "render", "id": "job-1"}
    hold = await worker.done(
        "/v1/holds", {"meter": "video.generation", "quantity": 2, "properties": HD, "reference": job}
    )
    assert (hold["reserved"], hold["balance"]["held"]) == ("10", "10")
    assert (await worker.ask("/v1/charges", {"amount": "1"})).status_code == 402
    captured = await worker.done(f"/v1/holds/{hold['id']}/capture", {"amount": "5"})
    assert (captured["state"], captured["balance"]["available"], captured["balance"]["held"]) == ("captured", "5", "0")
    assert (await customer.balance()).totals.spent == 5_000_000


async def test_a_hold_of_a_worker_that_died_frees_itself(customer: Customer, worker: Worker, stack: Stack) -> None:
    await worker.done("/v1/holds", {"amount": "10", "expires_in": 60})
    assert (await customer.balance()).available == 0
    move_clock(stack, minutes=2)
    await customer.wait_until(lambda b: (b.available, b.held) == (10_000_000, 0))


async def test_fifty_charges_at_once_on_a_balance_for_ten_accept_exactly_ten(
    customer: Customer, worker: Worker
) -> None:
    answers = await asyncio.gather(*(worker.ask("/v1/charges", {"amount": "1"}) for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [201] * 10 + [402] * 40
    assert (await customer.balance()).available == 0


async def test_charges_are_live_in_the_customers_stream(
    customer: Customer, worker: Worker, gateway: httpx2.AsyncClient
) -> None:
    headers = {"Authorization": f"Bearer {customer.session.access_token}"}
    async with gateway.stream("GET", "/v1/balance/stream", headers=headers) as stream:
        lines = stream.aiter_lines()
        assert '"available":"10"' in await anext(line async for line in lines if line.startswith("data:"))
        await worker.done("/v1/charges", {"amount": "3"})
        async with asyncio.timeout(5):
            assert '"available":"7"' in await anext(line async for line in lines if line.startswith("data:"))


async def test_nobody_sees_or_settles_anothers_charges_and_holds(sign_up: SignUp, gateway: httpx2.AsyncClient) -> None:
    one, other = [
        Worker(gateway, (await (await sign_up()).api_key("charges:write", "holds:write")).secret or "")
        for _ in range(2)
    ]
    charge, hold = await one.done("/v1/charges", {"amount": "1"}), await one.done("/v1/holds", {"amount": "1"})
    answers = [
        await other.ask(f"/v1/charges/{charge['id']}/refunds", {}),
        await other.ask(f"/v1/holds/{hold['id']}/capture", {"amount": "1"}),
        await other.ask(f"/v1/holds/{hold['id']}/release"),
    ]
    assert [answer.status_code for answer in answers] == [404] * 3


@pytest.mark.parametrize("point", ["credits.write.before_commit", "credits.write.after_commit"])
async def test_a_charge_retried_with_its_key_burns_once_though_the_ledger_died(
    customer: Customer, worker: Worker, stack: Stack, point: str
) -> None:
    async def charge() -> dict[str, Any]:
        return await persistently(lambda: worker.done("/v1/charges", {"amount": "4"}, key="the-charge"))

    made = await killed_at(stack, "credits", point, charge)
    assert made["balance"]["available"] == "6"
    assert (await customer.balance()).available == 6_000_000
