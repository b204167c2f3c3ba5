"""Video: packs and any amount of credits, spent by the started minute."""

from typing import Any

import pytest

from deploy.cli.customer import Customer, Refused
from deploy.embedded.stack import Stack
from tests.e2e.catalogues.story import available, bought, by_kind, estimated, history, refunded, usd
from tests.e2e.test_path import mail_to
from tests.e2e.test_spending import Worker

CATALOGUE = "video"
METER = "video.generation"
PACKS = [
    ("starter", "Starter: 50 credits, 9.99 USD", "60"),
    ("pro", "Pro: 150 + 10 credits, 24.99 USD", "220"),
    ("business", "Business: 500 + 50 credits, 79.99 USD", "770"),
    ("enterprise", "Enterprise: 2000 + 200 credits, 299.99 USD", "2970"),
]
VIDEOS: list[tuple[float, dict[str, Any], str, str]] = [
    (3, {"resolution": "720p"}, "15", "155"),
    (5, {"resolution": "1080p", "custom_music": True}, "42", "113"),
    (10, {"resolution": "720p", "premium_tts": True}, "53", "60"),
    (2.1, {"resolution": "1080p", "ai_enhancement": True}, "28", "32"),
]


async def test_every_pack_brings_its_credits_on_top_of_the_welcome(customer: Customer, stack: Stack) -> None:
    assert await by_kind(customer) == {"promotional": "10"}
    for pack, receipt, after in PACKS:
        purchase = await bought(customer, pack)
        assert f"{purchase.quote.description}, {purchase.quote.price}" == receipt
        assert await available(customer) == after
        await mail_to(stack, customer, f"your receipt: {receipt.lower()}")
    kept = [("bonus", "10"), ("purchase", "50"), ("purchase", "160"), ("purchase", "550"), ("purchase", "2200")]
    assert await history(customer) == kept


async def test_an_amount_of_ones_own_costs_twenty_cents_a_credit_unless_a_pack_has_it(customer: Customer) -> None:
    own = await bought(customer, amount_credits="12.5")
    assert (own.quote.pack, str(own.quote.price)) == (None, "2.50 USD")
    for_money = await bought(customer, amount_money=usd(1500))
    assert (for_money.quote.pack, for_money.quote.credits) == (None, 75_000_000)
    packed = await bought(customer, amount_credits="150")
    assert (packed.quote.pack, str(packed.quote.price)) == ("pro", "24.99 USD")
    assert await available(customer) == "257.5"


async def test_a_video_costs_what_was_estimated_for_its_started_minutes(customer: Customer, worker: Worker) -> None:
    await bought(customer, "pro")
    for minutes, properties, credits, left in VIDEOS:
        assert await estimated(worker, METER, minutes, **properties) == credits
        charge = await worker.done("/v1/charges", {"meter": METER, "quantity": minutes, "properties": properties})
        assert (charge["credits"], charge["balance"]["available"]) == (credits, left)


async def test_a_failed_video_is_given_back_and_a_refunded_pack_takes_its_credits(
    customer: Customer, worker: Worker, stack: Stack
) -> None:
    starter = await bought(customer, "starter")
    video = {"meter": METER, "quantity": 3, "properties": {"resolution": "720p"}}
    failed = await worker.done("/v1/charges", video)
    assert await by_kind(customer) == {"purchased": "45"}
    await worker.done(f"/v1/charges/{failed['id']}/refunds", {})
    assert await by_kind(customer) == {"promotional": "10", "purchased": "50"}
    await worker.done("/v1/charges", video | {"quantity": 2})
    await refunded(customer, starter, credits=50)
    assert await available(customer) == "0"
    assert "9.99 USD" in await mail_to(stack, customer, "refund")
    with pytest.raises(Refused, match="PAY001"):
        await worker.done("/v1/charges", video)
    moved = ["bonus", "purchase", "charge", "charge_refund", "charge", "hold", "payment_refund"]
    assert [what for what, _ in await history(customer)] == moved
