"""A storm: what two hundred buyers want, drawn from a seed, how they insist on it, who dies, what must be so after."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from typing import Any, Literal, TypeVar, get_args

import asyncpg
import httpx2
from rich.progress import Progress

from deploy.cli.customer import Customer, Refused, good, wait_for
from deploy.cli.state import read_state
from deploy.cli.verify import Steps, checks
from deploy.embedded.databases import SERVICES
from deploy.embedded.stack import Stack
from libs.contracts import ids
from libs.contracts.errors import INVALID_PROMO_CODE
from libs.contracts.http.payments_v1 import Purchase
from tests.e2e.test_crashes import persistently
from tests.support.sandbox import Sandbox

T = TypeVar("T")
Fate = Literal[
    "paid", "declined", "canceled", "abandoned", "refunded", "refunded_in_part", "refunded_at_stripe",
    "disputed", "won", "lost",
]  # fmt: skip
ENDS_OF = {"won": "won", "lost": "lost"}
PAID = {*get_args(Fate)} - {"canceled", "abandoned"}
CUSTOMERS = 20
LASTS_S = 35.0
PATIENCE_S = 120.0
SCARCE, MORE = "STORM-20", "STORM-MORE"
SCARCE_LEFT = 15

_ORDERS: list[dict[str, Any]] = [
    {"pack": "starter"}, {"pack": "pro"}, {"pack": "business"}, {"amount_credits": "12.5"},
    {"amount_money": {"amount_minor": 500, "currency": "usd"}}, {"pack": "pro", "promo_code": MORE},
    {"pack": "pro", "promo_code": SCARCE},
]  # fmt: skip
_ON_A_PAGE = {"method": "checkout", "return_url": "http://127.0.0.1/thanks", "cancel_url": "http://127.0.0.1/shop"}


@dataclass(frozen=True)
class Wish:
    """What somebody wants to buy, when, and what becomes of it."""

    number: int
    customer: int
    begins_s: float
    order: dict[str, Any]
    fate: Fate

    @property
    def on_a_page(self) -> bool:
        """Whether it is paid on Stripe's page."""
        return "method" in self.order


def wishes(seed: int, count: int) -> list[Wish]:
    """Draw what is wished for: half of it is simply paid, and of everything else there is something."""
    chance = random.Random(f"{seed} wishes")
    fates = get_args(Fate)
    drawn = [*fates, *chance.choices(fates, weights=[9, *[1] * (len(fates) - 1)], k=count - len(fates))]
    return [
        Wish(
            number,
            customer=number % CUSTOMERS,
            begins_s=chance.uniform(0, LASTS_S),
            order=chance.choice(_ORDERS) | (_ON_A_PAGE if chance.random() < 0.4 else {}),
            fate=fate,
        )
        for number, fate in enumerate(drawn)
    ]


insist = partial(persistently, seconds=PATIENCE_S)


