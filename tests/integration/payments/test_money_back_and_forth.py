"""Refunds, refunds that fail and disputes of one payment, mixed and told in any order, end where Stripe has them."""

import random
from contextlib import suppress
from typing import Any

import pytest

from libs.chassis.errors import DomainError
from libs.contracts.credits import MICRO
from libs.contracts.events import PaymentRefundFailed
from libs.contracts.http.payments_v1 import Purchase
from services.credits.operations.payments import Told, settle
from services.payments.operations.making import GIVEN_UP_AFTER
from tests.integration.payments.banks import charge_of
from tests.integration.payments.shop import Object, Shop
from tests.support.postings import spending

PRICE, CREDITS = 999, 50 * MICRO
AMOUNTS = (100, 200, 333, 666, 999)
LOST = {"kind": "500_after", "method": "POST", "path": "/v1/refunds", "count": 1}
OPEN = ("needs_response", "under_review", "warning_needs_response", "warning_under_review")
ABOUT_MONEY_BACK = ("refund", "charge.refunded", "charge.dispute")


class Payment:
    """A payment that things happen to at Stripe, some of which we are told, and of that the ledger some."""

    def __init__(self, shop: Shop, purchase: Purchase, charge: str, dice: random.Random) -> None:
        self.shop, self.purchase, self.charge, self.dice = shop, purchase, charge, dice
        self.spent = 0

    @classmethod
    async def made(cls, shop: Shop, seed: int) -> "Payment":
        """Have 50 credits bought, and some of them spent."""
        purchase = await shop.paid(pack="starter")
        await shop.tell_credits(purchase)
        made = cls(shop, purchase, await charge_of(shop, purchase), random.Random(seed))
        if made.dice.random() < 0.5:
            made.spent = 20 * MICRO
            await shop.bank.ledger.apply(spending(purchase.account, made.spent))
        return made

    async def befall(self) -> None:
        """Have something happen; nothing, if it cannot."""
        happens = self.dice.choice(
            [self.we_refund, self.dashboard_refunds, self.refunds_fail, self.bank_moves, self.hear, self.ledger_hears]
        )
        await happens()

    async def we_refund(self) -> None:
        """Refund a part, and perhaps not hear Stripe's answer."""
        await self.shop.faults(*([LOST] if self.dice.random() < 0.5 else []))
        with suppress(DomainError):
            await self.shop.refund(self.purchase, self.dice.choice(AMOUNTS))
        await self.shop.faults()

    async def dashboard_refunds(self) -> None:
        """Refund a part past us."""
        await self.switch(f"charges/{self.charge}/refund", {"amount": self.dice.choice(AMOUNTS)})

    async def refunds_fail(self) -> None:
        """Have one or two refunds fail."""
        arrived = [one for one in await self.at_stripe("refunds") if one["status"] == "succeeded"]
        for refund in self.dice.sample(arrived, min(len(arrived), self.dice.choice([1, 2]))):
            await self.switch(f"refunds/{refund['id']}/fail", {"failure_reason": "declined"})

    async def bank_moves(self) -> None:
        """Have the bank dispute, insist or decide."""
        disputes = [one for one in await self.at_stripe("disputes") if one["status"] in OPEN]
        if not disputes:
            how = {"amount": self.dice.choice(AMOUNTS), "inquiry": self.dice.random() < 0.6}
            await self.switch(f"charges/{self.charge}/dispute", how)
        elif disputes[0]["status"].startswith("warning") and self.dice.random() < 0.4:
            await self.switch(f"disputes/{disputes[0]['id']}/escalate")
        else:
            await self.end(disputes[0])

    async def end(self, dispute: Object) -> None:
        """Have the bank decide."""
        inquiry = dispute["status"].startswith("warning")
        outcome = "warning_closed" if inquiry else self.dice.choice(["won", "lost"])
        await self.switch(f"disputes/{dispute['id']}/close", {"outcome": outcome})

    async def hear(self) -> None:
        """Be told of some of it, in any order, some twice."""
        events = await self.events()
        for event in self.dice.choices(events, k=min(len(events), 3)):
            assert await self.shop.tell(event) == "applied"

    async def ledger_hears(self) -> None:
        """Tell the ledger some of what we made of it, in any order, some twice."""
        told = await self.told(Told)
        await self.settle([*self.dice.choices(told, k=4)])

    async def over(self) -> None:
        """Have every dispute end, and all that was not told be told."""
        for dispute in await self.at_stripe("disputes"):
            if dispute["status"] in OPEN:
                await self.end(dispute)
        events = await self.events()
        for event in self.dice.sample(events, len(events)):
            assert await self.shop.tell(event) == "applied"
        self.shop.travel(GIVEN_UP_AFTER)  # Stripe never had some
        while await self.shop.resolve_refunds():
            pass
        told = await self.told(Told)
        await self.settle(self.dice.sample(told, len(told)))

    async def settle(self, events: list[Any]) -> None:
        """Tell the ledger, one after another."""
        for event in events:
            await settle(self.shop.bank.ledger.pool, self.shop.bank.ledger.ledger, [event])

    async def events(self) -> list[Object]:
        """Give what Stripe told of money that goes back."""
        return [one for one in await self.shop.events(self.purchase) if one["type"].startswith(ABOUT_MONEY_BACK)]

    async def told(self, kind: Any) -> list[Any]:
        """Give what we told of some kind."""
        return [event for event in await self.shop.told(self.purchase) if isinstance(event, kind)]

    async def at_stripe(self, what: str) -> list[Object]:
        """Read Stripe's books."""
        books: list[Object] = (await self.shop.sandbox.get("books"))[what]
        return [one for one in books if one["charge"] == self.charge]

    async def switch(self, path: str, body: Object | None = None) -> None:
        """Have the sandbox do something, if it can."""
        answer = await self.shop.sandbox.http.post(f"/sandbox/{path}", json=body or {})
        assert answer.status_code < 500, answer.text


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_befalls_a_payment_the_ledger_ends_where_stripe_has_it(shop: Shop, seed: int) -> None:
    payment = await Payment.made(shop, seed)
    for _ in range(payment.dice.randint(6, 12)):
        await payment.befall()
    await payment.over()
    [money] = await payment.at_stripe("payment_intents")
    now = await shop.show(payment.purchase)
    assert now.refunded.amount_minor == money["amount_refunded"]
    gone = CREDITS * min(money["amount_refunded"] + money["amount_disputed"], PRICE) // PRICE
    balance = await shop.bank.ledger.balance(payment.purchase.account)
    assert (balance.available - balance.debt, balance.held) == (CREDITS - payment.spent - gone, 0)
    async with shop.pool.connection() as conn:
        failed = await conn.fetch("SELECT id FROM refund WHERE state = 'failed'")
    assert sorted(event.refund for event in await payment.told(PaymentRefundFailed)) == sorted(
        one["id"] for one in failed
    )
