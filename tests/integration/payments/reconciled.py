"""A shop with a Stripe and a ledger of its own, whose books are compared."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from stripe import StripeClient

from deploy.embedded.infrastructure import Infrastructure
from deploy.stripe_sandbox.clock import REREAD_EVERY_S
from libs.chassis.clock import Clock
from libs.chassis.service_client import ServiceClient
from libs.contracts.catalogue import Catalogue
from libs.contracts.envelope import CloudEvent
from libs.contracts.events import BY_TYPE
from libs.contracts.http.payments_v1 import Purchase
from libs.contracts.http.reconciliation_v1 import Reconciliation, StepDone, StepOrder
from services.credits.operations.payments import Told, settle
from services.payments.clients.credits import CreditsClient
from services.payments.clients.stripe import Stripe
from services.payments.operations import reconciling
from services.payments.operations.findings import Sides
from services.payments.operations.resolving import look_at_waiting
from tests.integration.credits.serving import PAYMENTS_KEY, serving
from tests.integration.payments.shop import CATALOGUE, Bank, Shop
from tests.integration.payments.test_clients import exchanges, so_far
from tests.support import stripe_checks
from tests.support.books import assert_books_balance
from tests.support.databases import ServicePool
from tests.support.ledger import Credits
from tests.support.stripe_sandbox import KEY, PUBLISHABLE_KEY, running_sandbox, stripe_client, until

STAFF = "staff:ada"


@dataclass
class Accountant:
    """Compares the books as the job and the command do."""

    shop: Shop
    dashboard: StripeClient
    published: int = 0
    """Up to which row of the outbox."""

    @property
    def sides(self) -> Sides:
        """Whose books."""
        shop = self.shop
        return Sides(shop.pool, shop.stripe, shop.bank.credits, shop.clock, shop.catalogue.policies)

    async def follow(self) -> int:
        """Have the job come round."""
        await self.entered()
        return await reconciling.reconcile(self.sides)

    async def step(self, **order: Any) -> StepDone:
        """Have a step of a full pass made."""
        return await reconciling.step(self.sides, StepOrder.model_validate(order), caller=STAFF)

    async def go_through(self, *, since: datetime | None = None) -> Reconciliation:
        """Have a full pass made to its end, while what is told again arrives; tells where it stands then."""
        await self.entered()
        done = await self.step(begin=True, since=since)
        while not done.done:
            await self.publish()
            done = await self.step()
        return await self.show()

    async def entered(self) -> None:
        """Wait until Stripe's balance shows every payment, which it does a little later."""

        async def are() -> bool:
            payments = (await self.shop.sandbox.get("books"))["payment_intents"]
            return all(one["fee"] is not None for one in payments if one["status"] == "succeeded")

        await until(are)

    async def show(self) -> Reconciliation:
        """Tell where it stands."""
        return await reconciling.show(self.sides)

    async def look_at_waiting(self) -> int:
        """Have the other job come round."""
        return await look_at_waiting(self.shop.pool, self.shop.stripe, clock=self.shop.clock)

    async def publish(self, *, heard: bool = True) -> None:
        """Have what was told published; the ledger hears of it, unless the broker loses it."""
        async with self.shop.pool.transaction() as conn:
            await conn.execute("UPDATE outbox SET published_at = recorded_at WHERE published_at IS NULL")
            rows = await conn.fetch("SELECT id, unnest(payloads) AS payload FROM outbox WHERE id > $1 ORDER BY id",
                                    self.published)  # fmt: skip
        self.published = max([self.published, *(row["id"] for row in rows)])
        envelopes = [CloudEvent.decode(row["payload"]) for row in rows]
        told = [event for one in envelopes if isinstance(event := BY_TYPE[one.type].of(one), Told)]
        if heard:
            await settle(self.shop.bank.ledger.pool, self.shop.bank.ledger.ledger, told)

    async def paid(self, **order: Any) -> Purchase:
        """Have a purchase paid, of which every webhook is lost."""
        purchase = await self.shop.start(**order)
        assert await self.shop.pay(purchase) == "succeeded"
        return purchase

    async def settled(self, **order: Any) -> Purchase:
        """Have a purchase paid and settled, of which the ledger has heard."""
        purchase = await self.shop.paid(**order)
        await self.publish()
        return purchase

    async def later(self, by: timedelta) -> None:
        """Let time pass since the beginning, for us and for Stripe, who looks ten times a second."""
        await self.entered()
        self.shop.travel(by)
        await asyncio.sleep(1.5 * REREAD_EVERY_S)

    async def charge(self, purchase: Purchase) -> str:
        """Tell Stripe's id of the charge that paid a purchase."""
        intent = await self.shop.payment_intent(purchase)
        payments = (await self.shop.sandbox.get("books"))["payment_intents"]
        return next(str(one["charge"]) for one in payments if one["id"] == intent)

    async def asked_of_stripe(self, work: Any) -> Sequence[str]:
        """Tell which calls to Stripe some work makes."""
        before = await so_far(self.shop.sandbox)
        await work
        return [f"{one['method']} {one['path']}" for one in await exchanges(self.shop.sandbox, after=before)]

    async def kinds(self) -> tuple[list[str], list[str]]:
        """Tell what is open and what was mended, by kind."""
        found = await self.show()
        return sorted(one.kind for one in found.findings), sorted(one.kind for one in found.repaired)


@asynccontextmanager
async def accounting(
    made: ServicePool,
    infrastructure: Infrastructure,
    folder: Path,
    *,
    catalogue: Catalogue = CATALOGUE,
    timeout_seconds: float = 5,
    requests_kept: int = 5000,
) -> AsyncIterator[Accountant]:
    """Open a shop, a ledger and a Stripe of their own, whose clocks are one; the books are audited in the end."""
    clock = folder / "clock"
    ledger = Credits(await made("credits"), Clock(clock), catalogue)
    async with (
        running_sandbox(clock_offset_file=clock, requests_kept=requests_kept) as sandbox,
        stripe_client(sandbox.url, key=PUBLISHABLE_KEY) as browser,
        stripe_client(sandbox.url) as dashboard,
        serving(made.urls("credits"), infrastructure, catalogue=catalogue, folder=folder) as api,
    ):
        to_credits = ServiceClient("credits", base_url=str(api.http.base_url), signer=api.signer)
        bank = Bank(ledger, CreditsClient(to_credits), str(api.http.base_url), folder / PAYMENTS_KEY)
        client = Stripe(KEY, api_base=sandbox.url, timeout_seconds=timeout_seconds, retries=0)
        shop = Shop(await made("payments"), client, sandbox, browser, bank, clock_file=clock, catalogue=catalogue)
        shop.travel(timedelta(0))
        yield Accountant(shop, dashboard)
        await client.stop()
        await to_credits.stop()
        asked, told = (await sandbox.get("requests"))["data"], (await sandbox.get("events"))["data"]
        assert stripe_checks.problems(asked, told) == []
    await assert_books_balance(shop.pool, "payments")
    await assert_books_balance(ledger.pool)
    await made.drop()
