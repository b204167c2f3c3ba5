"""The path, from sign-up to refund, with every way in which its messages repeat and overtake each other."""

import asyncio

import httpx2
import pytest

from deploy.cli.customer import Customer, Refused, wait_for
from deploy.embedded.stack import Stack
from libs.contracts import ids
from libs.contracts.client import UsageClient
from libs.contracts.http.payments_v1 import Purchase
from tests.e2e.conftest import SignUp
from tests.support.sandbox import Sandbox
from tests.support.serving import speak

CHECKOUT = {"method": "checkout", "return_url": "http://127.0.0.1/thanks", "cancel_url": "http://127.0.0.1/shop"}
HD = {"resolution": "720p"}


async def test_sign_up_brings_the_welcome_bonus_once(customer: Customer) -> None:
    assert customer.session.balance is not None
    assert customer.session.balance.available == 10_000_000
    assert (await customer.balance()).by_kind == {"promotional": 10_000_000}


async def test_a_payment_intent_paid_becomes_credits_and_a_receipt(customer: Customer, stack: Stack) -> None:
    purchase = await customer.buy("starter")
    await customer.pay(purchase)
    await customer.wait_until(lambda b: b.available == 60_000_000)
    assert (await customer.purchase(purchase)).state == "succeeded"
    text = await mail_to(stack, customer, "receipt")
    assert "9.99 USD" in text
    assert purchase.id is not None
    assert ids.show("purchase", purchase.id) in text


async def test_a_hosted_checkout_paid_becomes_credits_with_the_packs_bonus(customer: Customer) -> None:
    purchase = await customer.buy("pro", **CHECKOUT)
    await customer.pay_page(purchase)
    await customer.wait_until(lambda b: b.available == 170_000_000)


async def test_a_custom_amount_costs_what_the_quote_says(customer: Customer) -> None:
    quoted = await customer.buy(amount_credits="12.5", quote_only=True)
    assert str(quoted.quote.price) == "2.50 USD"
    purchase = await customer.buy(amount_credits="12.5")
    await customer.pay(purchase)
    await customer.wait_until(lambda b: b.available == 22_500_000)


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        ("pm_card_visa_chargeDeclined", "card_declined"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined"),
    ],
)
async def test_a_declined_card_credits_nothing_and_another_card_may_pay(
    customer: Customer, card: str, reason: str
) -> None:
    purchase = await customer.buy("starter")
    assert (await customer.pay(purchase, card))["error"]["code"] == reason
    await wait_for(lambda: in_state(customer, purchase, "failed"))
    assert (await customer.balance()).available == 10_000_000
    await customer.pay(purchase)
    await customer.wait_until(lambda b: b.available == 60_000_000)


async def test_a_card_that_must_be_authenticated_pays_after_it_was(customer: Customer, sandbox: Sandbox) -> None:
    purchase = await customer.buy("starter")
    answer = await customer.pay(purchase, "pm_card_authenticationRequired")
    assert answer["status"] == "requires_action"
    await wait_for(lambda: in_state(customer, purchase, "requires_action"))
    page = answer["next_action"]["redirect_to_url"]["url"]
    await sandbox.http.post(page, data={"outcome": "pass"})
    await customer.wait_until(lambda b: b.available == 60_000_000)


async def test_the_same_webhook_many_times_at_once_credits_once(customer: Customer, sandbox: Sandbox) -> None:
    await sandbox.webhooks(duplicate=5)
    purchase = await customer.buy("starter")
    await customer.pay(purchase)
    await customer.wait_until(lambda b: b.available == 60_000_000)
    (succeeded,) = await sandbox.events(purchase, "payment_intent.succeeded")
    await sandbox.redeliver(succeeded, times=20)
    assert (await customer.balance()).available == 60_000_000


@pytest.mark.parametrize("seed", range(6))
async def test_webhooks_in_any_order_credit_once(customer: Customer, sandbox: Sandbox, seed: int) -> None:
    await sandbox.webhooks(reorder=6, duplicate=2, seed=seed)
    purchase = await customer.buy("starter", **CHECKOUT) if seed % 2 else await customer.buy("starter")
    await (customer.pay_page(purchase) if seed % 2 else customer.pay(purchase))
    await customer.wait_until(lambda b: b.available == 60_000_000)
    assert (await customer.purchase(purchase)).state == "succeeded"


async def test_two_tabs_with_one_idempotency_key_make_one_payment(customer: Customer, sandbox: Sandbox) -> None:
    both = await asyncio.gather(*(customer.buy("starter", key="one-click") for _ in range(5)))
    assert len({purchase.id for purchase in both}) == 1
    assert len(await sandbox.payments_of(both[0])) == 1
    with pytest.raises(Refused, match="PAY009"):
        await customer.buy("pro", key="one-click")


