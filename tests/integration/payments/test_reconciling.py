"""The books are compared both ways: what was missed is mended once, and what cannot be is found and credits nothing."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from deploy.embedded.databases import ServiceDatabase
from deploy.embedded.infrastructure import Infrastructure
from libs.chassis.errors import NotAllowedError, NotFoundError
from libs.chassis.leading import leading
from libs.contracts import ids
from libs.contracts.credits import MICRO
from libs.contracts.http.reconciliation_v1 import StepOrder
from services.payments.operations import findings, reconciling
from services.payments.store import reconciliation as store
from tests.integration.payments.reconciled import STAFF, Accountant, accounting
from tests.integration.payments.shop import usd
from tests.integration.payments.test_dying import Arm, DiedError, arm
from tests.support.databases import ServicePool

__all__ = ["arm"]

LISTS = ["GET /v1/balance_transactions", "GET /v1/events"]
DAYS = timedelta(days=3)


@pytest.fixture
async def accountant(
    server: asyncpg.Connection,
    templates: dict[str, ServiceDatabase],
    infrastructure: Infrastructure,
    tmp_path: Path,
) -> AsyncIterator[Accountant]:
    """A shop, a ledger and a Stripe of the test's own, whose clocks are one; the books are audited in the end."""
    async with accounting(ServicePool(server, templates), infrastructure, tmp_path) as accountant:
        yield accountant


async def test_what_agrees_needs_two_lists_of_stripe_and_changes_nothing(accountant: Accountant) -> None:
    for _ in range(3):
        await accountant.settled()
    found = await accountant.go_through()
    assert (found.drift, found.findings, found.repaired) == (0, [], [])
    assert [(walk.what, walk.compared, walk.percent) for walk in found.walks] == [
        ("events", 0, 100), ("lots", 3, 100), ("movements", 3, 100), ("purchases", 3, 100), ("vouchers", 0, 100)
    ]  # fmt: skip
    assert [(one.currency, one.gross_minor, one.refunded_minor) for one in found.moved] == [("usd", 3 * 2499, 0)]
    assert [(one.currency, one.net_minor + one.fees_minor) for one in found.settled] == [("usd", 3 * 2499)]
    await accountant.later(timedelta(minutes=30))
    assert await accountant.asked_of_stripe(accountant.follow()) == LISTS
    assert await accountant.asked_of_stripe(accountant.follow()) == LISTS
    assert await accountant.kinds() == ([], [])


async def test_payments_whose_webhooks_were_lost_for_days_are_credited_once_even_if_they_come_afterwards(
    accountant: Accountant,
) -> None:
    lost = [await accountant.paid(pack="pro"), await accountant.shop.start_checkout(pack="starter")]
    await accountant.shop.pay_page(lost[1])
    await accountant.follow()
    await accountant.later(DAYS)
    assert await accountant.follow() == 0
    for purchase in lost:
        assert (await accountant.shop.show(purchase)).state == "succeeded"
    assert await accountant.kinds() == ([], ["payment_missed", "payment_missed"])
    for purchase in lost:
        for event in await accountant.shop.events(purchase):
            await accountant.shop.tell(event)
        assert len(await accountant.shop.successes(purchase)) == 1
    await accountant.publish()
    found = await accountant.go_through()
    assert (found.drift, found.findings) == (0, [])
    assert await accountant.shop.bank.ledger.available(lost[0].account) == 160 * MICRO


async def test_a_full_pass_finds_what_was_lost_before_anybody_followed(accountant: Accountant) -> None:
    lost = await accountant.paid()
    await accountant.later(DAYS)
    found = await accountant.go_through()
    assert [one.kind for one in found.repaired] == ["payment_missed"]
    assert (await accountant.shop.show(lost)).state == "succeeded"
    async with accountant.shop.pool.connection() as conn:
        assert await conn.fetchval("SELECT count(*) FROM movement") == 1
    early = await accountant.go_through(since=accountant.shop.clock.now() - timedelta(days=1))
    assert [(walk.what, walk.compared) for walk in early.walks] == [
        ("events", 0), ("lots", 0), ("movements", 0), ("purchases", 1), ("vouchers", 0)
    ]  # fmt: skip


