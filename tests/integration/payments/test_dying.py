"""Dying at the worst moments: whatever was done before, doing it again ends in one payment, one credit, one refund."""

import os
from collections.abc import Awaitable, Callable

import pytest

from libs.chassis import failpoints
from libs.contracts.http.payments_v1 import Purchase
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
    order = {"method": method, "return_url": "https://shop.example/paid"}
    arm(point)
    with pytest.raises(DiedError):
        await shop.start(buyer, key="k", **order)
    purchase = await shop.start(buyer, key="k", **order)
    assert purchase == await shop.start(buyer, key="k", **order)
    await (shop.pay(purchase) if method == "payment_intent" else shop.pay_page(purchase))
    assert (await shop.confirm(purchase)).state == "succeeded"
    assert len(await shop.at_stripe(buyer)) == 1
    assert len(await shop.successes(purchase)) == 1


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
