"""Every service is killed between "claimed" and "committed", and once more right after: one effect all the same."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

import httpx2
import pytest

from deploy.cli.customer import Customer, Refused, wait_for
from deploy.embedded.stack import Stack
from libs.contracts.client import UsageClient
from libs.contracts.errors import NOT_AUTHENTICATED, UNAVAILABLE
from tests.e2e.conftest import SignUp, fail_point_file, move_clock
from tests.e2e.test_path import bought, mail_to
from tests.support.sandbox import Sandbox

T = TypeVar("T")

BUYING = [
    "payments.start.before_commit",
    "payments.start.after_commit",
    "payments.customer.before_commit",
    "payments.pay.before_commit",
    "payments.answer.before_commit",
    "payments.answer.after_commit",
    "gateway.webhook.before_commit",
    "gateway.webhook.after_commit",
    "payments.settle.before_commit",
    "payments.settle.after_commit",
    "credits.settle.before_commit",
    "credits.settle.after_commit",
    "notifications.receipt.before_commit",
]
REFUNDING = [
    "payments.refund.before_commit",
    "payments.refund.after_commit",
    "payments.refund_answer.before_commit",
    "credits.settle.before_commit",
    "credits.settle.after_commit",
]
USING = ["credits.burn.before_commit", "credits.burn.after_commit"]
RELAYING = ["gateway", "payments", "credits"]


async def killed_at(stack: Stack, service: str, point: str, work: Callable[[], Awaitable[T]]) -> T:
    """Do some work during which a service dies at a point, and is started again as soon as it has."""
    process = stack.processes[service]
    fail_point_file(stack).write_text(point, "ascii")
    working = asyncio.ensure_future(work())
    async with asyncio.timeout(30):
        assert await process.ended() == -9, f"it ended before {point}"
    await process.start()
    return await working


async def persistently(ask: Callable[[], Awaitable[T]], *, seconds: float = 60) -> T:
    """Ask until there is an answer, as a careful client does."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                return await ask()
            except httpx2.TransportError:
                pass
            except Refused as refused:
                if refused.code != UNAVAILABLE.code:
                    raise
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("point", BUYING)
async def test_a_purchase_is_credited_once_though_a_service_dies(
    customer: Customer, stack: Stack, sandbox: Sandbox, point: str
) -> None:
    async def buy_and_pay() -> None:
        purchase = await persistently(lambda: customer.buy("starter", key="the-purchase"))
        await customer.pay(purchase)

    await killed_at(stack, point.partition(".")[0], point, buy_and_pay)
    balance = await persistently(lambda: customer.wait_until(lambda b: b.available >= 60_000_000))
    assert balance.available == 60_000_000
    purchase = await persistently(lambda: customer.buy("starter", key="the-purchase"))
    assert len(await sandbox.payments_of(purchase)) == 1
    assert "9.99 USD" in await mail_to(stack, customer, "receipt")


@pytest.mark.parametrize("point", ["notifications.deliver.before_send", "notifications.deliver.after_send"])
async def test_a_receipt_is_sent_though_notifications_dies_while_sending(
    customer: Customer, stack: Stack, point: str
) -> None:
    async def buy_and_pay() -> None:
        await customer.pay(await customer.buy("starter"))

    await killed_at(stack, "notifications", point, buy_and_pay)
    move_clock(stack, minutes=30)  # past the time for which the dead worker had claimed the delivery
    async with httpx2.AsyncClient(base_url=stack.addresses.mailbox or "", timeout=30) as mailbox:
        params = {"to": customer.session.user.email}

        async def tried_again() -> list[dict[str, Any]] | None:
            found: list[dict[str, Any]] = (await mailbox.get("/messages", params=params)).json()
            return found if len(found) == (2 if point.endswith("after_send") else 1) else None

        mails = [(await mailbox.get(f"/messages/{mail['id']}")).json() for mail in await wait_for(tried_again)]
    assert len({mail["headers"]["Message-ID"] for mail in mails}) == 1


@pytest.mark.parametrize("point", REFUNDING)
async def test_a_refund_takes_back_once_though_a_service_dies(
    customer: Customer, stack: Stack, sandbox: Sandbox, point: str
) -> None:
    purchase = await bought(customer, 60_000_000)
    refund = partial(persistently, lambda: customer.refund(purchase, key="the-refund"))
    await killed_at(stack, point.partition(".")[0], point, refund)
    balance = await persistently(lambda: customer.wait_until(lambda b: b.totals.refunded >= 50_000_000))
    assert (balance.available, balance.totals.refunded) == (10_000_000, 50_000_000)
    (payment,) = await sandbox.payments_of(purchase)
    assert payment["amount_refunded"] == 999


@pytest.mark.parametrize("point", USING)
async def test_usage_is_charged_once_though_credits_dies(customer: Customer, stack: Stack, point: str) -> None:
    async def use() -> None:
        async with UsageClient.kafka(stack.infrastructure.kafka, source="/tests/renderer") as client:
            await client.usage(customer.account, "video.generation", 1, {"resolution": "720p"})

    await killed_at(stack, "credits", point, use)
    balance = await persistently(lambda: customer.wait_until(lambda b: b.available < 10_000_000))
    assert balance.available == 5_000_000


@pytest.mark.parametrize("service", RELAYING)
async def test_an_event_published_but_not_marked_is_told_again_and_changes_nothing(
    customer: Customer, stack: Stack, service: str
) -> None:
    purchase = await customer.buy("starter")
    point = "outbox.publish.before_mark"
    process = stack.processes[service]
    usual = dict(process.env)
    await process.restart(env={**usual, "SCRIP_FAIL_POINT": point})
    process.env = usual
    paying = asyncio.create_task(customer.pay(purchase))
    async with asyncio.timeout(30):
        assert await process.ended() == -9, f"it ended before {point}"
    await process.start()
    await paying
    balance = await persistently(lambda: customer.wait_until(lambda b: b.available >= 60_000_000))
    assert balance.available == 60_000_000


@pytest.mark.parametrize("point", ["gateway.register.before_commit", "gateway.register.after_commit"])
async def test_a_sign_up_opens_one_account_though_the_gateway_dies(
    gateway: httpx2.AsyncClient, stack: Stack, point: str
) -> None:
    login = {"email": f"{point}@example.com", "password": "correct horse battery"}

    async def register() -> httpx2.Response:
        return await gateway.post("/v1/auth/register", json={**login, "name": "A Customer"})

    async def fail_to_register() -> None:
        with pytest.raises(httpx2.TransportError):
            await register()

    await killed_at(stack, "gateway", point, fail_to_register)
    again = await register()
    assert again.status_code == (201 if point.endswith("before_commit") else 409)
    session = (await gateway.post("/v1/auth/login", json=login)).json()
    headers = {"Authorization": f"Bearer {session['access_token']}"}

    async def balance() -> dict[str, object]:
        answer = await gateway.get("/v1/balance", headers=headers)
        if answer.status_code != 200:
            raise httpx2.TransportError("the ledger account is not open yet")
        found: dict[str, object] = answer.json()
        return found

    assert (await persistently(balance))["available"] == "10"


async def test_a_session_outlives_the_gateway_that_gave_it(sign_up: SignUp, stack: Stack) -> None:
    customer = await sign_up()
    stack.processes["gateway"].kill()
    await stack.processes["gateway"].start()
    assert (await customer.balance()).available == 10_000_000
    customer.session = customer.session.model_copy(update={"access_token": "forged"})
    with pytest.raises(Refused, match=NOT_AUTHENTICATED.code):
        await customer.balance()
