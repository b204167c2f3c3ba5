"""Dying at the worst moments: whatever was done before, doing it again ends in one payment, one credit, one refund."""

import os
from collections.abc import Awaitable, Callable

import pytest

from libs.chassis import failpoints
from libs.contracts import ids
from libs.contracts.http.payments_v1 import Purchase
from services.payments.operations import vouchers
from tests.integration.payments.gifts import (
    a_code,
    bought,
    buy,
    cards_of,
    code_of,
    issued,
    redeem,
    redemptions,
    tell_due,
)
from tests.integration.payments.shop import Shop, a_buyer, usd


class DiedError(BaseException):
    """What stands for SIGKILL here: no `except Exception` catches it, and open transactions are lost."""


Arm = Callable[[str], None]


@pytest.fixture
def arm(monkeypatch: pytest.MonkeyPatch) -> Arm:
    """Have this process die where a fail point says, as far as a process can that goes on."""

    def die(process: int, signal: int) -> None:
        failpoints.arm("")
        raise DiedError

    monkeypatch.setattr(os, "kill", die)
    monkeypatch.setattr(failpoints, "_armed", "")
    return failpoints.arm


STARTING = [
    "payments.start.before_commit",
    "payments.start.after_commit",
    "payments.customer.before_commit",
    "payments.customer.after_commit",
    "payments.pay.before_commit",
    "payments.pay.after_commit",
    "payments.answer.before_commit",
    "payments.answer.after_commit",
]


@pytest.mark.parametrize("point", STARTING)
@pytest.mark.parametrize("method", ["payment_intent", "checkout"])
async def test_a_start_that_died_is_started_again_and_there_is_one_payment(
    shop: Shop, arm: Arm, point: str, method: str
) -> None:
    buyer = a_buyer()
    await shop.put_code("ONCE", {"kind": "percent", "percent": 10}, total_limit=1)
    order = {"method": method, "return_url": "https://shop.example/paid", "pack": "pro", "promo_code": "ONCE"}
    arm(point)
    with pytest.raises(DiedError):
        await shop.start(buyer, key="k", **order)
    assert await shop.redeemed("ONCE") == (point != "payments.start.before_commit")
    purchase = await shop.start(buyer, key="k", **order)
    assert purchase == await shop.start(buyer, key="k", **order)
    await (shop.pay(purchase) if method == "payment_intent" else shop.pay_page(purchase))
    assert (await shop.confirm(purchase)).state == "succeeded"
    assert len(await shop.at_stripe(buyer)) == 1
    assert len(await shop.successes(purchase)) == 1
    assert await shop.redeemed("ONCE") == 1


async def settle_by_event(shop: Shop, purchase: Purchase) -> None:
    for event in await shop.events(purchase, "payment_intent.succeeded"):
        await shop.tell(event)


async def settle_by_look(shop: Shop, purchase: Purchase) -> None:
    await shop.confirm(purchase)


@pytest.mark.parametrize(
    ("settle", "point"),
    [
        (settle_by_event, "payments.settle.before_commit"),
        (settle_by_event, "payments.settle.after_commit"),
        (settle_by_look, "payments.look.before_commit"),
        (settle_by_look, "payments.look.after_commit"),
    ],
)
async def test_a_settlement_that_died_is_told_again_and_credited_once(
    shop: Shop, arm: Arm, settle: Callable[[Shop, Purchase], Awaitable[None]], point: str
) -> None:
    purchase = await shop.start()
    await shop.pay(purchase)
    arm(point)
    with pytest.raises(DiedError):
        await settle(shop, purchase)
    assert len(await shop.successes(purchase)) == point.endswith("after_commit")
    await settle(shop, purchase)
    assert (await shop.show(purchase)).state == "succeeded"
    assert len(await shop.successes(purchase)) == 1


REFUNDING = [
    "payments.refund.before_commit",
    "payments.refund.after_commit",
    "payments.refund.set_aside",
    "payments.refund_answer.before_commit",
    "payments.refund_answer.after_commit",
]


@pytest.mark.parametrize("point", REFUNDING)
async def test_a_refund_that_died_is_asked_for_again_and_made_once(shop: Shop, arm: Arm, point: str) -> None:
    purchase = await shop.paid(pack="starter")
    arm(point)
    with pytest.raises(DiedError):
        await shop.refund(purchase, 400, key="k")
    for event in await shop.events(purchase, "refund.created"):
        await shop.tell(event)
    refund = await shop.refund(purchase, 400, key="k")
    assert refund == await shop.refund(purchase, 400, key="k")
    assert [event.refunded for event in await shop.refunded(purchase)] == [usd(400)]
    books = (await shop.sandbox.get("books"))["refunds"]
    intent = await shop.payment_intent(purchase)
    assert [one["amount"] for one in books if one["payment_intent"] == intent] == [400]


