"""A shop's window: catalogue files of a test's own, applied to its database and to the Stripe that all tests share."""

import json
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from stripe import StripeClient

from libs.contracts.catalogue import Catalogue
from libs.contracts.http.catalogue_v1 import CatalogueItem, CatalogueProgress
from services.payments.clients.stripe_catalogue import StripeCatalogue
from services.payments.operations import catalogue as operations
from tests.integration.payments.shop import Object, Shop

STARTER: Object = {
    "id": "starter~",
    "name": "Starter",
    "credits": "50",
    "prices": [{"amount_minor": 999, "currency": "usd"}],
}
PRO: Object = {
    "id": "pro~",
    "name": "Pro",
    "credits": "150",
    "bonus": "10",
    "prices": [{"amount_minor": 2499, "currency": "usd"}, {"amount_minor": 2299, "currency": "eur"}],
}
GIFT: Object = {**STARTER, "name": "Gift"}
QUARTER_OFF: Object = {"code": "SPRING~", "gives": {"kind": "percent", "percent": 25}, "total_limit": 500}
FIVE_OFF: Object = {
    "code": "TAKE5-~",
    "gives": {"kind": "amount", "amounts": [{"amount_minor": 500, "currency": "usd"}]},
    "minimum": [{"amount_minor": 2500, "currency": "usd"}],
    "new_customers_only": True,
}
MORE: Object = {"code": "MORE~", "gives": {"kind": "bonus_credits", "credits": "20"}}
SOLD: Object = {"packs": [STARTER, PRO], "gift_cards": [GIFT], "promo_codes": [QUARTER_OFF, FIVE_OFF, MORE]}


@dataclass
class Window:
    """What one test sells; `~` in ids and codes is what tells it from other tests'."""

    shop: Shop
    dashboard: StripeClient
    mark: str = field(default_factory=lambda: f"{uuid4().int % 10**12}")

    def file(self, **sold: Any) -> Catalogue:
        """Write a file that sells this."""
        text = json.dumps({"name": "shop", "price_book": {"version": "v1"}, **sold})
        return Catalogue.of(json.loads(text.replace("~", self.mark)))

    async def step(self, file: Catalogue) -> CatalogueProgress:
        """Take a step."""
        stripe = StripeCatalogue(self.shop.stripe)
        return await operations.apply(self.shop.pool, stripe, file, by="staff:ada", clock=self.shop.clock)

    async def apply(self, file: Catalogue) -> list[str]:
        """Take all steps; says what was done, in words."""
        done: list[str] = []
        while True:
            step = await self.step(file)
            assert (step.refused, step.busy) == (None, False)
            done += [self.plain(f"{each.place}: {each.what}: {each.change}") for each in step.done]
            if step.left == 0:
                return done

    async def plan(self, file: Catalogue) -> list[str]:
        """Say what is to be done, in words, but for restarts."""
        stripe = StripeCatalogue(self.shop.stripe)
        planned = await operations.plan(self.shop.pool, stripe, file, running=file, clock=self.shop.clock)
        return [self.plain(f"{each.place}: {each.what}: {each.change}") for each in planned.changes]

    async def items(self) -> dict[str, CatalogueItem]:
        """Read what is recorded of everything that is sold or was."""
        state = await operations.show(self.shop.pool, StripeCatalogue(self.shop.stripe))
        return {self.plain(f"{item.kind}:{item.id}"): item for item in state.data}

    async def at_stripe(self, kind: str) -> list[Object]:
        """Read from Stripe what this test has there, oldest first, each by its item and what is told apart by it."""
        page: Any = await getattr(self.dashboard.v1, f"{kind}s").list_async({"limit": 100})
        found = [each.to_dict() async for each in page.auto_paging_iter()]
        return [each for each in reversed(found) if self.mark in each["metadata"].get("item", "")]

    async def prices(self, *, active: bool = True) -> dict[str | None, int]:
        """Read the active prices at Stripe by their lookup keys."""
        there = await self.at_stripe("price")
        return {self.plain(each["lookup_key"] or ""): each["unit_amount"] for each in there if each["active"] == active}

    async def changes_asked(self, *, after: int) -> list[str]:
        """Read which changes Stripe was asked for since a request."""
        asked = (await self.shop.sandbox.get(f"requests?after={after}"))["data"]
        return [f"{each['method']} {each['path']}" for each in asked if each["method"] != "GET"]

    async def last_request(self) -> int:
        """Tell the number of the last request to Stripe."""
        asked = (await self.shop.sandbox.get("requests"))["data"]
        return max((each["number"] for each in asked), default=0)

    def plain(self, text: str) -> str:
        """Write as if this were the only test."""
        return text.replace(self.mark, "")
