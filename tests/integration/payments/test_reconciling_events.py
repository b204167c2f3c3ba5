"""What moves no money shows in no balance: Stripe's list of events brings the books right."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from deploy.embedded.databases import ServiceDatabase
from deploy.embedded.infrastructure import Infrastructure
from libs.contracts.catalogue import Policies
from libs.contracts.credits import MICRO
from libs.contracts.events import DisputeClosed, DisputeOpened, EarlyFraudWarning
from libs.contracts.http.payments_v1 import Purchase
from services.payments.domain.stripe_objects import StripeEvent
from services.payments.operations import comparing_events
from services.payments.operations.stripe_events import LISTED, handle_stripe_event
from tests.integration.payments.reconciled import Accountant, accounting
from tests.integration.payments.shop import CATALOGUE
from tests.support.databases import ServicePool

LISTS = ["GET /v1/balance_transactions", "GET /v1/events"]
CAREFUL = CATALOGUE.model_copy(update={"policies": Policies.model_validate({"early_fraud_warning": "refund"})})


@pytest.fixture
async def accountant(
    server: asyncpg.Connection,
    templates: dict[str, ServiceDatabase],
    infrastructure: Infrastructure,
    tmp_path: Path,
) -> AsyncIterator[Accountant]:
    """A shop that refunds what an issuer warns of; no webhook reaches it."""
    async with accounting(ServicePool(server, templates), infrastructure, tmp_path, catalogue=CAREFUL) as accountant:
        await accountant.follow()
        await accountant.go_through()
        yield accountant


async def bought(accountant: Accountant, card: str = "pm_card_visa") -> Purchase:
    """Buy 160 credits; the buyer comes back, so that it is settled without a webhook."""
    purchase = await accountant.shop.start(pack="pro")
    assert await accountant.shop.pay(purchase, card) == "succeeded"
    await accountant.shop.confirm(purchase)
    await accountant.publish()
    return purchase


async def at_the_bank(accountant: Accountant, purchase: Purchase, what: str, **how: Any) -> str:
    """Have the bank of a purchase do something."""
    return str((await accountant.shop.sandbox.post(f"charges/{await accountant.charge(purchase)}/{what}", how))["id"])


async def told(accountant: Accountant, purchase: Purchase, kind: type[Any]) -> list[Any]:
    return [event for event in await accountant.shop.told(purchase) if isinstance(event, kind)]


async def states(accountant: Accountant, *purchases: Purchase) -> list[str]:
    return [(await accountant.shop.show(purchase)).state for purchase in purchases]


async def reconciled(accountant: Accountant, how: str, minutes: int) -> None:
    """Let time pass, and have the books compared in this way; then the job that makes refunds comes round."""
    await accountant.later(timedelta(minutes=minutes))
    if how == "full":
        await accountant.go_through()
    else:
        while await accountant.follow():
            pass
    await accountant.later(timedelta(minutes=minutes + 3))
    await accountant.shop.resolve_refunds()
    await accountant.publish()


@pytest.mark.parametrize("how", ["continuous", "full"])
async def test_what_moves_no_money_is_made_good_when_every_webhook_of_it_is_lost(
    accountant: Accountant, how: str
) -> None:
    warned, asked, lost = [await bought(accountant) for _ in range(3)]
    pending = await bought(accountant, "pm_card_pendingRefund")
    refund = await accountant.shop.refund(pending)
    await at_the_bank(accountant, warned, "fraud_warning")
    inquiry = await at_the_bank(accountant, asked, "dispute", inquiry=True)
    dispute = await at_the_bank(accountant, lost, "dispute")
    assert refund.state == "pending"
    await reconciled(accountant, how, 10)
    assert await states(accountant, warned, asked, lost) == ["refunded", "disputed", "disputed"]
    assert len(await told(accountant, warned, EarlyFraudWarning)) == 1
    assert (await accountant.shop.bank.ledger.balance(asked.account)).held == 160 * MICRO
    await accountant.shop.sandbox.post(f"disputes/{inquiry}/close", {"outcome": "warning_closed"})
    await accountant.shop.sandbox.post(f"disputes/{dispute}/close", {"outcome": "lost"})
    await reconciled(accountant, how, 20)
    assert await states(accountant, asked, lost, pending) == ["succeeded", "disputed", "refunded"]
    for purchase, outcome in ((asked, "closed"), (lost, "lost")):
        assert len(await told(accountant, purchase, DisputeOpened)) == 1
        assert [event.outcome for event in await told(accountant, purchase, DisputeClosed)] == [outcome]
    async with accountant.shop.pool.connection() as conn:
        assert await conn.fetchval("SELECT array_agg(DISTINCT state) FROM refund") == ["succeeded"]
    assert [await accountant.shop.bank.ledger.available(each.account) for each in (warned, asked, lost, pending)] == [
        0, 160 * MICRO, 0, 0
    ]  # fmt: skip
    found = await accountant.go_through()
    assert (found.drift, found.findings) == (0, [])


async def test_an_event_that_was_handled_costs_no_call_again(accountant: Accountant) -> None:
    purchase = await bought(accountant)
    await accountant.shop.refund(purchase, 1000)
    for event in await accountant.shop.events(purchase, "refund.created", "charge.refunded"):
        await accountant.shop.tell(event)
    await accountant.shop.refund(purchase, 499)
    await accountant.later(timedelta(minutes=10))
    asked = list(await accountant.asked_of_stripe(accountant.follow()))
    assert len(asked) > len(LISTS)
    assert await accountant.kinds() == ([], [])  # it made us look, and we knew
    await accountant.publish()
    for _ in range(2):
        assert await accountant.asked_of_stripe(accountant.follow()) == LISTS
    assert await accountant.asked_of_stripe(accountant.go_through()) == LISTS
    async with accountant.shop.pool.connection() as conn:
        assert await conn.fetchval("SELECT count(*) FROM handled_event") >= 4


async def test_an_event_that_cannot_be_handled_is_found_and_holds_up_no_other(
    accountant: Accountant, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await bought(accountant), await bought(accountant)
    for purchase in (first, second):
        await at_the_bank(accountant, purchase, "dispute", inquiry=True)
    broken = (await accountant.shop.events(first, "charge.dispute.created"))[0]["id"]

    async def handle(pool: Any, stripe: Any, settler: Any, event: StripeEvent, **more: Any) -> str:
        if event.id == broken:
            raise LookupError("a bug")
        return await handle_stripe_event(pool, stripe, settler, event, **more)

    monkeypatch.setattr(comparing_events, "handle_stripe_event", handle)
    await accountant.later(timedelta(minutes=10))
    await accountant.follow()
    found = await accountant.show()
    assert [(one.kind, one.object) for one in found.findings] == [("event_unhandled", broken)]
    assert (found.drift, await states(accountant, first, second)) == (1, ["succeeded", "disputed"])
    monkeypatch.undo()
    await accountant.publish()
    found = await accountant.go_through()
    assert (found.drift, await states(accountant, first, second)) == (0, ["disputed", "disputed"])


async def test_a_pass_that_stood_until_stripe_has_forgotten_its_place_ends(
    accountant: Accountant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.payments.clients.stripe_lists._PAGE", 1)
    purchase = await bought(accountant)
    await accountant.shop.refund(purchase)
    await accountant.publish()
    await accountant.step(begin=True)
    while not any(walk.what == "events" and walk.compared for walk in (await accountant.step()).walks):
        pass
    async with accountant.shop.pool.transaction() as conn:
        await conn.execute(
            "UPDATE reconciliation SET cursor = 'evt_forgotten' WHERE what = 'events' AND scope = 'full'"
        )
    while not (done := await accountant.step()).done:
        await accountant.publish()
    assert [walk.compared for walk in done.walks if walk.what == "events"] == [1]


async def test_what_was_handled_is_forgotten_once_stripe_lists_it_no_more(accountant: Accountant) -> None:
    purchase = await bought(accountant)
    await accountant.shop.refund(purchase)
    await accountant.publish()
    await accountant.go_through()
    await accountant.later(timedelta(days=41))
    await accountant.go_through()
    async with accountant.shop.pool.connection() as conn:
        assert await conn.fetchval("SELECT count(*) FROM handled_event") == 0


def test_stripe_lists_all_these_types_in_one_call() -> None:
    assert len(LISTED) <= 20