@pytest.mark.parametrize("point", ["payments.vouchers.before_commit", "payments.vouchers.after_commit"])
async def test_vouchers_whose_issuing_died_are_issued_once_and_their_codes_are_told(
    shop: Shop, arm: Arm, point: str
) -> None:
    arm(point)
    with pytest.raises(DiedError):
        await issued(shop, count=3, key="k")
    made = await issued(shop, count=3, key="k")
    assert made == await issued(shop, count=3, key="k")
    page = await vouchers.list_batches(shop.pool, caller="staff:eve", limit=10, cursor=None)
    assert [batch.count for batch in page.data] == [3]
    assert not (await redeem(shop, made.vouchers[2].code)).replayed


@pytest.mark.parametrize("point", ["payments.redeem.before_commit", "payments.redeem.after_commit"])
async def test_a_redemption_that_died_is_asked_for_again_and_told_once(shop: Shop, arm: Arm, point: str) -> None:
    code, account = await a_code(shop), ids.new_id()
    arm(point)
    with pytest.raises(DiedError):
        await redeem(shop, code, account, key="k")
    assert len(await redemptions(shop)) == point.endswith("after_commit")
    again = await redeem(shop, code, account, key="k")
    assert again.replayed == point.endswith("after_commit")
    assert [told.account for told in await redemptions(shop)] == [account]


@pytest.mark.parametrize("point", STARTING)
async def test_a_gift_card_whose_start_died_is_one_card_by_one_payment(shop: Shop, arm: Arm, point: str) -> None:
    buyer = a_buyer()
    arm(point)
    with pytest.raises(DiedError):
        await buy(shop, buyer, key="k")
    purchase = await buy(shop, buyer, key="k")
    await shop.pay(purchase)
    assert (await shop.confirm(purchase)).state == "succeeded"
    assert len(await shop.at_stripe(buyer)) == 1
    assert [card.id for card in await cards_of(shop, buyer.account)] == [purchase.gift_card]


@pytest.mark.parametrize(
    ("settle", "point"),
    [
        (settle_by_event, "payments.settle.before_commit"),
        (settle_by_event, "payments.settle.after_commit"),
        (settle_by_look, "payments.look.before_commit"),
        (settle_by_look, "payments.look.after_commit"),
    ],
)
async def test_a_paid_gift_card_whose_settlement_died_is_one_card(
    shop: Shop, arm: Arm, settle: Callable[[Shop, Purchase], Awaitable[None]], point: str
) -> None:
    purchase = await buy(shop)
    await shop.pay(purchase)
    arm(point)
    with pytest.raises(DiedError):
        await settle(shop, purchase)
    assert len(await cards_of(shop, purchase.account)) == point.endswith("after_commit")
    await settle(shop, purchase)
    assert len(await cards_of(shop, purchase.account)) == len(await shop.successes(purchase)) == 1


@pytest.mark.parametrize("point", ["payments.gift_cards.before_commit", "payments.gift_cards.after_commit"])
async def test_a_code_whose_telling_died_is_told_once(shop: Shop, arm: Arm, point: str) -> None:
    purchase = await bought(shop)
    arm(point)
    with pytest.raises(DiedError):
        await tell_due(shop)
    assert await tell_due(shop) == point.endswith("before_commit")
    assert not (await redeem(shop, await code_of(shop, purchase))).replayed


@pytest.mark.parametrize("point", REFUNDING)
async def test_a_gift_card_whose_refund_died_is_void_and_paid_back_once(shop: Shop, arm: Arm, point: str) -> None:
    purchase = await bought(shop)
    arm(point)
    with pytest.raises(DiedError):
        await shop.refund(purchase, key="k")
    meanwhile = "scheduled" if point == "payments.refund.before_commit" else "void"
    assert [card.state for card in await cards_of(shop, purchase.account)] == [meanwhile]
    await shop.refund(purchase, key="k")
    assert [card.state for card in await cards_of(shop, purchase.account)] == ["void"]
    assert [event.refunded for event in await shop.refunded(purchase)] == [usd(999)]