async def test_a_refund_at_the_dashboard_that_nobody_told_us_of_takes_the_credits_back(accountant: Accountant) -> None:
    purchase = await accountant.settled(pack="starter")
    await accountant.go_through()
    await accountant.later(timedelta(days=20))
    refund = await accountant.shop.sandbox.post(f"charges/{await accountant.charge(purchase)}/refund", {"amount": 333})
    await accountant.later(timedelta(days=20, minutes=5))
    await accountant.follow()
    after = await accountant.shop.show(purchase)
    assert (after.state, after.refunded) == ("partially_refunded", usd(333))
    assert await accountant.kinds() == ([], ["refund_missed"])
    assert len(await accountant.shop.refunded(purchase)) == 1
    await accountant.shop.sandbox.post(f"refunds/{refund['id']}/fail", {"failure_reason": "lost_or_stolen_card"})
    found = await accountant.go_through()
    assert (found.drift, found.findings) == (0, [])
    assert (await accountant.shop.show(purchase)).state == "succeeded"
    assert await accountant.shop.bank.ledger.available(purchase.account) == purchase.quote.credits


async def test_a_dispute_that_nobody_told_us_of_makes_us_look_at_its_purchase_once(accountant: Accountant) -> None:
    purchase = await accountant.settled()
    await accountant.go_through()
    before = await looks(accountant)
    dispute = await accountant.shop.sandbox.post(f"charges/{await accountant.charge(purchase)}/dispute", {})
    for minutes in (5, 10):
        await accountant.later(timedelta(minutes=minutes))
        await accountant.follow()
        assert await looks(accountant) == before + 3  # at the entry, and at either event that nobody told us of
    assert (await accountant.shop.show(purchase)).state == "disputed"
    assert await accountant.kinds() == ([], ["dispute_missed"])
    await accountant.publish()
    found = await accountant.go_through()
    assert (found.drift, found.findings) == (0, [])
    assert [(one.gross_minor, one.disputed_minor) for one in found.moved] == [(2499, 2499)]
    await accountant.shop.sandbox.post(f"disputes/{dispute['id']}/close", {"outcome": "won"})
    await accountant.publish()
    found = await accountant.go_through()
    assert (found.drift, found.findings) == (0, [])
    assert [(one.gross_minor, one.disputed_minor) for one in found.moved] == [(2499, 0)]
    assert (await accountant.shop.show(purchase)).state == "succeeded"
    assert await accountant.shop.bank.ledger.available(purchase.account) == 160 * MICRO


async def test_a_dispute_that_the_ledger_has_not_heard_of_is_told_again(accountant: Accountant) -> None:
    purchase = await accountant.settled()
    await accountant.shop.sandbox.post(f"charges/{await accountant.charge(purchase)}/dispute", {})
    await accountant.shop.confirm(purchase)
    await accountant.publish(heard=False)
    found = await accountant.go_through()
    assert [one.kind for one in found.repaired] == ["not_taken_back"]
    assert await accountant.shop.bank.ledger.available(purchase.account) == 0


async def looks(accountant: Accountant) -> int:
    async with accountant.shop.pool.connection() as conn:
        found: int = await conn.fetchval("SELECT sum(looks) FROM purchase")
    return found


async def test_payments_that_are_not_ours_are_left_alone(accountant: Accountant) -> None:
    made = await accountant.dashboard.v1.payment_intents.create_async(
        {"amount": 700, "currency": "usd", "confirm": True, "payment_method": "pm_card_visa",
         "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"}}
    )  # fmt: skip
    await accountant.dashboard.v1.refunds.create_async({"payment_intent": made.id})
    found = await accountant.go_through()
    assert (found.drift, found.findings, found.repaired, found.moved) == (0, [], [], [])
    assert await accountant.shop.quarantined() == []


async def test_a_payment_of_another_amount_is_put_aside_and_credits_nothing(accountant: Accountant) -> None:
    purchase = await accountant.shop.start(pack="pro")
    async with accountant.shop.pool.transaction() as conn:
        await conn.execute("UPDATE purchase SET amount_minor = amount_minor - 1000")
    assert await accountant.shop.pay(purchase) == "succeeded"
    for _ in range(2):
        found = await accountant.go_through()
        assert [one.kind for one in found.findings] == ["payment_differs"]
        assert found.drift == 1
    assert await accountant.shop.quarantined() == [("amount", purchase.id)]
    assert await accountant.shop.successes(purchase) == []
    assert (await accountant.shop.show(purchase)).state == "created"


