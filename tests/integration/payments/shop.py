"""A shop: the payments service's operations on one database, and buyers who pay in the Stripe sandbox."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import orjson
import yaml
from stripe import CardError, StripeClient

from libs.chassis.clock import Clock
from libs.chassis.errors import UnavailableError
from libs.chassis.pool import Connection, Pool
from libs.contracts import ids
from libs.contracts.catalogue import Catalogue
from libs.contracts.envelope import CloudEvent
from libs.contracts.events import BY_TYPE, Event, PaymentRefunded, PaymentSucceeded
from libs.contracts.http.payments_v1 import (
    Buyer,
    Purchase,
    PurchaseOrder,
    Quote,
    Refund,
    RefundOrder,
    StartPurchase,
)
from libs.contracts.http.promo_codes_v1 import PromoCodeCounted
from libs.contracts.money import Money
from libs.contracts.promo_codes import PromoTerms
from services.credits.operations.payments import Told, settle
from services.payments.clients.credits import CreditsClient
from services.payments.clients.stripe import Stripe
from services.payments.domain.quotes import Terms
from services.payments.domain.return_addresses import ReturnAddresses
from services.payments.domain.stripe_objects import StripeEvent
from services.payments.operations import promo_codes, purchases, refunds
from services.payments.operations.resolving import resolve_refunds
from services.payments.operations.settlement import Outcome
from services.payments.operations.settling import Settler
from services.payments.operations.stripe_events import handle_stripe_event
from tests.support.ledger import Credits
from tests.support.stripe_sandbox import RunningSandbox

CATALOGUE_FILE = Path(__file__).parents[3] / "deploy" / "catalogues" / "video.yaml"
CATALOGUE = Catalogue.of(yaml.safe_load(CATALOGUE_FILE.read_text()))
RETURN_URL = "https://shop.example/paid"
Object = dict[str, Any]
T = TypeVar("T")
_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def a_buyer() -> Buyer:
    """Make up somebody who buys for an account of his own."""
    user = ids.new_id()
    return Buyer(account=ids.new_id(), user=user, email=f"{user.hex}@example.com", name="Ada Buyer")


def usd(amount_minor: int) -> Money:
    """Write an amount in dollars' cents."""
    return Money(amount_minor=amount_minor, currency="usd")


@dataclass
class Bank:
    """The credits service beside a shop: its ledger, and its API as payments asks it."""

    ledger: Credits
    credits: CreditsClient
    url: str
    key: Path
    """By which payments is known to it."""