@dataclass
class Storm:
    """A stack in which everything goes wrong at once."""

    stack: Stack
    sandbox: Sandbox
    gateway: httpx2.AsyncClient
    seed: int
    killed: Counter[str] = field(default_factory=Counter)

    @asynccontextmanager
    async def rages(self) -> AsyncIterator[None]:
        """Have webhooks go wrong, and one service after the other die and come back; in the end all die at once."""
        raging = [asyncio.create_task(self._webhooks_go_wrong()), asyncio.create_task(self._services_die())]
        try:
            yield
        finally:
            for each in raging:
                each.cancel()
            await asyncio.gather(*raging, return_exceptions=True)
        for service in SERVICES:
            self._kill(service)

    async def _webhooks_go_wrong(self) -> None:
        """Have some webhooks come twice, late, in another order, signed wrongly, or never; and by turns all never."""
        chance = random.Random(f"{self.seed} webhooks")
        for lost in cycle((0.15, 1.0)):
            await self.sandbox.webhooks(
                duplicate=2, duplicated=0.5, delay_ms=2000, delayed=0.3, reorder=5, drop=lost, wrong_signature=0.1,
                seed=chance.getrandbits(32),
            )  # fmt: skip
            await asyncio.sleep(chance.uniform(2, 6))

    async def _services_die(self) -> None:
        """Kill by turns; each who comes back has as long in peace as coming back took, and a little more."""
        chance, loop = random.Random(f"{self.seed} deaths"), asyncio.get_running_loop()
        while True:
            for service in chance.sample(SERVICES, len(SERVICES)):
                await asyncio.sleep(chance.uniform(0.5, 1.5))
                self._kill(service)
                died = loop.time()
                await asyncio.sleep(chance.uniform(0, 0.5))
                await self.stack.processes[service].start()
                await asyncio.sleep(loop.time() - died)

    def _kill(self, service: str) -> None:
        self.stack.processes[service].kill()
        self.killed[service] += 1

    async def come_true(self, wish: Wish, customer: Customer) -> None:
        """Insist on a wish until it is fulfilled."""
        await asyncio.sleep(wish.begins_s)
        purchase = await self._start(wish, customer)
        if wish.fate == "declined":
            await self._pay(wish, customer, purchase, "pm_card_visa_chargeDeclined", "4000000000000002")
        if wish.fate in PAID:
            await self._pay(wish, customer, purchase, "pm_card_visa", "4242424242424242")
        match wish.fate:
            case "canceled":
                await self._ask(customer, purchase, "cancel")
            case "refunded" | "refunded_in_part":
                await self._ask(customer, purchase, "confirm")
                part = {"amount": {"amount_minor": 100, "currency": "usd"}} if wish.fate == "refunded_in_part" else {}
                await insist(lambda: customer.refund(purchase, key=f"refund-{wish.number}", **part))
            case "refunded_at_stripe":
                await self._at_stripe(f"charges/{await self._charge(purchase)}/refund", {})
            case "disputed" | "won" | "lost":
                dispute = await self._at_stripe(f"charges/{await self._charge(purchase)}/dispute", {})
                if wish.fate in ENDS_OF:
                    await self._at_stripe(f"disputes/{dispute['id']}/close", {"outcome": ENDS_OF[wish.fate]})

    async def _start(self, wish: Wish, customer: Customer) -> Purchase:
        try:
            return await insist(lambda: customer.buy(key=f"buy-{wish.number}", **wish.order))
        except Refused as refused:
            if refused.code != INVALID_PROMO_CODE.code:
                raise
            order = {name: value for name, value in wish.order.items() if name != "promo_code"}
            return await insist(lambda: customer.buy(key=f"buy-{wish.number}-without", **order))

    async def _pay(self, wish: Wish, customer: Customer, purchase: Purchase, card: str, number: str) -> None:
        await (customer.pay_page(purchase, number) if wish.on_a_page else customer.pay(purchase, card))

    async def _ask(self, customer: Customer, purchase: Purchase, what: str) -> None:
        headers = {"Authorization": f"Bearer {customer.session.access_token}"}

        async def ask() -> bytes:
            return good(await self.gateway.post(f"/v1/purchases/{_name(purchase)}/{what}", headers=headers))

        await insist(ask)

    async def _charge(self, purchase: Purchase) -> str:
        (payment,) = await self.sandbox.payments_of(purchase)
        return str(payment["charge"])

    async def _at_stripe(self, path: str, body: dict[str, Any]) -> Any:
        return (await self.sandbox.http.post(f"/sandbox/{path}", json=body)).raise_for_status().json()

    async def mended(self) -> int:
        """Tell how much reconciliation has mended."""
        conn = await asyncpg.connect(self.stack.databases["payments"].app_url)
        try:
            return int(await conn.fetchval("SELECT count(*) FROM finding WHERE repaired_at IS NOT NULL"))
        finally:
            await conn.close()

    async def is_over(self) -> None:
        """Have the faults end."""
        await self.sandbox.calm()
        await asyncio.gather(*(self.stack.processes[service].start() for service in SERVICES))

    async def unsettled(self) -> list[str]:
        """Say what is not as it must be in the end."""
        audited = checks(read_state(self.stack.home), Steps(Progress(disable=True)), heads=None)
        found = [f"{check.sentence}: {breach}" async for check in audited for breach in check.breaches]
        for service in SERVICES:
            found += [f"{service}: {what}" for what in await self._left(service)]
        return found

    async def _left(self, service: str) -> list[str]:
        queries = {
            "an event is not published": "SELECT count(*) FROM outbox WHERE published_at IS NULL",
            "a dead letter waits": "SELECT count(*) FROM dead_letter",
        }
        if service == "payments":
            queries |= _OF_PAYMENTS
        conn = await asyncpg.connect(self.stack.databases[service].app_url)
        try:
            counted = {what: await conn.fetchval(query) for what, query in queries.items()}
        finally:
            await conn.close()
        return [f"{what}: {count}" for what, count in counted.items() if count]


_OF_PAYMENTS = {
    "nobody knows of its payment": "SELECT count(*) FROM purchase WHERE state = 'unknown'",
    "a refund has no end": "SELECT count(*) FROM refund WHERE state IN ('created', 'unknown', 'pending')",
    "something lies in quarantine": "SELECT count(*) FROM quarantine",
    "something does not agree": "SELECT count(*) FROM finding WHERE repaired_at IS NULL",
}


def _name(purchase: Purchase) -> str:
    assert purchase.id is not None
    return ids.show("purchase", purchase.id)


async def eventually(look: Callable[[], Awaitable[list[str]]], *, seconds: float) -> list[str]:
    """Look until nothing is found, or for so long; returns what is found then."""
    found: list[str] = []

    async def nothing() -> bool:
        found[:] = await look()
        return not found

    try:
        await wait_for(nothing, seconds=seconds)
    except TimeoutError:
        return found
    return []
