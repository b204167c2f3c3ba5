"""Servers die, lose everything, come back; workers come and go: nothing is lost, nothing doubled."""

import asyncio
import random
from functools import partial

import asyncpg
import pytest

from deploy.cli.customer import Customer, wait_for
from deploy.embedded.stack import Stack
from libs.contracts.client import UsageClient
from tests.e2e.conftest import SignUp
from tests.e2e.test_crashes import persistently
from tests.support.sandbox import Sandbox

HD = {"resolution": "720p"}


async def test_webhooks_that_arrive_while_the_broker_is_down_are_all_credited_after(
    sign_up: SignUp, stack: Stack, sandbox: Sandbox
) -> None:
    customers = [await sign_up() for _ in range(5)]
    purchases = [await customer.buy("starter") for customer in customers]
    stack.infrastructure.broker.process.kill()
    try:
        for customer, purchase in zip(customers, purchases, strict=True):
            await customer.pay(purchase)
        for purchase in purchases:
            (succeeded,) = await sandbox.events(purchase, "payment_intent.succeeded")
            await sandbox.delivered(succeeded)
    finally:
        await stack.infrastructure.broker.start()
    for customer in customers:
        assert (await customer.wait_until(lambda b: b.available > 10_000_000, seconds=60)).available == 60_000_000


async def test_a_broker_that_forgot_everything_loses_and_doubles_nothing(sign_up: SignUp, stack: Stack) -> None:
    before, during, after = [await sign_up() for _ in range(3)]
    await (await paid(before)).wait_until(lambda b: b.available == 60_000_000)
    await paid(during)
    await stack.infrastructure.broker.wipe()
    await paid(after)
    for customer in (before, during, after):
        balance = await customer.wait_until(lambda b: b.available > 10_000_000, seconds=60)
        assert balance.available == 60_000_000
    await stack_is_ready(stack)


async def test_a_webhook_that_was_published_but_lost_with_the_broker_is_told_again(
    sign_up: SignUp, stack: Stack, sandbox: Sandbox
) -> None:
    customer = await sign_up()
    purchase = await customer.buy("starter")
    stack.processes["payments"].pause()
    try:
        await customer.pay(purchase)
        (succeeded,) = await sandbox.events(purchase, "payment_intent.succeeded")
        await sandbox.delivered(succeeded)
        await wait_for(lambda: all_published(stack))
        await stack.infrastructure.broker.wipe()
    finally:
        stack.processes["payments"].resume()
    assert (await customer.wait_until(lambda b: b.available > 10_000_000, seconds=60)).available == 60_000_000


async def all_published(stack: Stack) -> bool:
    """Tell whether the broker has all that the gateway has to tell."""
    conn = await asyncpg.connect(stack.databases["gateway"].app_url)
    try:
        return not await conn.fetchval("SELECT count(*) FROM outbox WHERE published_at IS NULL")
    finally:
        await conn.close()


async def test_losing_redis_only_delays(sign_up: SignUp, stack: Stack) -> None:
    customer = await sign_up()
    stack.infrastructure.valkey.process.kill()
    try:
        await (await paid(customer)).wait_until(lambda b: b.available == 60_000_000)
    finally:
        await stack.infrastructure.valkey.start()


async def test_a_database_server_killed_under_load_loses_no_payment(sign_up: SignUp, stack: Stack) -> None:
    customers = [await sign_up() for _ in range(4)]

    async def buy_persistently(customer: Customer) -> None:
        purchase = await persistently(lambda: customer.buy("starter", key="the-purchase"))
        await customer.pay(purchase)

    buying = [asyncio.create_task(buy_persistently(customer)) for customer in customers]
    await asyncio.sleep(random.uniform(0, 0.1))  # somewhere within the purchases
    stack.infrastructure.postgres.process.kill()
    await stack.infrastructure.postgres.start()
    await asyncio.gather(*buying)
    for customer in customers:
        balance = await persistently(partial(customer.wait_until, lambda b: b.available > 10_000_000, seconds=30))
        assert balance.available == 60_000_000


async def test_two_workers_and_a_rebalance_in_the_middle_of_a_stream_charge_exactly(
    sign_up: SignUp, stack: Stack
) -> None:
    customers = [await paid(await sign_up(), "business") for _ in range(4)]
    for customer in customers:
        await customer.wait_until(lambda b: b.available == 560_000_000)
    second = stack.add("credits", "worker", name="credits-2")
    try:
        async with UsageClient.kafka(stack.infrastructure.kafka, source="/tests/renderer") as client:
            await stream(client, customers, events=100)
            joining = asyncio.create_task(second.start())
            await stream(client, customers, events=100)
            await joining
            await stream(client, customers, events=100)
            second.kill()
            await stream(client, customers, events=100)
    finally:
        await second.stop()
        del stack.processes["credits-2"]
    for customer in customers:
        balance = await customer.wait_until(lambda b: b.available <= 60_000_000, seconds=60)
        assert balance.available == 60_000_000


async def stream(client: UsageClient, customers: list[Customer], *, events: int) -> None:
    """Report events of five credits each, the same number for each customer, one in ten of them twice."""
    for number in range(events):
        for id in [f"{random.getrandbits(64):x}"] * (2 if number % 10 == 0 else 1):
            await client.usage(customers[number % len(customers)].account, "video.generation", 1, HD, id=id)
        await asyncio.sleep(0.005)


async def paid(customer: Customer, pack: str = "starter") -> Customer:
    """Have a customer buy and pay a pack."""
    await customer.pay(await customer.buy(pack))
    return customer


async def stack_is_ready(stack: Stack) -> None:
    """Wait until every service says that it is ready."""
    for process in stack.processes.values():
        assert await wait_for(process.ready, seconds=60)


@pytest.fixture(autouse=True)
async def everything_is_back(stack: Stack) -> None:
    """Begin with a stack that is whole."""
    await stack_is_ready(stack)