@dataclass
class Shop:
    """Calls the operations as the API and the consumer do."""

    pool: Pool
    stripe: Stripe
    sandbox: RunningSandbox
    browser: StripeClient
    bank: Bank
    clock_file: Path | None = None
    clock: Clock = field(default_factory=Clock)
    catalogue: Catalogue = CATALOGUE
    settler: Settler = field(init=False)

    def __post_init__(self) -> None:
        """Have payments settled as the consumer has."""
        self.settler = Settler(self.pool)

    @property
    def terms(self) -> Terms:
        """By what the shop sells."""
        addresses = ReturnAddresses.of(["https://shop.example"], loopback=False)
        return Terms(self.catalogue, addresses, checkout_life=timedelta(hours=2), payment_life=timedelta(hours=24))

    async def start(self, buyer: Buyer | None = None, *, key: str | None = None, **order: Any) -> Purchase:
        """Start a purchase, of the pro pack if nothing else is said."""
        buyer = buyer or a_buyer()
        named = {"pack", "amount_credits", "amount_money"} & order.keys()
        wanted = PurchaseOrder.model_validate(order if named else {"pack": "pro", **order})
        answered = await purchases.start_purchase(
            self.pool,
            self.stripe,
            self.bank.credits,
            clock=self.clock,
            terms=self.terms,
            caller=f"user:{ids.show('user', buyer.user)}",
            key=key or str(ids.new_id()),
            request=StartPurchase(buyer=buyer, order=wanted),
        )
        return Purchase.model_validate_json(orjson.dumps(answered.body))

    async def put_code(self, code: str, gives: Object, **terms: Any) -> PromoCodeCounted:
        """Put a promo code, as staff do."""
        written = PromoTerms.model_validate({"gives": gives, **terms})
        return await promo_codes.put_promo_code(self.pool, code, written, clock=self.clock)

    async def redeemed(self, code: str) -> int:
        """Read how often a promo code counts to be redeemed."""
        listed = (await promo_codes.list_promo_codes(self.pool, limit=100, cursor=None)).data
        return next(counted.redeemed for counted in listed if counted.code == code)

    async def at_once(
        self,
        *starts: Coroutine[Any, Any, T],
        waiting: int,
        meanwhile: Callable[[Connection], Awaitable[object]] | None = None,
    ) -> list[T]:
        """Have many begin while nobody can redeem a code, and go on together once so many stand before it."""
        async with self.pool.connection() as watching, self.pool.transaction() as conn:
            await conn.execute("SELECT FROM promo_code FOR UPDATE")
            tasks = [asyncio.create_task(start, context=Context()) for start in starts]  # they are others
            async with asyncio.timeout(10):
                while await watching.fetchval(_WAITING) < waiting:  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0.01)
            if meanwhile is not None:
                await meanwhile(conn)
        return await asyncio.gather(*tasks)

    async def quote(self, buyer: Buyer | None = None, **order: Any) -> Quote:
        """Ask what an order would cost and bring."""
        wanted = PurchaseOrder.model_validate({**order, "quote_only": True})
        account, mode = (buyer or a_buyer()).account, self.stripe.livemode
        quoted = await purchases.quote_order(self.pool, self.terms, account, wanted, livemode=mode, clock=self.clock)
        return quoted.quote

    async def start_insisting(self, buyer: Buyer, *, key: str | None = None, **order: Any) -> Purchase:
        """Start a purchase as somebody does who tries again under his key as long as he is told that he may."""
        key = key or str(ids.new_id())
        while True:
            with suppress(UnavailableError):
                return await self.start(buyer, key=key, **order)

    async def start_checkout(self, buyer: Buyer | None = None, **order: Any) -> Purchase:
        """Start a purchase to be paid on Stripe's own page."""
        return await self.start(buyer, method="checkout", return_url=RETURN_URL, **order)

    async def pay(self, purchase: Purchase, card: str = "pm_card_visa") -> str:
        """Pay as a browser does that has Stripe's Elements; tells the payment's status."""
        assert purchase.client_secret is not None
        intent = purchase.client_secret.partition("_secret_")[0]
        params: Any = {"payment_method": card, "client_secret": purchase.client_secret, "return_url": RETURN_URL}
        try:
            confirmed = await self.browser.v1.payment_intents.confirm_async(intent, params)
        except CardError:
            return "declined"
        return str(confirmed.status)

    async def answer_bank(self, purchase: Purchase, outcome: str) -> None:
        """Pass or fail what the bank asks."""
        path = f"/c/authenticate/{await self.payment_intent(purchase)}"
        params = {"client_secret": purchase.client_secret or ""}
        answer = await self.sandbox.http.post(path, params=params, data={"outcome": outcome})
        assert answer.status_code < 400, answer.text

    async def pay_page(self, purchase: Purchase, action: str = "pay") -> None:
        """Use Stripe's own page, by its buttons."""
        assert purchase.checkout_url is not None
        await self.sandbox.http.post(purchase.checkout_url, data={"action": action})

    async def paid(self, buyer: Buyer | None = None, **order: Any) -> Purchase:
        """Start a purchase, pay it, and have it settled by its event."""
        purchase = await self.start(buyer, **order)
        assert await self.pay(purchase) == "succeeded"
        for event in await self.events(purchase, "charge.succeeded", "payment_intent.succeeded"):
            await self.tell(event)
        return await self.show(purchase)

    async def events(self, purchase: Purchase, *types: str) -> list[Object]:
        """Give Stripe's events about a purchase, in the order in which they came to be; all, or those of some types."""
        found = (await self.sandbox.get("events"))["data"]
        about = {ids.show("purchase", _id(purchase)), await self.payment_intent(purchase)} - {None}
        return [
            event
            for event in found
            if about & _names(event["data"]["object"]) and (not types or event["type"] in types)
        ]

    async def tell(self, event: Object) -> Outcome:
        """Tell of an event, as the consumer does."""
        policies = self.catalogue.policies
        return await handle_stripe_event(
            self.pool, self.stripe, self.settler, StripeEvent.of(event), policies=policies, clock=self.clock
        )

    async def confirm(self, purchase: Purchase) -> Purchase:
        """Have Stripe read again."""
        return await purchases.confirm_purchase(
            self.pool, self.stripe, _id(purchase), account=purchase.account, clock=self.clock
        )

    async def cancel(self, purchase: Purchase) -> Purchase:
        """Cancel it."""
        return await purchases.cancel_purchase(
            self.pool, self.stripe, _id(purchase), account=purchase.account, clock=self.clock
        )

    async def show(self, purchase: Purchase) -> Purchase:
        """Read it as its buyer does."""
        return await purchases.show_purchase(self.pool, _id(purchase), account=purchase.account)

    async def refund(
        self,
        purchase: Purchase,
        amount_minor: int | None = None,
        *,
        key: str | None = None,
        caller: str = "staff:ada",
        account: UUID | None = None,
    ) -> Refund:
        """Give money back; all that is left if no amount is said."""
        order = RefundOrder(
            amount=None
            if amount_minor is None
            else purchase.quote.price.model_copy(update={"amount_minor": amount_minor})
        )
        answered = await refunds.refund_purchase(
            self.pool,
            self.stripe,
            self.bank.credits,
            _id(purchase),
            account=account or purchase.account,
            order=order,
            caller=caller,
            key=key or str(ids.new_id()),
            policies=self.catalogue.policies,
            clock=self.clock,
        )
        return Refund.model_validate_json(orjson.dumps(answered.body))

    async def resolve_refunds(self) -> int:
        """Have the job come round."""
        policies = self.catalogue.policies
        return await resolve_refunds(self.pool, self.stripe, self.bank.credits, policies=policies, clock=self.clock)

    async def tell_credits(self, purchase: Purchase) -> None:
        """Tell the ledger what was told of a purchase, all of it again."""
        told = [event for event in await self.told(purchase) if isinstance(event, Told)]
        await settle(self.bank.ledger.pool, self.bank.ledger.ledger, told)

    async def payment_intent(self, purchase: Purchase) -> str | None:
        """Tell which payment at Stripe we know the purchase to have."""
        async with self.pool.connection() as conn:
            found: str | None = await conn.fetchval("SELECT payment_intent FROM purchase WHERE id = $1", _id(purchase))
        return found

    async def told(self, purchase: Purchase) -> list[Event]:
        """Read what was told of a purchase, in order."""
        async with self.pool.connection() as conn:
            rows = await conn.fetch("SELECT unnest(payloads) AS payload FROM outbox ORDER BY id")
        envelopes = [CloudEvent.decode(row["payload"]) for row in rows]
        events = [BY_TYPE[envelope.type].of(envelope) for envelope in envelopes]
        return [event for event in events if getattr(event, "purchase", None) == purchase.id]

    async def successes(self, purchase: Purchase) -> list[PaymentSucceeded]:
        """Read how often a purchase was told to be paid."""
        return [event for event in await self.told(purchase) if isinstance(event, PaymentSucceeded)]

    async def refunded(self, purchase: Purchase) -> list[PaymentRefunded]:
        """Read which totals were told to have gone back."""
        return [event for event in await self.told(purchase) if isinstance(event, PaymentRefunded)]

    async def quarantined(self) -> list[tuple[str, UUID | None]]:
        """Read why what was put aside, and of which purchases."""
        async with self.pool.connection() as conn:
            rows = await conn.fetch("SELECT reason, purchase FROM quarantine ORDER BY id")
        return [(row["reason"], row["purchase"]) for row in rows]

    async def states(self) -> list[str]:
        """Read the states of all purchases, in the order in which they were started."""
        async with self.pool.connection() as conn:
            return [row["state"] for row in await conn.fetch("SELECT state FROM purchase ORDER BY id")]

    async def listed(self, buyer: Buyer) -> list[Purchase]:
        """Read a buyer's purchases as he does."""
        return (await purchases.list_purchases(self.pool, buyer.account, limit=100, cursor=None)).data

    def travel(self, by: timedelta) -> None:
        """Set the clock to this much after the machine's."""
        assert self.clock_file is not None
        self.clock_file.write_text(str(by.total_seconds()))
        self.clock = Clock(self.clock_file)

    async def at_stripe(self, buyer: Buyer) -> list[Object]:
        """Read from the sandbox's books which payments a buyer's account has."""
        found = (await self.sandbox.get("books"))["payment_intents"]
        account = ids.show("account", buyer.account)
        return [payment for payment in found if payment["metadata"].get("account") == account]

    async def faults(self, *rules: Object) -> None:
        """Have Stripe's calls go wrong."""
        await self.sandbox.put("faults", {"faults": list(rules)})


def _names(thing: Object) -> set[str | None]:
    return {thing["id"], thing.get("payment_intent"), thing.get("metadata", {}).get("purchase")}


def _id(purchase: Purchase) -> UUID:
    assert isinstance(purchase.id, UUID)
    return purchase.id
