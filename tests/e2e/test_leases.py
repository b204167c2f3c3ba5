"""Work whose cost is not known before, through the client and the whole stack, and what becomes of it in the sums."""

from datetime import timedelta

import httpx2

from deploy.cli.customer import Customer, wait_for
from deploy.embedded.stack import Stack
from libs.chassis.clock import Clock
from libs.contracts.client import CreditsClient
from libs.contracts.ids import show
from tests.e2e.conftest import move_clock

CREDIT = 1_000_000
VIDEO = {"meter": "video.generation", "properties": {"resolution": "720p"}}


async def test_a_stream_is_settled_as_it_goes_on_and_shows_in_the_sums(customer: Customer, stack: Stack) -> None:
    key = await customer.api_key("holds:write", "credits:read")
    account = show("account", customer.account)
    async with CreditsClient(stack.addresses.gateway, key.secret or "") as credits:
        async with credits.lease(account, **VIDEO, reserve="5", heartbeat_seconds=60) as lease:  # type: ignore[arg-type]
            lease.use("0.4")
            assert ((await lease.settle()).captured, lease.go_on) == (5 * CREDIT, True)
            lease.use("0.5")
        assert lease.captured == 5 * CREDIT
    await customer.wait_until(lambda b: (b.available, b.held) == (5 * CREDIT, 0))
    today = Clock().now().date()
    asked = {"from": str(today - timedelta(days=1)), "to": str(today + timedelta(days=1))}
    headers = {"Authorization": f"Bearer {key.secret}"}

    async with httpx2.AsyncClient(base_url=stack.addresses.gateway, headers=headers) as http:

        async def summed() -> bool:
            found = (await http.get("/v1/usage/by-meter", params=asked)).json()
            return [(each["key"], each["credits"]) for each in found["data"]] == [("video.generation", "5")]

        assert await wait_for(summed)
        assert (await http.get("/v1/usage/forecast")).json()["available"] == "5"


async def test_a_stream_whose_worker_is_gone_costs_what_it_told_last(customer: Customer, stack: Stack) -> None:
    key = await customer.api_key("holds:write")
    async with CreditsClient(stack.addresses.gateway, key.secret or "", patience_seconds=5) as credits:
        lease = credits.lease(customer.account, **VIDEO, reserve="5", heartbeat_seconds=60)  # type: ignore[arg-type]
        await lease.__aenter__()
        lease.use(1)
        await lease.settle()
        lease.use(3)
        await customer.wait_until(lambda b: (b.available, b.held) == (0, 5 * CREDIT))
        move_clock(stack, minutes=2)
        await customer.wait_until(lambda b: (b.available, b.held) == (5 * CREDIT, 0))
        await lease.__aexit__(None, None, None)
    await customer.wait_until(lambda b: (b.available, b.held) == (5 * CREDIT, 0))