async def test_a_payment_that_names_a_purchase_that_we_never_made_is_found(accountant: Accountant) -> None:
    await accountant.dashboard.v1.payment_intents.create_async(
        {"amount": 700, "currency": "usd", "confirm": True, "payment_method": "pm_card_visa",
         "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
         "metadata": {"purchase": ids.show("purchase", ids.new_id())}}
    )  # fmt: skip
    found = await accountant.go_through()
    assert [one.kind for one in found.findings] == ["unknown_purchase"]
    assert await accountant.shop.quarantined() == [("unknown_purchase", None)]


async def test_a_purchase_that_is_paid_here_and_not_at_stripe_is_found(accountant: Accountant) -> None:
    purchase = await accountant.shop.start(pack="pro")
    async with accountant.shop.pool.transaction() as conn:
        await conn.execute(
            """UPDATE purchase SET state = 'succeeded', paid_at = created_at, revision = 1, paid_revision = 1,
                                   client_secret = NULL"""
        )
    await accountant.later(DAYS)
    found = await accountant.go_through()
    assert ("payment_missing", purchase.id) in [(one.kind, one.purchase) for one in found.findings]
    assert await accountant.shop.quarantined() == [("not_paid", purchase.id)]


async def test_a_paid_purchase_whose_event_the_broker_lost_gets_its_lot_once(accountant: Accountant) -> None:
    purchase = await accountant.shop.paid(pack="pro")
    await accountant.shop.refund(purchase, 499)
    await accountant.publish(heard=False)
    await accountant.step(begin=True)
    await accountant.step()
    await accountant.step()
    found = await accountant.show()
    assert ([one.kind for one in found.findings], found.drift) == (["lots_missing"], 0)  # it is on its way
    again = await accountant.shop.successes(purchase)
    assert (len(again), again[0]) == (2, again[1])
    await accountant.later(timedelta(minutes=6))
    assert (await accountant.show()).drift == 1
    await accountant.publish()
    await accountant.follow()
    assert await accountant.kinds() == ([], ["lots_missing"])
    lot = await accountant.shop.bank.credits.brought_by([purchase.id or ids.new_id()])
    assert [(one.granted, one.taken_back) for one in lot.lots] == [(160 * MICRO, 160 * MICRO * 499 // 2499)]
    assert len(await accountant.shop.successes(purchase)) == 2
    assert (await accountant.show()).drift == 0


async def test_a_refund_that_the_ledger_has_not_heard_of_is_told_again(accountant: Accountant) -> None:
    purchase = await accountant.settled(pack="pro")
    await accountant.shop.refund(purchase)
    await accountant.publish(heard=False)
    found = await accountant.go_through()
    assert [one.kind for one in found.repaired] == ["not_taken_back"]
    assert await accountant.shop.bank.ledger.available(purchase.account) == 0


async def test_a_lot_of_another_amount_is_found_and_left_as_it_is(accountant: Accountant) -> None:
    purchase = await accountant.settled(pack="pro")
    async with accountant.shop.pool.transaction() as conn:
        await conn.execute("UPDATE purchase SET credits = credits + 1")
    found = await accountant.go_through()
    assert ([one.kind for one in found.findings], found.drift) == (["lots_differ"], 1)
    assert len(await accountant.shop.successes(purchase)) == 1
    async with accountant.shop.pool.transaction() as conn:
        await conn.execute("UPDATE purchase SET credits = credits - 1")
    await accountant.follow()
    assert (await accountant.show()).drift == 0


async def test_a_lot_whose_purchase_is_not_paid_is_found(accountant: Accountant) -> None:
    stranger = await accountant.shop.bank.ledger.open_with("5")
    await accountant.shop.bank.ledger.available(stranger)
    found = await accountant.go_through()
    assert [one.kind for one in found.findings] == ["lot_without_payment"]


async def test_sums_that_differ_although_each_payment_agrees_are_found(accountant: Accountant) -> None:
    await accountant.settled()
    await accountant.go_through()
    async with accountant.shop.pool.transaction() as conn:
        await conn.execute(
            """INSERT INTO movement SELECT 'txn_more', 'refund', 're_more', payment_intent, -1, currency, 0, -1,
                                           settled_in, moved_at FROM movement"""
        )
    await accountant.later(DAYS)
    found = await accountant.go_through()
    assert ([(one.kind, one.object) for one in found.findings], found.drift) == ([("totals_differ", "usd")], 1)


async def test_while_something_waits_to_be_published_the_ledger_is_not_asked(accountant: Accountant) -> None:
    purchase = await accountant.shop.paid()
    await accountant.step(begin=True)
    await accountant.step()
    done = await accountant.step()
    assert [(walk.what, walk.ended_at is None) for walk in done.walks] == [
        ("events", False), ("lots", True), ("movements", False), ("purchases", True), ("vouchers", True)
    ]  # fmt: skip
    assert await accountant.kinds() == ([], [])
    assert len(await accountant.shop.successes(purchase)) == 1


@pytest.mark.parametrize("point", ["payments.reconcile.before_commit", "payments.reconcile.after_commit"])
async def test_a_pass_that_died_goes_on_where_it_was(
    accountant: Accountant, arm: Arm, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.payments.clients.stripe_lists._PAGE", 2)
    lost = [await accountant.paid() for _ in range(5)]
    await accountant.entered()
    arm(point)
    with pytest.raises(DiedError):
        await accountant.step(begin=True)
    done = await accountant.step()
    arm(point)
    with pytest.raises(DiedError):
        await accountant.step()
    while not done.done:
        await accountant.publish()
        done = await accountant.step()
    for purchase in lost:
        assert len(await accountant.shop.successes(purchase)) == 1
    assert await accountant.kinds() == ([], ["payment_missed"] * 5)
    assert [walk.compared for walk in done.walks if walk.what == "movements"] == [5]


async def test_one_process_at_a_time_compares(accountant: Accountant) -> None:
    async with accountant.shop.pool.connection() as conn, leading(conn, store.LOCK) as leads:
        assert leads
        assert (await accountant.step(begin=True)).busy
        assert await accountant.asked_of_stripe(accountant.follow()) == []
    lost = await accountant.paid()
    await accountant.entered()
    await asyncio.gather(*(accountant.step(begin=True) for _ in range(4)))
    assert len(await accountant.shop.successes(lost)) == 1


async def test_while_stripe_is_away_the_ledger_is_compared_and_nothing_is_lost(accountant: Accountant) -> None:
    lost = await accountant.paid()
    await accountant.follow()
    await accountant.later(timedelta(minutes=30))
    await accountant.shop.faults({"kind": "500_before", "path": "/v1/balance_transactions", "count": 1})
    await accountant.follow()
    walks = {walk.what: walk for walk in (await accountant.show()).walks if walk.scope == "continuous"}
    assert walks["movements"].ended_at is None
    assert walks["purchases"].ended_at is not None
    await accountant.shop.faults()
    await accountant.follow()
    assert len(await accountant.shop.successes(lost)) == 1


async def test_a_purchase_that_waits_is_looked_at_ever_less_often(accountant: Accountant) -> None:
    purchase = await accountant.shop.start_checkout()
    assert await accountant.look_at_waiting() == 0
    await accountant.shop.pay_page(purchase, "decline")
    looked = []
    for minutes in (4, 5, 9, 11, 21, 23, 45, 48):
        await accountant.later(timedelta(minutes=minutes))
        if await accountant.look_at_waiting():
            looked.append(minutes)
    assert looked == [5, 11, 23, 48]
    assert (await accountant.shop.show(purchase)).state == "failed"
    await accountant.shop.pay_page(purchase)
    await accountant.later(timedelta(minutes=120))
    assert await accountant.look_at_waiting() == 1
    assert (await accountant.shop.show(purchase)).state == "succeeded"
    await accountant.later(timedelta(days=40))
    assert await accountant.look_at_waiting() == 0


async def test_a_finding_may_stay_once_somebody_of_the_staff_says_why(accountant: Accountant) -> None:
    await accountant.shop.bank.ledger.open_with("5")
    [finding] = (await accountant.go_through()).findings
    resolve = findings.resolve
    for_us = {"reason": "made by hand", "clock": accountant.shop.clock}
    with pytest.raises(NotAllowedError):
        await resolve(accountant.shop.pool, finding.id, caller="user:usr_1", **for_us)  # type: ignore[arg-type]
    with pytest.raises(NotFoundError):
        await resolve(accountant.shop.pool, ids.new_id(), caller=STAFF, **for_us)  # type: ignore[arg-type]
    said = await resolve(accountant.shop.pool, finding.id, caller=STAFF, **for_us)  # type: ignore[arg-type]
    assert (said.resolved_by, said.reason) == (STAFF, "made by hand")
    found = await accountant.go_through()
    assert (found.drift, found.findings) == (0, [])
    with pytest.raises(NotAllowedError):
        await reconciling.step(accountant.sides, StepOrder(), caller="user:usr_1")
