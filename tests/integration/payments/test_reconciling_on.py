"""Comparing the books goes on: whatever changes meanwhile, comes late, cannot be read, or was explained once."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY
from pydantic import ValidationError

from libs.contracts.credits import MICRO
from libs.contracts.http.reconciliation_v1 import StepOrder
from libs.contracts.http.reports_v1 import ReportQuery
from services.payments.clients.credits import CreditsClient
from services.payments.clients.stripe import Stripe, StripeMisusedError
from services.payments.clients.stripe_lists import Entries, balance_transactions
from services.payments.domain.errors import ReconciliationStoppedError
from services.payments.operations import comparing_movements, findings, reports
from tests.integration.payments.reconciled import STAFF, Accountant
from tests.integration.payments.test_reconciling import accountant

__all__ = ["accountant"]

DAYS = timedelta(days=3)


async def explain(accountant: Accountant, kind: str) -> None:
    """Say why what is open of a kind may stay."""
    for one in (await accountant.show()).findings:
        assert one.kind == kind
        shop = accountant.shop
        await findings.resolve(shop.pool, one.id, reason="looked into", caller=STAFF, clock=shop.clock)
    assert (await accountant.show()).drift == 0


async def more_went_back(accountant: Accountant, name: str) -> None:
    """Have Stripe's balance show a cent more that went back than our record does."""
    async with accountant.shop.pool.transaction() as conn:
        await conn.execute(
            """INSERT INTO movement SELECT $1, 'refund', 're_' || $1, payment_intent, -1, currency, 0, -1, settled_in,
                                           moved_at FROM movement WHERE kind = 'charge' ORDER BY moved_at LIMIT 1""",
            name,
        )


