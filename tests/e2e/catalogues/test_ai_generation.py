"""Generated images, video and audio, and their storage: packs and any amount, no welcome bonus; staff refund."""

from typing import Any

import pytest

from deploy.cli.customer import Customer, Refused
from deploy.embedded.stack import Stack
from libs.contracts.client import UsageClient
from tests.e2e.catalogues.story import available, bought, estimated, history, refunded_by_staff
from tests.e2e.test_path import mail_to
from tests.e2e.test_spending import Worker

CATALOGUE = "ai-generation"
PACKS = [
    ("c50", "5.00 USD", "50"),
    ("c100", "9.00 USD", "155"),
    ("c250", "20.00 USD", "420"),
    ("c500", "35.00 USD", "960"),
    ("c1000", "60.00 USD", "2060"),
    ("c5000", "250.00 USD", "7810"),
]
USES: list[tuple[str, int, dict[str, Any], str]] = [
    ("image.generation", 1, {}, "1"),
    ("image.generation", 1, {"quality": "hd"}, "1.5"),
    ("image.generation", 1, {"quality": "4k"}, "2"),
    ("video.generation", 1, {"seconds": 5}, "5"),
    ("video.generation", 1, {"seconds": 6}, "10"),
    ("audio.generation", 30, {}, "0.5"),
    ("audio.generation", 31, {}, "1"),
    ("storage", 1, {}, "0.01"),
]


async def test_every_pack_brings_its_credits_to_who_began_with_none(customer: Customer, stack: Stack) -> None:
    assert (await available(customer), await history(customer)) == ("0", [])
    for pack, price, after in PACKS:
        purchase = await bought(customer, pack)
        assert str(purchase.quote.price) == price
        assert await available(customer) == after
        assert price in await mail_to(stack, customer, f"{purchase.quote.description}, {price}".lower())
    own = await bought(customer, amount_credits="12.5")
    assert (str(own.quote.price), await available(customer)) == ("1.25 USD", "7822.5")


async def test_who_buys_much_pays_less_for_each_and_his_receipt_says_so(customer: Customer, stack: Stack) -> None:
    own = await bought(customer, amount_credits="2000")
    assert [str(amount) for amount in (own.quote.list_price, own.quote.discount, own.quote.price)] == [
        "200.00 USD", "20.00 USD", "180.00 USD",
    ]  # fmt: skip
    receipt = await mail_to(stack, customer, "receipt")
    for word in ("200.00 USD", "-20.00 USD, volume", "180.00 USD", "Visa ending in 4242"):
        assert word in receipt
    assert (
        await customer.buy(amount_credits="1999.5", quote_only=True)
    ).quote.price == own.quote.price  # never more than 2 000 cost


async def test_every_use_costs_what_was_estimated(customer: Customer, worker: Worker) -> None:
    await bought(customer, "c50")
    for meter, quantity, properties, credits in USES:
        assert await estimated(worker, meter, quantity, **properties) == credits
        charge = await worker.done("/v1/charges", {"meter": meter, "quantity": quantity, "properties": properties})
        assert charge["credits"] == credits
    assert await available(customer) == "28.99"


async def test_the_same_uses_reported_as_events_cost_the_same(customer: Customer, stack: Stack) -> None:
    await bought(customer, "c50")
    key = await customer.api_key("usage:write")
    async with UsageClient.http(stack.addresses.gateway, key.secret or "", source="/stories/studio") as client:
        for meter, quantity, properties, _ in USES:
            await client.usage(customer.account, meter, quantity, properties)
    await customer.wait_until(lambda b: b.available == 28_990_000)
    assert await history(customer) == [("purchase", "50"), *(("usage", f"-{credits}") for *_, credits in USES)]


async def test_a_failed_video_is_given_back_and_staff_refund_the_pack(
    customer: Customer, worker: Worker, stack: Stack
) -> None:
    pack = await bought(customer, "c100")
    video = {"meter": "video.generation", "quantity": 1, "properties": {"seconds": 6}}
    failed = await worker.done("/v1/charges", video)
    assert await available(customer) == "95"
    await worker.done(f"/v1/charges/{failed['id']}/refunds", {})
    assert await available(customer) == "105"
    with pytest.raises(Refused, match="PAY012"):
        await customer.refund(pack)
    await refunded_by_staff(stack, customer, pack, credits=105)
    assert (await available(customer), (await customer.purchase(pack)).state) == ("0", "refunded")
    assert "9.00 USD" in await mail_to(stack, customer, "refund")
