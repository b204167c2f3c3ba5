"""Vouchers and gift cards are compared with the ledger, both ways: what it has not heard of is told again, once."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from libs.chassis.clock import Clock
from libs.contracts import ids
from libs.contracts.credits import MICRO
from libs.contracts.events import GiftCardTakenBack, VoucherRedeemed
from libs.contracts.http.payments_v1 import Purchase
from libs.contracts.http.reconciliation_v1 import StepDone
from libs.contracts.http.returns_v1 import RedeemedLots
from services.credits.operations import states
from services.credits.operations.payments import Told, settle
from services.payments.operations import findings
from tests.integration.payments.banks import disputed, switch
from tests.integration.payments.gifts import a_code, bought, code_of, redeem, redemptions, tell_due, told_all
from tests.integration.payments.reconciled import STAFF, Accountant
from tests.integration.payments.test_reconciling import accountant
from tests.support.postings import holding, releasing, spending

__all__ = ["accountant"]

WORTH = 50 * MICRO


async def a_gift_card(accountant: Accountant) -> tuple[Purchase, str]:
    """Have a gift card bought and its code told, of which the ledger has heard."""
    purchase = await bought(accountant.shop)
    await tell_due(accountant.shop)
    await accountant.publish()
    return purchase, await code_of(accountant.shop, purchase)


async def redeemed(accountant: Accountant) -> tuple[Purchase, UUID]:
    """Have a gift card bought and redeemed, of which the ledger has heard; gives who redeemed it too."""
    purchase, code = await a_gift_card(accountant)
    account = ids.new_id()
    await redeem(accountant.shop, code, account)
    await accountant.publish()
    return purchase, account


async def hear(accountant: Accountant, purchase: Purchase, *, ledger: bool = True) -> None:
    """Hear what Stripe tells of a card's disputes; and the ledger of what we make of it, unless the broker loses it."""
    for event in await accountant.shop.events(purchase):
        if event["type"].startswith("charge.dispute"):
            await accountant.shop.tell(event)
    await accountant.publish(heard=ledger)


async def taken_back(accountant: Accountant) -> list[GiftCardTakenBack]:
    """Read what was told to be gone of gift cards."""
    return await told_all(accountant.shop, GiftCardTakenBack)


async def go_through_without_the_broker(accountant: Accountant) -> StepDone:
    """Go through all that is to be compared, while what is told again waits."""
    done = await accountant.step(begin=True)
    for _ in done.walks:
        done = await accountant.step()
    return done


async def has(accountant: Accountant, account: UUID) -> int:
    return await accountant.shop.bank.ledger.available(account)


async def tell_the_ledger_all_again(accountant: Accountant) -> None:
    """Have every event come once more, as a broker does that forgot how far they were read."""
    told: list[Told] = [*await redemptions(accountant.shop), *await taken_back(accountant)]
    await settle(accountant.shop.bank.ledger.pool, accountant.shop.bank.ledger.ledger, told)


async def put(accountant: Accountant, change: str, *args: object) -> None:
    async with accountant.shop.pool.transaction() as conn:
        await conn.execute(f"UPDATE voucher SET {change}", *args)