@pytest.mark.parametrize("heard", [True, False])
async def test_a_refund_while_a_page_is_compared_is_told_under_its_own_revision(
    accountant: Accountant, heard: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchase = await accountant.settled(pack="pro")
    await accountant.shop.refund(purchase, 499)
    await accountant.publish()
    ask, asked = CreditsClient.brought_by, list[int]()

    async def meanwhile(client: CreditsClient, purchases: Any) -> Any:
        if not asked:
            await accountant.shop.refund(purchase, 1000)
            await accountant.publish(heard=heard)
        asked.append(1)
        return await ask(client, purchases)

    monkeypatch.setattr(CreditsClient, "brought_by", meanwhile)
    for _ in range(2):
        found = await accountant.go_through()
    assert [one.kind for one in found.repaired] == ([] if heard else ["not_taken_back"])
    totals = {(one.revision, one.refunded.amount_minor) for one in await accountant.shop.refunded(purchase)}
    assert len(totals) == len({revision for revision, _ in totals}) == 2
    assert await accountant.shop.bank.ledger.available(purchase.account) == 160 * MICRO - 160 * MICRO * 1499 // 2499


async def test_sums_that_were_explained_are_found_again_once_they_differ_otherwise(accountant: Accountant) -> None:
    await accountant.settled()
    await accountant.go_through()
    await more_went_back(accountant, "txn_1")
    await accountant.settled()
    await accountant.later(DAYS)
    await accountant.go_through()
    await explain(accountant, "totals_differ")
    await accountant.settled()
    await accountant.later(2 * DAYS)
    assert (await accountant.go_through()).drift == 0  # there is more money, and the difference is the same
    await more_went_back(accountant, "txn_2")
    assert (await accountant.go_through()).drift == 1
    await explain(accountant, "totals_differ")
    await accountant.go_through(since=accountant.shop.clock.now() - timedelta(hours=1))
    assert (await accountant.go_through()).drift == 0  # a short pass knows nothing of it


async def test_what_was_explained_and_agreed_since_is_found_again(accountant: Accountant) -> None:
    await accountant.settled(pack="pro")
    for _ in range(2):
        async with accountant.shop.pool.transaction() as conn:
            await conn.execute("UPDATE purchase SET credits = credits + 1")
        assert (await accountant.go_through()).drift == 1
        await explain(accountant, "lots_differ")
        assert (await accountant.go_through()).drift == 0
        async with accountant.shop.pool.transaction() as conn:
            await conn.execute("UPDATE purchase SET credits = credits - 1")
        found = await accountant.go_through()
        assert (found.drift, found.findings, found.repaired) == (0, [], [])


async def test_while_purchases_are_paid_all_the_time_those_before_are_compared(accountant: Accountant) -> None:
    busy, other = await accountant.settled(pack="pro"), await accountant.settled(pack="pro")
    await accountant.follow()
    await accountant.later(timedelta(minutes=30))
    await accountant.shop.refund(busy, 499)
    async with accountant.shop.pool.transaction() as conn:
        await conn.execute("UPDATE purchase SET credits = credits + 1 WHERE id = $1", other.id)
    await accountant.follow()
    found = await accountant.show()
    assert [(one.kind, one.purchase) for one in found.findings] == [("lots_differ", other.id)]
    assert len(await accountant.shop.refunded(busy)) == 1
    async with accountant.shop.pool.transaction() as conn:
        await conn.execute("UPDATE purchase SET credits = credits - 1 WHERE id = $1", other.id)
    await accountant.publish()
    assert (await accountant.go_through()).findings == []


def lag_of(what: str) -> float | None:
    return REGISTRY.get_sample_value("scrip_reconciliation_lag_seconds", {"what": what, "scope": "continuous"})


async def test_how_far_comparing_is_behind_is_shown(accountant: Accountant) -> None:
    await accountant.follow()
    await accountant.shop.paid()
    for minutes, lag in ((30, 55), (90, 115)):  # what was told is not published: the ledger is not asked
        await accountant.later(timedelta(minutes=minutes))
        await accountant.follow()
        assert lag_of("purchases") == pytest.approx(lag * 60, abs=60)
        assert lag_of("movements") == pytest.approx(2 * 60, abs=60)
    await accountant.publish()
    for _ in range(2):
        await accountant.follow()
    assert lag_of("purchases") == pytest.approx(15 * 60, abs=60)


async def test_what_our_key_may_not_read_holds_up_nothing_else(
    accountant: Accountant, monkeypatch: pytest.MonkeyPatch
) -> None:
    await accountant.settled()
    await accountant.shop.bank.ledger.open_with("5")

    async def refuse(*_: Any, **__: Any) -> Entries:
        raise StripeMisusedError("this key may not read balances")

    monkeypatch.setattr(comparing_movements, "balance_transactions", refuse)
    for _ in range(2):
        await accountant.follow()
    walks = [walk for walk in (await accountant.show()).walks if walk.scope == "continuous"]
    assert [walk.what for walk in walks if walk.ended_at] == ["events", "lots", "purchases", "vouchers"]
    failed = REGISTRY.get_sample_value("scrip_reconciliation_failures_total", {"what": "movements"})
    assert failed is not None
    assert failed >= 1
    await accountant.step(begin=True)
    for _ in range(4):  # purchases, vouchers, lots, and the end of the lots
        await accountant.step()
    with pytest.raises(ReconciliationStoppedError):
        await accountant.step()
    found = await accountant.show()
    assert [one.kind for one in found.findings] == ["lot_without_payment"]
    assert REGISTRY.get_sample_value("scrip_money_drift", {"kind": "lot_without_payment"}) == 1


async def test_an_entry_of_the_balance_that_cannot_be_read_is_found_and_the_others_are_compared(
    accountant: Accountant, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = [await accountant.paid() for _ in range(2)]
    strange = list[str]()

    async def told(stripe: Stripe, **where: Any) -> Entries:
        entries = await balance_transactions(stripe, **where)
        for entry in entries.data[:1]:
            strange.append(entry["id"])
            entry["fee"] = "none"
        return entries

    monkeypatch.setattr(comparing_movements, "balance_transactions", told)
    found = await accountant.go_through()
    assert [(one.kind, one.object) for one in found.findings] == [("entry_unreadable", strange[0])]
    assert sorted([(await accountant.shop.show(each)).state for each in lost]) == ["created", "succeeded"]
    monkeypatch.undo()
    assert (await accountant.go_through()).findings == []
    assert [(await accountant.shop.show(each)).state for each in lost] == ["succeeded", "succeeded"]


def test_a_pass_from_before_stripe_is_refused() -> None:
    for since in (datetime(1969, 1, 1, tzinfo=UTC), datetime(2011, 1, 1, tzinfo=UTC)):
        with pytest.raises(ValidationError, match="greater than or equal to 2011-09-29"):
            StepOrder(begin=True, since=since)


async def test_money_that_the_balance_shows_late_is_found_and_no_report_claims_more(
    accountant: Accountant, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = list[str]()

    async def told(stripe: Stripe, **where: Any) -> Entries:
        entries = await balance_transactions(stripe, **where)
        return Entries([one for one in entries.data if one["id"] not in late], entries.last, entries.reached)

    async def followed(minutes: int) -> datetime | None:
        await accountant.later(before_the_hour + timedelta(minutes=minutes))
        await accountant.follow()
        query = ReportQuery.model_validate({"since": "2026-01-01", "until": "2026-01-02"})
        return (await reports.revenue(accountant.shop.pool, query, livemode=False)).as_of

    monkeypatch.setattr(comparing_movements, "balance_transactions", told)
    before_the_hour = timedelta(seconds=3600 - accountant.shop.clock.now().timestamp() % 3600)
    await followed(3)
    await accountant.later(before_the_hour + timedelta(minutes=5))
    lost = await accountant.paid()
    await accountant.entered()
    now = accountant.shop.clock.now()
    shown = await balance_transactions(accountant.shop.stripe, since=now - DAYS, until=now, after=None)
    late += [one["id"] for one in shown.data]
    paid_at = datetime.fromtimestamp(shown.data[0]["created"], UTC)
    for minutes in (63, 123, 150):
        as_of = await followed(minutes)
        assert as_of is not None
        assert as_of <= paid_at
        if minutes == 123:
            late.clear()  # it shows an hour and 59 minutes late, just after all was gone through that may be late
    assert (await accountant.shop.show(lost)).state == "created"
    as_of = await followed(183)
    assert as_of is not None
    assert as_of > paid_at
    assert (await accountant.shop.show(lost)).state == "succeeded"
