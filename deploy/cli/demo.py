"""`make demo`: the whole path once, on a stack of its own, told step by step and timed."""

import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from aiokafka import AIOKafkaConsumer
from rich.console import Console
from rich.table import Table

from deploy.cli.books import read_entries
from deploy.cli.customer import Customer, wait_for
from deploy.cli.state import read_state
from deploy.cli.verify import verify
from deploy.embedded.stack import Stack, StackSettings
from libs.contracts import ids
from libs.contracts.client import UsageClient
from libs.contracts.credits import format_credits
from libs.contracts.envelope import CloudEvent
from libs.contracts.events import UsageRejected
from libs.contracts.http.credits_v1 import Balance, Transaction
from libs.contracts.http.payments_v1 import Purchase
from libs.contracts.topics import CREDITS_EVENTS

METER = "video.generation"


class Story:
    """Tells what happens, and how long each step took."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._step = 0
        self._began = self._last = time.monotonic()

    def chapter(self, title: str) -> None:
        """Begin a step."""
        self._step += 1
        self._last = time.monotonic()
        self.console.print(f"\n[bold]{self._step:2}. {title}[/bold]")

    def say(self, text: str, *, timed: bool = False) -> None:
        """Tell a line of the step; `timed` adds how long it took since the last timed line."""
        took = f"  [dim]{(time.monotonic() - self._last) * 1000:.0f} ms[/dim]" if timed else ""
        self.console.print(f"    {text}{took}")
        self._last = time.monotonic() if timed else self._last

    def ended(self) -> float:
        """Tell how many seconds the story took."""
        return time.monotonic() - self._began


async def demonstrate(settings: StackSettings, console: Console) -> bool:
    """Run the path on an own stack, audit it, stop it; tells whether the books were right."""
    home = settings.data.absolute() / "demo"
    shutil.rmtree(home, ignore_errors=True)
    story = Story(console)
    story.chapter("Start PostgreSQL, Valkey, Kafka, a mailbox, a Stripe sandbox and the four services")
    stack = Stack(settings.model_copy(update={"data": home}), say=story.say)
    try:
        await stack.start()
        story.say("all ready", timed=True)
        async with httpx2.AsyncClient(base_url=stack.addresses.gateway, timeout=30) as http:
            await _Path(stack, story, http).walk()
        story.chapter("Audit: scrip verify")
        right = await verify(read_state(home), console, wait_seconds=10)
        story.chapter("Stop everything")
    finally:
        await stack.stop()
    story.say("stopped", timed=True)
    console.print(f"\nThe whole path took {story.ended():.1f} s.")
    return right


class _Path:
    """The path, in steps that each check what they tell."""

    def __init__(self, stack: Stack, story: Story, http: httpx2.AsyncClient) -> None:
        self._stack = stack
        self._story = story
        self._http = http
        self._stripe = stack.addresses.stripe or ""

    async def walk(self) -> None:
        """Walk it."""
        ada = await self._sign_up()
        starter = await self._buy_with_elements(ada)
        await self._deliver_again(ada, starter)
        pro = await self._buy_with_checkout(ada)
        await self._use(ada)
        await self._use_too_much(ada)
        await self._refund(ada, pro)
        await self._show(ada)

    async def _sign_up(self) -> Customer:
        self._story.chapter("Sign up; the welcome bonus is there at once")
        ada = await Customer.sign_up(self._http, email="ada@example.com", name="Ada Lovelace", stripe=self._stripe)
        self._story.say(f"{ada.session.user.email} has {_words(ada.session.balance)}", timed=True)
        for pack in (await ada.packs()).data:
            extra = f" + {format_credits(pack.bonus)} free" if pack.bonus else ""
            self._story.say(f"on offer: {pack.name}: {format_credits(pack.credits)}{extra} for {pack.prices[0]}")
        return ada

    async def _buy_with_elements(self, ada: Customer) -> Purchase:
        self._story.chapter("Buy a Starter pack by PaymentIntent; a declined card first, then a good one")
        purchase = await ada.buy("starter")
        self._story.say(f"purchase {purchase.model_dump(mode='json')['id']}: {purchase.quote.price}", timed=True)
        declined = await ada.pay(purchase, "pm_card_visa_chargeDeclined")
        self._story.say(f"4000 0000 0000 0002: {declined['error']['message']}", timed=True)
        await ada.pay(purchase, "pm_card_visa")
        self._story.say("4242 4242 4242 4242: paid at Stripe", timed=True)
        balance = await ada.wait_until(lambda b: b.available == 60_000_000)
        self._story.say(f"signed webhook -> payments -> credits: {_words(balance)}", timed=True)
        return purchase

    async def _deliver_again(self, ada: Customer, purchase: Purchase) -> None:
        self._story.chapter("Stripe delivers the same webhook five more times, all at once")
        async with httpx2.AsyncClient(base_url=self._stripe, timeout=30) as stripe:
            events = (await stripe.get("/sandbox/events")).json()["data"]
            event = next(e for e in events if e["type"] == "payment_intent.succeeded")
            await stripe.post(f"/sandbox/events/{event['id']}/redeliver", json={"times": 5, "concurrently": True})
        again = await ada.purchase(purchase)
        balance = await ada.balance()
        _expect(balance.available == 60_000_000, f"credited once, but there are {_words(balance)}")
        self._story.say(f"all answered 200; the purchase is {again.state}; still {_words(balance)}", timed=True)

    async def _buy_with_checkout(self, ada: Customer) -> Purchase:
        self._story.chapter("Buy a Pro pack on Stripe's hosted page")
        order = {"method": "checkout", "return_url": "http://127.0.0.1/thanks", "cancel_url": "http://127.0.0.1/shop"}
        purchase = await ada.buy("pro", **order)
        self._story.say(f"pay at {purchase.checkout_url}", timed=True)
        await ada.pay_page(purchase)
        balance = await ada.wait_until(lambda b: b.available == 220_000_000)
        self._story.say(f"150 + 10 bonus: {_words(balance)}", timed=True)
        return purchase

    async def _use(self, ada: Customer) -> None:
        self._story.chapter("A service reports usage over Kafka; one event is sent twice")
        account = ada.account
        async with UsageClient.kafka(self._stack.infrastructure.kafka, source="/demo/renderer") as client:
            for _ in range(2):
                await client.usage(account, METER, 3, {"resolution": "720p"}, id="render-1")
            await client.usage(account, METER, "4.2", {"resolution": "1080p"}, id="render-2")
            await client.flush()
        self._story.say("3 min of 720p (sent twice), 4.2 min of 1080p (a started minute counts)", timed=True)
        balance = await ada.wait_until(lambda b: b.available == 165_000_000)
        self._story.say(f"15 + 40 burnt, the promotional credits first: {_words(balance)}", timed=True)

    async def _use_too_much(self, ada: Customer) -> None:
        self._story.chapter("A usage event that cannot be covered is refused, and told")
        async with UsageClient.kafka(self._stack.infrastructure.kafka, source="/demo/renderer") as client:
            await client.usage(ada.account, METER, 1000, {"resolution": "1080p"}, id="render-3")
        rejected = await self._rejection(ids.show("account", ada.account))
        self._story.say(f"UsageRejected {rejected.code}: {rejected.detail}", timed=True)
        balance = await ada.balance()
        _expect(balance.available == 165_000_000, f"nothing burnt, but there are {_words(balance)}")

    async def _rejection(self, account: str) -> UsageRejected:
        async with _reading(self._stack.infrastructure.kafka) as consumer:

            async def look() -> UsageRejected | None:
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    for record in records:
                        event = CloudEvent.decode(record.value)
                        if event.type == UsageRejected.type and event.subject == account:
                            return UsageRejected.of(event)
                return None

            return await wait_for(look)

    async def _refund(self, ada: Customer, purchase: Purchase) -> None:
        self._story.chapter("Refund the Pro pack in full; its credits go back")
        refund = await ada.refund(purchase)
        self._story.say(f"{refund.amount} go back to the card", timed=True)
        balance = await ada.wait_until(lambda b: b.totals.refunded == 160_000_000)
        self._story.say(f"left: {_words(balance)}", timed=True)

    async def _show(self, ada: Customer) -> None:
        self._story.chapter("The ledger: what moved the balance, newest first; and its journal, oldest first")
        self._story.console.print(_transactions(await ada.transactions()))
        self._story.console.print(_journal(await read_entries(self._stack.databases["credits"].app_url, ada.account)))
        self._story.chapter("The mail, and the first receipt")
        async with httpx2.AsyncClient(base_url=self._stack.addresses.mailbox or "", timeout=30) as mailbox:

            async def three() -> list[dict[str, Any]] | None:
                found: list[dict[str, Any]] = (await mailbox.get("/messages")).json()
                return found if len(found) >= 3 else None

            mails = await wait_for(three)
            for mail in mails:
                self._story.say(f"mail to {', '.join(mail['recipients'])}: {mail['subject']}")
            receipt = (await mailbox.get(f"/messages/{mails[-1]['id']}")).json()
        self._story.console.print()
        for line in receipt["text"].strip().splitlines():
            self._story.console.print(f"      [cyan]|[/cyan] {line}", markup=True)


@asynccontextmanager
async def _reading(servers: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(CREDITS_EVENTS.name, bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


def _words(balance: Balance | None) -> str:
    if balance is None:
        return "a balance not yet known"
    debt = f", {format_credits(balance.debt)} in debt" if balance.debt else ""
    kinds = ", ".join(f"{format_credits(amount)} {kind}" for kind, amount in sorted(balance.by_kind.items()))
    return f"{format_credits(balance.available)} credits ({kinds or 'none'}){debt}"


def _transactions(transactions: list[Transaction]) -> Table:
    table = Table("", "seq", "type", "credits", "balance", "description", "reference", box=None, padding=(0, 2, 0, 0))
    for row in transactions:
        shown = row.model_dump(mode="json")
        columns = ("sequence", "type", "credits", "balance_after", "description", "reference_id")
        table.add_row("   ", *(str(shown[name]) for name in columns))
    return table


def _journal(entries: list[dict[str, Any]]) -> Table:
    table = Table("", "seq", "leg", "from", "to", "lot", "credits", "available", box=None, padding=(0, 2, 0, 0))
    for entry in entries:
        amounts = [format_credits(entry[name]) for name in ("amount", "available_after")]
        columns = [str(entry[name]) for name in ("sequence", "leg", "from_bucket", "to_bucket", "kind")]
        table.add_row("   ", *columns, *amounts)
    return table


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)
