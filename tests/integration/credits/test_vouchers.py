"""Vouchers and gift cards, as payments tells that they were redeemed: each is one lot, of whoever redeemed it."""

from asyncio import gather
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from libs.contracts import ids
from libs.contracts.credits import MICRO
from libs.contracts.events import CreditsGranted, GiftCardTakenBack, VoucherRedeemed
from libs.contracts.money import Money
from services.credits.domain.errors import ReferenceReusedError
from services.credits.operations import payments
from tests.integration.credits.serving import Api, problem
from tests.integration.credits.travelling import Travel
from tests.support.ledger import Credits
from tests.support.outbox import told_of

PRICE = Money(amount_minor=999, currency="usd")


def redeemed(account: UUID, **facts: Any) -> VoucherRedeemed:
    """Say that an account has redeemed a voucher worth 50 credits."""
    told = {
        "account": account,
        "user": ids.new_id(),
        "voucher": ids.new_id(),
        "occurred_at": "2026-11-21T12:05:09Z",
        "kind": "promotional",
        "credits": 50 * MICRO,
        "description": "Voucher",
    }
    return VoucherRedeemed.model_validate(told | facts)


async def test_a_redeemed_voucher_is_one_lot_whoever_tells_it_how_often(credits: Credits) -> None:
    account = await credits.open()
    event = redeemed(account)
    await gather(*(credits.tell(event, event) for _ in range(5)))
    balance = await credits.balance(account)
    assert (balance.available, balance.by_kind) == (60 * MICRO, {"promotional": 60 * MICRO})
    assert (balance.totals.earned, balance.totals.purchased) == (60 * MICRO, 0)
    told = [event.reason for event in await told_of(credits.pool, CreditsGranted)]
    assert told == ["welcome", "voucher"]


async def test_a_redeemed_gift_card_is_a_purchased_lot_at_what_was_paid_for_it(credits: Credits, api: Api) -> None:
    account = await credits.open()
    await credits.tell(redeemed(account, kind="purchased", paid=PRICE, description="Gift card: 50 credits"))
    assert (await credits.balance(account)).by_kind == {"promotional": 10 * MICRO, "purchased": 50 * MICRO}
    answer = await api.get(f"/accounts/{ids.show('account', account)}/transactions")
    newest = answer.json()["data"][0]
    assert (newest["type"], newest["reference_type"], newest["description"]) == (
        "purchase", "voucher", "Gift card: 50 credits",
    )  # fmt: skip
    async with credits.pool.connection() as conn:
        lot = await conn.fetchrow("SELECT cost_minor, currency FROM lot WHERE reference_type = 'voucher'")
    assert tuple(lot or ()) == (999, "usd")


async def test_an_account_that_is_not_there_is_opened_for_it(credits: Credits) -> None:
    account = ids.new_id()
    assert await credits.tell(redeemed(account)) == ["accepted"]
    assert await credits.available(account) == 50 * MICRO


async def test_what_vouchers_brought_is_told_in_one_call_and_with_all_lots(credits: Credits, api: Api) -> None:
    account = await credits.open_with("5")
    events = [redeemed(account), redeemed(account, kind="purchased", paid=PRICE)]
    await credits.tell(*events)
    told = {"user": ids.new_id(), "revision": 7, "occurred_at": "2026-11-21T12:05:09Z", "description": "Gift card"}
    told |= {"account": account, "voucher": events[1].voucher, "credits": 20 * MICRO}
    await payments.settle(credits.pool, credits.ledger, [GiftCardTakenBack.model_validate(told)])
    names = [ids.show("voucher", id) for id in (events[0].voucher, events[1].voucher, ids.new_id())]
    answer = await api.post("/voucher-lots", {"vouchers": names})
    lots = sorted(answer.json()["lots"], key=lambda lot: names.index(lot["voucher"]))
    assert {lot["account"] for lot in lots} == {ids.show("account", account)}
    assert [(lot["kind"], lot["granted"], lot["taken_back"], lot["revision"]) for lot in lots] == [
        ("promotional", "50", "0", 0), ("purchased", "50", "20", 7)
    ]  # fmt: skip
    listed = (await api.get("/purchase-lots")).json()
    assert sorted(listed["redeemed"], key=lambda lot: names.index(lot["voucher"])) == lots
    assert [lot["granted"] for lot in listed["lots"]] == ["5"]
    assert listed["last"] == max(lot["lot"] for lot in [*lots, *listed["lots"]])


async def test_at_most_500_vouchers_are_asked_for_at_once(api: Api) -> None:
    names = [ids.show("voucher", ids.new_id()) for _ in range(501)]
    assert (await api.post("/voucher-lots", {"vouchers": names[1:]})).json() == {"lots": []}
    for wrong in (names, ["vch_1"], [ids.show("purchase", ids.new_id())]):
        assert problem(await api.post("/voucher-lots", {"vouchers": wrong})) == (422, "PAY007")


async def test_a_vouchers_credits_expire_when_it_says(credits: Credits, travel: Travel) -> None:
    account = await credits.open()
    await credits.tell(redeemed(account, expires_at=credits.clock.now() + timedelta(days=30)))
    await travel(days=29)
    assert await credits.available(account) == 60 * MICRO
    await travel(days=2)
    assert await credits.available(account) == 10 * MICRO


async def test_a_voucher_told_with_another_content_grants_nothing_more(credits: Credits) -> None:
    account = await credits.open()
    event = redeemed(account)
    await credits.tell(event)
    with pytest.raises(ReferenceReusedError):
        await credits.tell(event.model_copy(update={"credits": 51 * MICRO}))
    with pytest.raises(ReferenceReusedError):
        await credits.tell(event.model_copy(update={"account": await credits.open()}))
    assert await credits.available(account) == 60 * MICRO


@pytest.mark.parametrize(("paid", "brought"), [(PRICE, 50 * MICRO), (None, 0)])
async def test_to_a_closed_account_only_what_was_paid_for_is_granted(
    credits: Credits, api: Api, paid: Money | None, brought: int
) -> None:
    account = await credits.open()
    closing = {"reason": "Gone", "force": True}
    await api.post(f"/accounts/{ids.show('account', account)}/close", closing, caller="staff:eve")
    before = await credits.available(account)
    await credits.tell(redeemed(account, kind="purchased" if paid else "promotional", paid=paid))
    assert await credits.available(account) == before + brought
