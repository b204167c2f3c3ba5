"""Webhooks come twice, late, shuffled, forged or never, and every service dies again and again: the books are right."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator

import httpx2
import pytest

from deploy.embedded.databases import SERVICES
from deploy.embedded.stack import Stack, StackSettings
from libs.contracts.promo_codes import PromoTerms
from tests.e2e.conftest import TIRELESS, SignUp, move_clock
from tests.e2e.storm import CUSTOMERS, MORE, PAID, SCARCE, SCARCE_LEFT, Storm, eventually, wishes
from tests.e2e.test_promo_codes import put_code
from tests.support.sandbox import Sandbox
from tests.support.stripe_checks import Audit

SEED = int(os.environ.get("STORM_SEED") or random.SystemRandom().getrandbits(32))
PURCHASES = 200


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A stack of the storm's own, so that nothing of other tests lies in its books."""
    env = {"SCRIP_KAFKA_SESSION_TIMEOUT_MS": "3000", **TIRELESS}
    running = Stack(StackSettings(data=tmp_path_factory.mktemp("storm")), say=print, env=env)
    try:
        await running.start()
        yield running
    finally:
        await running.stop()


@pytest.fixture(scope="module")
def audit(stack: Stack) -> Audit:
    """Holds what passed between this stack and Stripe against Stripe's description."""
    return Audit(stack.addresses.stripe or "")


async def test_after_a_storm_every_charge_has_its_lot_and_nothing_is_left_open(
    stack: Stack, sandbox: Sandbox, gateway: httpx2.AsyncClient, sign_up: SignUp
) -> None:
    storm, wished = Storm(stack, sandbox, gateway, SEED), wishes(SEED, PURCHASES)
    customers = [await sign_up() for _ in range(CUSTOMERS)]
    percent = {"gives": {"kind": "percent", "percent": 20}, "total_limit": SCARCE_LEFT}
    await put_code(stack, SCARCE, PromoTerms.model_validate(percent))
    await put_code(stack, MORE, PromoTerms.model_validate({"gives": {"kind": "bonus_credits", "credits": "20"}}))

    async with storm.rages():
        await asyncio.gather(*(storm.come_true(wish, customers[wish.customer]) for wish in wished))
    move_clock(stack, minutes=20)  # the power comes back later
    await storm.is_over()

    left = await eventually(storm.unsettled, seconds=240)
    assert left == [], f"STORM_SEED={SEED}, after {dict(storm.killed)} deaths"
    await it_was_a_storm(storm)
    books = await sandbox.books()
    assert max(Counter(p["metadata"]["purchase"] for p in books["payment_intents"]).values()) == 1
    fates = Counter(wish.fate for wish in wished)
    assert sum(p["status"] == "succeeded" for p in books["payment_intents"]) == sum(fates[fate] for fate in PAID)
    assert len(books["refunds"]) == sum(fates[fate] for fate in fates if fate.startswith("refunded"))
    assert len(books["disputes"]) == fates["disputed"] + fates["won"] + fates["lost"]


async def it_was_a_storm(storm: Storm) -> None:
    """See that services died, webhooks were lost, forged and sent twice, and something was to be mended."""
    assert await storm.mended() > 0
    assert storm.killed.total() > len(SERVICES) + 1
    sent = (await storm.sandbox.http.get("/sandbox/deliveries")).json()["data"]
    fates = [each.get("fate", {}) for each in sent]
    assert sum(each["state"] == "dropped" for each in sent) > PURCHASES // 10
    assert sum(fate.get("signed_wrongly", False) for fate in fates) > PURCHASES // 20
    assert sum(fate.get("repeats", 0) for fate in fates) > PURCHASES // 5