async def test_a_buyer_who_hears_none_of_five_answers_is_charged_once(
    customer: Customer, stack: Stack, sandbox: Sandbox
) -> None:
    body = b'{"pack": "starter"}'
    request = (
        "POST /v1/purchases HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nidempotency-key: the-purchase\r\n"
        f"authorization: Bearer {customer.session.access_token}\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body
    for pause in (0, 0.01, 0.03, 0.1, 0.3):  # he is gone at another moment each time
        await speak(stack.addresses.gateway, request, listen=False)
        await asyncio.sleep(pause)
    purchase = await customer.buy("starter", key="the-purchase")
    assert len(await sandbox.payments_of(purchase)) == 1
    account = ids.show("account", customer.account)
    started = [p for p in (await sandbox.books())["payment_intents"] if p["metadata"]["account"] == account]
    assert len(started) == 1
    await customer.pay(purchase)
    await customer.wait_until(lambda b: b.available == 60_000_000)


async def test_usage_over_kafka_burns_the_promotional_credits_first_and_once(customer: Customer, stack: Stack) -> None:
    await bought(customer, 60_000_000)
    async with UsageClient.kafka(stack.infrastructure.kafka, source="/tests/renderer") as client:
        for _ in range(3):
            await client.usage(customer.account, "video.generation", 3, HD, id="render-1")
    balance = await customer.wait_until(lambda b: b.available < 60_000_000)
    assert balance.by_kind == {"purchased": 45_000_000}
    assert [t.type for t in await customer.transactions()] == ["usage", "purchase", "bonus"]


async def test_usage_over_http_burns_too(customer: Customer, stack: Stack) -> None:
    key = await customer.api_key("usage:write")
    async with UsageClient.http(stack.addresses.gateway, key.secret or "", source="/tests/renderer") as client:
        await client.usage(customer.account, "video.generation", 1, HD)
    await customer.wait_until(lambda b: b.available == 5_000_000)


async def test_usage_that_cannot_be_covered_burns_nothing(customer: Customer, stack: Stack) -> None:
    async with UsageClient.kafka(stack.infrastructure.kafka, source="/tests/renderer") as client:
        await client.usage(customer.account, "video.generation", 100, HD)
        await client.usage(customer.account, "video.generation", 2, HD)
    await customer.wait_until(lambda b: b.available == 0)
    assert [t.type for t in await customer.transactions()] == ["usage", "bonus"]


async def test_a_full_refund_takes_the_credits_back_and_is_told_by_mail(customer: Customer, stack: Stack) -> None:
    purchase = await bought(customer, 60_000_000)
    await customer.refund(purchase)
    balance = await customer.wait_until(lambda b: b.totals.refunded == 50_000_000)
    assert (balance.available, balance.debt) == (10_000_000, 0)
    assert (await customer.purchase(purchase)).state == "refunded"
    assert "9.99 USD" in await mail_to(stack, customer, "refund")


async def test_refund_webhooks_in_any_order_take_back_once(customer: Customer, sandbox: Sandbox) -> None:
    purchase = await bought(customer, 60_000_000)
    await sandbox.webhooks(reorder=4, duplicate=3, seed=7)
    await customer.refund(purchase, amount={"amount_minor": 499, "currency": "usd"})
    await customer.refund(purchase)
    balance = await customer.wait_until(lambda b: b.totals.refunded == 50_000_000)
    assert balance.available == 10_000_000


async def test_a_refund_retried_with_its_key_gives_the_money_back_once(customer: Customer, sandbox: Sandbox) -> None:
    purchase = await bought(customer, 60_000_000)
    one, two = [await customer.refund(purchase, key="refund-once") for _ in range(2)]
    assert one.id == two.id
    (payment,) = await sandbox.payments_of(purchase)
    assert payment["amount_refunded"] == 999


async def test_the_balance_is_live_within_a_second(customer: Customer, gateway: httpx2.AsyncClient) -> None:
    headers = {"Authorization": f"Bearer {customer.session.access_token}"}
    purchase = await customer.buy("starter")
    async with gateway.stream("GET", "/v1/balance/stream", headers=headers) as stream:
        lines = stream.aiter_lines()
        assert '"available":"10"' in await anext(line async for line in lines if line.startswith("data:"))
        await customer.pay(purchase)
        await customer.wait_until(lambda b: b.available == 60_000_000)
        async with asyncio.timeout(1):
            assert '"available":"60"' in await anext(line async for line in lines if line.startswith("data:"))


async def test_nobody_sees_anothers_purchase(sign_up: SignUp) -> None:
    one, other = await sign_up(), await sign_up()
    purchase = await one.buy("starter")
    with pytest.raises(Refused, match="PAY010"):
        await other.purchase(purchase)
    with pytest.raises(Refused, match="PAY010"):
        await other.refund(purchase)


async def bought(customer: Customer, balance: int) -> Purchase:
    purchase = await customer.buy("starter")
    await customer.pay(purchase)
    await customer.wait_until(lambda b: b.available == balance)
    return purchase


async def in_state(customer: Customer, purchase: Purchase, state: str) -> bool:
    return (await customer.purchase(purchase)).state == state


async def mail_to(stack: Stack, customer: Customer, word: str) -> str:
    """Wait for a mail to the customer whose subject has the word; answers its text."""
    async with httpx2.AsyncClient(base_url=stack.addresses.mailbox or "", timeout=30) as mailbox:

        async def look() -> str | None:
            for mail in (await mailbox.get("/messages")).json():
                if customer.session.user.email in mail["recipients"] and word in mail["subject"].lower():
                    return str((await mailbox.get(f"/messages/{mail['id']}")).json()["text"])
            return None

        return await wait_for(look)
