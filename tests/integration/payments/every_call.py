"""A day in a shop on which one call to Stripe goes wrong: deeds that insist, the jobs between, and the audit after."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from libs.chassis.errors import UnavailableError
from libs.contracts import ids
from libs.contracts.credits import MICRO
from libs.contracts.http.payment_methods_v1 import PaymentMethod
from libs.contracts.http.payments_v1 import Buyer, Purchase
from services.payments.domain.cards import SETUP_LIFE
from services.payments.operations.resolving import cancel_abandoned, resolve_purchases
from tests.integration.payments import wallets
from tests.integration.payments.reconciled import Accountant
from tests.integration.payments.shop import Object, Shop, a_buyer, usd
from tests.integration.payments.window import QUARTER_OFF, STARTER, Window

T = TypeVar("T")
Deed = Callable[["Day"], Awaitable[None]]

BETWEEN_JOBS = timedelta(minutes=3)
"""Past the time for which a request in hand is left alone, and for which a movement of money is."""

KINDS = ["hang_before", "hang_after", "500_after", "409", "429", "reset_after"]
HANGS_S = 0.4
WAITS_S = 0.3

_TRIES = 6
_PRICE = 2499
_BOUGHT = {"purchased": 160 * MICRO, "promotional": 20 * MICRO}


@dataclass
class Market:
    """A shop, a ledger and a Stripe for many days, each with a buyer of its own."""

    accountant: Accountant
    passed: timedelta = timedelta(0)

    async def jobs(self) -> None:
        """Have every job of payments come round, a little later, and what it tells arrive at the ledger."""
        self.passed += BETWEEN_JOBS
        shop = self.accountant.shop
        shop.travel(self.passed)
        await resolve_purchases(shop.pool, shop.stripe, clock=shop.clock)
        await shop.resolve_refunds()
        await cancel_abandoned(shop.pool, shop.stripe, clock=shop.clock)
        await wallets.come_round(shop)
        await self.accountant.look_at_waiting()
        await self.accountant.publish()
        await self.accountant.follow()
        await self.accountant.publish()


@dataclass
class Day:
    """One buyer's day."""

    market: Market
    wrong: Object
    """The call that goes wrong, and how."""
    buyer: Buyer = field(default_factory=a_buyer)

    @property
    def shop(self) -> Shop:
        """Where it happens."""
        return self.market.accountant.shop

    async def insist(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask; as long as there is no answer, let the jobs run and ask the same again."""
        for _ in range(_TRIES):
            with suppress(UnavailableError):
                return await ask()
            await self.market.jobs()
        raise AssertionError(f"there was no answer in {_TRIES} tries")

    async def start(self, **order: Any) -> Purchase:
        """Start a purchase with credits of two kinds."""
        await self.shop.put_code("MORE", {"kind": "bonus_credits", "credits": "20"})
        return await self.insist(lambda: self.shop.start(self.buyer, key="k", promo_code="MORE", **order))

    async def start_page(self) -> Purchase:
        """Start one that is paid on Stripe's page."""
        return await self.start(method="checkout", return_url="https://shop.example/paid")

    async def tell(self, purchase: Purchase) -> None:
        """Have every webhook arrive, as often as it takes."""
        for event in await self.shop.events(purchase):
            await self.insist(lambda event=event: self.shop.tell(event))  # type: ignore[misc]

    async def check(self, purchase: Purchase, state: str, *, refunds: tuple[int, ...] = ()) -> None:
        """See that there is one customer, one charge or none, one lot of each kind, and each refund once."""
        shown = await self.shop.show(purchase)
        assert (shown.state, shown.refunded) == (state, usd(sum(refunds)))
        books, paid = await self.shop.sandbox.get("books"), state != "canceled"
        payments = [each for each in books["payment_intents"] if self._ours(each)]
        assert [each["amount_received"] for each in payments if each["status"] == "succeeded"] == [_PRICE] * paid
        assert len(payments) <= 1
        assert [each["amount"] for each in books["refunds"] if self._ours(each)] == list(refunds)
        assert len(await self.shop.successes(purchase)) == paid
        customers: Any = {"email": self.buyer.email}
        dashboard = self.market.accountant.dashboard
        assert len((await dashboard.v1.customers.list_async(customers)).data) == 1
        lots = (await self.shop.bank.credits.brought_by([_id(purchase)])).lots
        assert sorted((lot.kind, lot.granted) for lot in lots) == sorted(_BOUGHT.items() if paid else [])
        given_back = {kind: credits * sum(refunds) // _PRICE for kind, credits in _BOUGHT.items()} if paid else {}
        assert {lot.kind: lot.taken_back for lot in lots} == given_back

    def _ours(self, thing: Object) -> bool:
        return bool(thing["metadata"].get("account") == ids.show("account", self.buyer.account))


async def buy(day: Day) -> None:
    """Buy, and have the webhooks arrive."""
    purchase = await day.start()
    assert await day.shop.pay(purchase) == "succeeded"
    await day.tell(purchase)
    await day.market.jobs()
    await day.check(purchase, "succeeded")


async def buy_on_a_page(day: Day) -> None:
    """The same, on Stripe's page."""
    purchase = await day.start_page()
    await day.shop.pay_page(purchase)
    await day.tell(purchase)
    await day.market.jobs()
    await day.check(purchase, "succeeded")


async def buy_unheard(day: Day) -> None:
    """Buy while all webhooks are lost, and come back from Stripe."""
    purchase = await day.start()
    assert await day.shop.pay(purchase) == "succeeded"
    await day.insist(lambda: day.shop.confirm(purchase))
    await day.market.jobs()
    await day.check(purchase, "succeeded")


async def buy_unheard_on_a_page(day: Day) -> None:
    """The same, on Stripe's page."""
    purchase = await day.start_page()
    await day.shop.pay_page(purchase)
    await day.insist(lambda: day.shop.confirm(purchase))
    await day.market.jobs()
    await day.check(purchase, "succeeded")


async def buy_and_go_away(day: Day) -> None:
    """Buy while all webhooks are lost, and never come back."""
    purchase = await day.start()
    assert await day.shop.pay(purchase) == "succeeded"
    for _ in range(3):
        await day.market.jobs()
    await day.check(purchase, "succeeded")


async def cancel(day: Day) -> None:
    """Start, and think better of it."""
    purchase = await day.start()
    await day.insist(lambda: day.shop.cancel(purchase))
    await day.market.jobs()
    await day.check(purchase, "canceled")


async def cancel_a_page(day: Day) -> None:
    """The same, of Stripe's page."""
    purchase = await day.start_page()
    await day.insist(lambda: day.shop.cancel(purchase))
    await day.market.jobs()
    await day.check(purchase, "canceled")


async def refund(day: Day) -> None:
    """Buy, give back a part, then the rest."""
    purchase = await day.start()
    assert await day.shop.pay(purchase) == "succeeded"
    await day.tell(purchase)
    await day.market.jobs()
    await day.insist(lambda: day.shop.refund(purchase, 1000, key=f"part:{day.buyer.email}"))
    await day.market.jobs()
    await day.check(purchase, "partially_refunded", refunds=(1000,))
    await day.insist(lambda: day.shop.refund(purchase, key=f"rest:{day.buyer.email}"))
    await day.tell(purchase)
    await day.market.jobs()
    await day.check(purchase, "refunded", refunds=(1000, 1499))


async def sell(day: Day) -> None:
    """Apply a catalogue, then one with another name and price and without its promo code."""
    window = Window(day.shop, day.market.accountant.dashboard)
    first = window.file(packs=[STARTER], promo_codes=[QUARTER_OFF])
    renamed = {**STARTER, "name": "Beginner", "prices": [{"amount_minor": 1099, "currency": "usd"}]}
    for file in (first, window.file(packs=[renamed])):
        await day.insist(lambda file=file: window.apply(file))  # type: ignore[misc]
        assert await window.plan(file) == []
    assert [(each["name"], each["active"]) for each in await window.at_stripe("product")] == [("Beginner", True)]
    assert (await window.prices(), len(await window.at_stripe("price"))) == ({"scrip_starter_usd": 1099}, 2)
    assert len(await window.at_stripe("coupon")) == 1
    assert [each["active"] for each in await window.at_stripe("promotion_code")] == [False]


async def sell_what_was_renamed(day: Day) -> None:
    """Apply a promo code whose coupon was made behind a lost answer, and renamed at the dashboard since."""
    window = Window(day.shop, day.market.accountant.dashboard)
    file = window.file(promo_codes=[QUARTER_OFF])
    await day.shop.faults({"kind": "reset_after", "method": "POST", "path": "/v1/coupons"})
    with suppress(UnavailableError):
        await window.apply(file)
    [coupon] = await window.at_stripe("coupon")
    await day.market.accountant.dashboard.v1.coupons.update_async(coupon["id"], {"name": "Renamed"})
    await day.shop.faults(day.wrong)
    await day.insist(lambda: window.apply(file))
    assert [window.plain(each["name"]) for each in await window.at_stripe("coupon")] == ["SPRING"]
    assert len(await window.at_stripe("promotion_code")) == 1


async def save(day: Day, card: str) -> PaymentMethod:
    """Save a card."""
    setup = await day.insist(lambda: wallets.begin(day.shop, day.buyer, key=card))
    assert await wallets.give(day.shop, setup, card) == "succeeded"
    done = await day.insist(lambda: wallets.confirm(day.shop, setup))
    assert done.state == "succeeded"
    await day.market.jobs()
    return next(one for one in await wallets.saved(day.shop, day.buyer) if one.id == done.payment_method)


async def keep_cards(day: Day) -> None:
    """Save two cards, make the second the default, and remove the first."""
    shop, buyer, dashboard = day.shop, day.buyer, day.market.accountant.dashboard
    first, second = await save(day, wallets.VISA), await save(day, wallets.MASTERCARD)
    await day.insist(lambda: wallets.make_default(shop, second, buyer.account))
    await day.insist(lambda: wallets.remove(shop, first, buyer.account))
    await day.market.jobs()
    assert await wallets.digits(shop, buyer) == [("4444", True)]
    left = await wallets.method_of(shop, second)
    assert await wallets.cards_at_stripe(dashboard, shop, buyer) == [left]
    assert await wallets.default_at_stripe(dashboard, shop, buyer) == left
    assert await wallets.setups_at_stripe(dashboard, shop, buyer) == ["succeeded", "succeeded"]


async def begin_and_forget(day: Day) -> None:
    """Begin to save a card, and never give it."""
    await day.insist(lambda: wallets.begin(day.shop, day.buyer, key="k"))
    day.market.passed += SETUP_LIFE
    for _ in range(2):
        await day.market.jobs()
    assert await wallets.setups_at_stripe(day.market.accountant.dashboard, day.shop, day.buyer) == ["canceled"]


async def pay_by_card(day: Day) -> None:
    """Save a card, and pay with it."""
    await save(day, wallets.VISA)
    purchase = await day.start(payment_method="default")
    await day.tell(purchase)
    await day.market.jobs()
    await day.check(purchase, "succeeded")


@dataclass(frozen=True)
class Call:
    """A call to Stripe, a deed that makes it, and what must have gone wrong before so that it is made."""

    method: str
    path: str
    deed: Deed
    lost: str | None = None

    async def go_wrong(self, market: Market, kind: str) -> None:
        """Do the deed while the call goes wrong once, and see that it did."""
        wrong = {"kind": kind, "method": self.method, "path": self.path, "seconds": HANGS_S}
        before = [{"kind": "reset_after", "method": "POST", "path": self.lost}] if self.lost else []
        day = Day(market, wrong)
        await day.shop.faults(*before, wrong)
        await self.deed(day)
        struck = (await day.shop.sandbox.get("faults"))["faults"][-1]
        assert (struck["rule"]["path"], struck["struck"]) == (self.path, 1)


def _id(purchase: Purchase) -> Any:
    return purchase.id


CALLS = {
    "customers.create": Call("POST", "/v1/customers", buy),
    "customers.list": Call("GET", "/v1/customers", buy, lost="/v1/customers"),
    "payment_intents.create": Call("POST", "/v1/payment_intents", buy),
    "payment_intents.list": Call("GET", "/v1/payment_intents", buy, lost="/v1/payment_intents"),
    "payment_intents.retrieve": Call("GET", "/v1/payment_intents/*", buy_unheard),
    "payment_intents.cancel": Call("POST", "/v1/payment_intents/*/cancel", cancel),
    "checkout.sessions.create": Call("POST", "/v1/checkout/sessions", buy_on_a_page),
    "checkout.sessions.list": Call("GET", "/v1/checkout/sessions", buy_on_a_page, lost="/v1/checkout/sessions"),
    "checkout.sessions.retrieve": Call("GET", "/v1/checkout/sessions/*", buy_unheard_on_a_page),
    "checkout.sessions.expire": Call("POST", "/v1/checkout/sessions/*/expire", cancel_a_page),
    "refunds.create": Call("POST", "/v1/refunds", refund),
    "refunds.list": Call("GET", "/v1/refunds", refund),
    "disputes.list": Call("GET", "/v1/disputes", buy_unheard),
    "balance_transactions.list": Call("GET", "/v1/balance_transactions", buy_and_go_away),
    "events.list": Call("GET", "/v1/events", buy_and_go_away),
    "products.list": Call("GET", "/v1/products", sell),
    "products.create": Call("POST", "/v1/products", sell),
    "products.update": Call("POST", "/v1/products/*", sell),
    "prices.list": Call("GET", "/v1/prices", sell),
    "prices.create": Call("POST", "/v1/prices", sell),
    "prices.update": Call("POST", "/v1/prices/*", sell),
    "coupons.list": Call("GET", "/v1/coupons", sell),
    "coupons.create": Call("POST", "/v1/coupons", sell),
    "coupons.update": Call("POST", "/v1/coupons/*", sell_what_was_renamed),
    "promotion_codes.list": Call("GET", "/v1/promotion_codes", sell),
    "promotion_codes.create": Call("POST", "/v1/promotion_codes", sell),
    "promotion_codes.update": Call("POST", "/v1/promotion_codes/*", sell),
    "setup_intents.create": Call("POST", "/v1/setup_intents", keep_cards),
    "setup_intents.list": Call("GET", "/v1/setup_intents", keep_cards, lost="/v1/setup_intents"),
    "setup_intents.retrieve": Call("GET", "/v1/setup_intents/*", keep_cards),
    "setup_intents.cancel": Call("POST", "/v1/setup_intents/*/cancel", begin_and_forget),
    "customers.retrieve": Call("GET", "/v1/customers/*", keep_cards),
    "customers.payment_methods.list": Call("GET", "/v1/customers/*/payment_methods", keep_cards),
    "customers.update": Call("POST", "/v1/customers/*", keep_cards),
    "payment_methods.detach": Call("POST", "/v1/payment_methods/*/detach", keep_cards),
    "payment_intents.confirm": Call("POST", "/v1/payment_intents/*/confirm", pay_by_card),
}
"""Every call that we make to Stripe, by the name that Stripe's library has for it."""