async def test_what_the_ledger_has_heard_of_is_left_as_it_is(accountant: Accountant) -> None:
    purchase, grace = await redeemed(accountant)
    await disputed(accountant.shop, purchase, amount=333)
    await hear(accountant, purchase)
    heidi = (await redeem(accountant.shop, await a_code(accountant.shop, kind="granted"))).redemption.account
    await accountant.publish()
    for _ in range(2):
        found = await accountant.go_through()
        assert (found.drift, found.findings, found.repaired) == (0, [], [])
        compared = {walk.what: walk.compared for walk in found.walks if walk.scope == "full"}
        assert compared == {"movements": 2, "events": 2, "purchases": 1, "vouchers": 2, "lots": 2}
    await accountant.later(timedelta(minutes=30))
    await accountant.follow()
    assert (len(await redemptions(accountant.shop)), len(await taken_back(accountant))) == (2, 1)
    assert (await has(accountant, grace), await has(accountant, heidi)) == (WORTH - WORTH * 333 // 999, WORTH)
    assert await accountant.kinds() == ([], [])


@pytest.mark.parametrize("by_staff", [True, False])
async def test_a_redemption_whose_event_was_lost_is_told_again_and_brings_its_credits_once(
    accountant: Accountant, *, by_staff: bool
) -> None:
    code = await a_code(accountant.shop) if by_staff else (await a_gift_card(accountant))[1]
    account = (await redeem(accountant.shop, code)).redemption.account
    await accountant.publish(heard=False)
    await go_through_without_the_broker(accountant)
    found = await accountant.show()
    assert ([one.kind for one in found.findings], found.drift) == (["voucher_lot_missing"], 0)  # it is on its way
    again = await redemptions(accountant.shop)
    assert (len(again), again[0]) == (2, again[1])
    await accountant.later(timedelta(minutes=6))
    assert (await accountant.show()).drift == 1
    await accountant.publish()
    await accountant.follow()
    assert await accountant.kinds() == ([], ["voucher_lot_missing"])
    assert (await accountant.show()).drift == 0
    await tell_the_ledger_all_again(accountant)
    assert await has(accountant, account) == WORTH
    assert len(await redemptions(accountant.shop)) == 2


async def test_what_is_new_is_compared_once_it_had_time_to_arrive(accountant: Accountant) -> None:
    await accountant.follow()
    account = (await redeem(accountant.shop, await a_code(accountant.shop))).redemption.account
    await accountant.publish(heard=False)
    for minutes, told in ((10, 1), (20, 2), (40, 2)):
        await accountant.later(timedelta(minutes=minutes))
        await accountant.follow()
        assert len(await redemptions(accountant.shop)) == told
    await accountant.publish()
    await accountant.follow()
    assert await accountant.kinds() == ([], ["voucher_lot_missing"])
    assert await has(accountant, account) == WORTH


async def test_a_card_that_was_redeemed_long_ago_and_whose_taking_back_was_lost_is_told_again(
    accountant: Accountant,
) -> None:
    purchase, grace = await redeemed(accountant)
    await accountant.shop.bank.ledger.apply(spending(grace, 20 * MICRO))
    await accountant.later(timedelta(days=60))
    dispute = await disputed(accountant.shop, purchase)
    await hear(accountant, purchase, ledger=False)
    found = await accountant.go_through()
    assert ([one.kind for one in found.repaired], found.drift) == (["voucher_not_taken_back"], 0)
    again = await taken_back(accountant)
    assert (len(again), again[0]) == (2, again[1])
    assert await has(accountant, grace) == 0
    await switch(accountant.shop, f"disputes/{dispute}/close", {"outcome": "won"})
    await hear(accountant, purchase, ledger=False)
    found = await accountant.go_through()
    assert [one.kind for one in found.findings] == []
    await tell_the_ledger_all_again(accountant)
    assert await has(accountant, grace) == 30 * MICRO
    balance = await accountant.shop.bank.ledger.balance(grace)
    assert balance.debt == 0


async def test_a_card_of_which_the_ledger_has_heard_nothing_is_told_with_what_went_back(accountant: Accountant) -> None:
    purchase, code = await a_gift_card(accountant)
    grace = ids.new_id()
    await redeem(accountant.shop, code, grace)
    await accountant.publish(heard=False)
    await disputed(accountant.shop, purchase, amount=333)
    await hear(accountant, purchase, ledger=False)
    found = await accountant.go_through()
    assert ([one.kind for one in found.repaired], found.drift) == (["voucher_lot_missing"], 0)
    assert await has(accountant, grace) == WORTH - WORTH * 333 // 999


async def test_credits_that_come_free_after_a_card_was_taken_back_stay_where_they_are(accountant: Accountant) -> None:
    purchase, grace = await redeemed(accountant)
    hold = holding(grace, 20 * MICRO, until=accountant.shop.clock.now() + timedelta(hours=1))
    await accountant.shop.bank.ledger.apply(hold)
    await disputed(accountant.shop, purchase)
    await hear(accountant, purchase)
    await accountant.shop.bank.ledger.apply(releasing(hold))
    found = await accountant.go_through()
    assert (found.drift, found.findings, found.repaired) == (0, [], [])
    await tell_the_ledger_all_again(accountant)
    assert (await has(accountant, grace), len(await taken_back(accountant))) == (20 * MICRO, 1)


@pytest.mark.parametrize("issued", [True, False])
async def test_a_vouchers_lot_that_we_know_nothing_of_is_found(accountant: Accountant, *, issued: bool) -> None:
    code = await a_code(accountant.shop)
    async with accountant.shop.pool.connection() as conn:
        there = await conn.fetchval("SELECT id FROM voucher")
    told: dict[str, Any] = {"account": ids.new_id(), "user": ids.new_id(), "voucher": there if issued else ids.new_id()}
    told |= {"occurred_at": accountant.shop.clock.now(), "kind": "promotional", "credits": WORTH}
    await accountant.shop.bank.ledger.tell(VoucherRedeemed.model_validate(told | {"description": "Voucher"}))
    for _ in range(2):
        found = await accountant.go_through()
        assert ([one.kind for one in found.findings], found.drift) == (["lot_without_voucher"], 1)
    if issued:
        await redeem(accountant.shop, code, told["account"])
        await accountant.publish()
        found = await accountant.go_through()
        assert ([one.kind for one in found.repaired], found.drift) == (["lot_without_voucher"], 0)


@pytest.mark.parametrize(
    ("change", "back"),
    [
        ("credits = credits + 1", "credits = credits - 1"),
        ("account = user_id, user_id = account", "account = user_id, user_id = account"),
        ("kind = 'granted'", "kind = 'promotional'"),
    ],
)
async def test_a_lot_that_differs_is_found_and_left_as_it_is(accountant: Accountant, change: str, back: str) -> None:
    account = (await redeem(accountant.shop, await a_code(accountant.shop))).redemption.account
    await accountant.publish()
    await put(accountant, "user_id = $1", ids.new_id())
    await put(accountant, change)
    for _ in range(2):
        found = await accountant.go_through()
        assert ([one.kind for one in found.findings], found.drift) == (["voucher_lot_differs"], 1)
    assert (len(await redemptions(accountant.shop)), await has(accountant, account)) == (1, WORTH)
    await put(accountant, back)
    await accountant.follow()
    assert (await accountant.show()).drift == 0


async def test_a_lot_of_which_more_went_back_than_we_told_is_found(accountant: Accountant) -> None:
    _, grace = await redeemed(accountant)
    [event] = await redemptions(accountant.shop)
    told: dict[str, Any] = {"account": grace, "user": event.user, "voucher": event.voucher, "revision": 9}
    told |= {"occurred_at": accountant.shop.clock.now(), "credits": MICRO, "description": "A gift card"}
    ledger = accountant.shop.bank.ledger
    await settle(ledger.pool, ledger.ledger, [GiftCardTakenBack.model_validate(told)])
    found = await accountant.go_through()
    assert ([one.kind for one in found.findings], found.drift) == (["voucher_lot_differs"], 1)
    assert await taken_back(accountant) == []


async def test_a_voucher_that_a_closed_account_redeemed_is_found_until_somebody_says_why_it_may_stay(
    accountant: Accountant,
) -> None:
    shop, ledger = accountant.shop, accountant.shop.bank.ledger
    account = await ledger.open()
    gone: dict[str, Any] = {"by": STAFF, "reason": "Gone", "force": True}
    await states.close(ledger.pool, ledger.ledger, ledger.clock, account, **gone)
    before = await has(accountant, account)
    await redeem(shop, await a_code(shop), account)
    await accountant.publish()
    await go_through_without_the_broker(accountant)
    await accountant.publish()
    await accountant.later(timedelta(minutes=6))
    found = await accountant.show()
    assert ([one.kind for one in found.findings], found.drift) == (["voucher_lot_missing"], 1)
    await findings.resolve(shop.pool, found.findings[0].id, reason="it is closed", caller=STAFF, clock=shop.clock)
    assert ((await accountant.show()).drift, await has(accountant, account)) == (0, before)


async def test_what_is_told_of_a_card_while_it_is_compared_is_no_finding(
    accountant: Accountant, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchase, grace = await redeemed(accountant)
    ask = accountant.shop.bank.credits.redeemed_by

    async def slowly(vouchers: list[UUID]) -> RedeemedLots:
        if not await taken_back(accountant):
            await disputed(accountant.shop, purchase)
            await hear(accountant, purchase)
        return await ask(vouchers)

    monkeypatch.setattr(accountant.shop.bank.credits, "redeemed_by", slowly)
    found = await accountant.go_through()
    assert [one.kind for one in found.findings + found.repaired if one.kind.startswith("voucher")] == []
    assert (len(await taken_back(accountant)), await has(accountant, grace)) == (1, 0)


async def test_while_something_waits_to_be_published_vouchers_are_not_compared(accountant: Accountant) -> None:
    await accountant.follow()
    account = (await redeem(accountant.shop, await a_code(accountant.shop))).redemption.account
    for minutes in (20, 40):
        await accountant.later(timedelta(minutes=minutes))
        await accountant.follow()
        assert (await accountant.kinds(), len(await redemptions(accountant.shop))) == (([], []), 1)
    await accountant.publish()
    await accountant.follow()
    assert (await accountant.kinds(), await has(accountant, account)) == (([], []), WORTH)


async def test_many_are_compared_in_pages_and_each_is_told_again_once(
    accountant: Accountant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.payments.operations.comparing_vouchers._AT_ONCE", 2)
    codes = [await a_code(accountant.shop) for _ in range(5)]
    at = accountant.shop.clock.now()
    with monkeypatch.context() as stopped:
        stopped.setattr(Clock, "now", lambda _: at)
        accounts = [(await redeem(accountant.shop, code)).redemption.account for code in codes]
    await accountant.publish(heard=False)
    found = await accountant.go_through()
    assert [walk.compared for walk in found.walks if (walk.what, walk.scope) == ("vouchers", "full")] == [5]
    assert ([one.kind for one in found.repaired], found.drift) == (["voucher_lot_missing"] * 5, 0)
    assert [await has(accountant, account) for account in accounts] == [WORTH] * 5
    assert len(await redemptions(accountant.shop)) == 10
