"""A company with a year's end: what it sells in three currencies, what goes back, is burnt and expires; and its books.

What the books say is read from the sandbox's balance and from the ledger's entries, and added up here by other means
than the reports': what was sold is what the story remembers.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from libs.contracts import ids
from libs.contracts.catalogue import Catalogue
from libs.contracts.credits import MICRO, format_credits
from libs.contracts.http.payments_v1 import Buyer, Purchase
from services.credits.operations.expiry import settle_due
from tests.integration.credits.summing import sum_up
from tests.integration.payments import gifts
from tests.integration.payments.reconciled import Accountant
from tests.integration.payments.shop import a_buyer
from tests.support.ledger import CATALOGUE as LEDGERS
from tests.support.ledger import used


def _priced(**prices: int) -> list[dict[str, object]]:
    return [{"amount_minor": amount, "currency": currency} for currency, amount in prices.items()]


SMALL, BIG = _priced(usd=999, jpy=1000, kwd=3070), _priced(usd=2501, jpy=3333, kwd=7770)
CATALOGUE = Catalogue.model_validate(
    {
        "name": "finance",
        "packs": [
            {"id": "small", "name": "Small", "credits": "100", "bonus": "10", "prices": SMALL},
            {"id": "big", "name": "Big", "credits": "333", "prices": BIG},
        ],
        "custom_amount": {"per_credit": _priced(usd=7, jpy=11), "minimum": "1", "maximum": "10000"},
        "gift_cards": [{"id": "gift-50", "name": "Gift card", "credits": "50", "prices": _priced(usd=5000, jpy=5100)}],
        "price_book": LEDGERS.price_book.model_dump(mode="json"),
    }
)


class Sold(NamedTuple):
    """What the story remembers of a purchase."""

    kind: str
    product: str | None
    code: str | None
    account: UUID
    list_minor: int
    credits: int
    bonus: int


@dataclass
class Company:
    """Sells, and remembers what."""

    accountant: Accountant
    sold: dict[str, Sold] = field(default_factory=dict)
    """By the purchase's public id."""

    @property
    def shop(self) -> Any:
        """Where it sells."""
        return self.accountant.shop

    async def sell(self, buyer: Buyer, pack: str, currency: str, *, code: str | None = None, card: str = "pm_card_visa",
                   declined: int = 0) -> Purchase:  # fmt: skip
        """Sell a pack to somebody whose card is declined so often before."""
        purchase = await self.shop.start(buyer, pack=pack, currency=currency, promo_code=code)
        price = next(price for each in CATALOGUE.packs if each.id == pack for price in each.prices
                     if price.currency == currency)  # fmt: skip
        credits = {"small": 110, "big": 333}[pack] * MICRO
        sold = Sold(
            "pack", pack, code, buyer.account, price.amount_minor, credits, 20 * MICRO if code == "EXTRA" else 0
        )
        return await self._paid(purchase, sold, card=card, declined=declined)

    async def sell_any(self, buyer: Buyer, credits: int, currency: str) -> Purchase:
        """Sell a number of credits."""
        purchase = await self.shop.start(buyer, amount_credits=str(credits), currency=currency)
        price = credits * {"usd": 7, "jpy": 11}[currency]
        sold = Sold("custom_amount", None, None, buyer.account, price, credits * MICRO, 0)
        return await self._paid(purchase, sold)

    async def sell_gift_card(self, buyer: Buyer, currency: str) -> Purchase:
        """Sell a gift card."""
        purchase = await gifts.buy(self.shop, buyer, currency=currency)
        price = {"usd": 5000, "jpy": 5100}[currency]
        return await self._paid(purchase, Sold("gift_card", "gift-50", None, buyer.account, price, 50 * MICRO, 0))

    async def _paid(self, purchase: Purchase, sold: Sold, *, card: str = "pm_card_visa", declined: int = 0) -> Purchase:
        assert isinstance(purchase.id, UUID)
        for _ in range(declined):
            await self.decline(purchase)
        assert await self.shop.pay(purchase, card) == "succeeded"
        for event in await self.shop.events(purchase, "payment_intent.succeeded"):
            await self.shop.tell(event)
        self.sold[ids.show("purchase", purchase.id)] = sold
        await self.accountant.publish()
        shown: Purchase = await self.shop.show(purchase)
        return shown

    async def decline(self, purchase: Purchase) -> None:
        """Have a buyer's card declined."""
        assert await self.shop.pay(purchase, "pm_card_visa_chargeDeclined") == "declined"
        for event in await self.shop.events(purchase, "payment_intent.payment_failed"):
            await self.shop.tell(event)

    async def redeem(self, card: Purchase) -> None:
        """Have somebody redeem a gift card."""
        await gifts.tell_due(self.shop)
        await gifts.redeem(self.shop, await gifts.code_of(self.shop, card))
        await self.accountant.publish()

    async def burn(self, buyer: Buyer, micro: int) -> None:
        """Have somebody use credits."""
        assert await self.shop.bank.ledger.use(used(buyer.account, quantity=format_credits(micro))) == ["burnt"]

    async def refund(self, purchase: Purchase, amount_minor: int | None = None) -> str:
        """Give money back; gives Stripe's id of the refund."""
        refund = await self.shop.refund(purchase, amount_minor)
        async with self.shop.pool.connection() as conn:
            await self.accountant.publish()
            return str(await conn.fetchval("SELECT stripe_refund FROM refund WHERE id = $1", refund.id))

    async def dispute(self, purchase: Purchase, **how: Any) -> str:
        """Have a bank dispute a payment; gives the dispute's id."""
        charge = await self.accountant.charge(purchase)
        return str((await self.shop.sandbox.post(f"charges/{charge}/dispute", how))["id"])

    async def later(self, days: int) -> None:
        """Let so many days pass since the beginning; what moved at Stripe is followed, what is due is written off."""
        await self.close_the_day()
        await self.accountant.later(timedelta(days=days))
        await self.close_the_day()

    async def close_the_day(self) -> None:
        """Have all jobs come round."""
        while await self.accountant.follow():
            pass
        await self.accountant.publish()
        ledger = self.shop.bank.ledger
        while await settle_due(ledger.pool, ledger.ledger, ledger.clock):
            pass
        await sum_up(ledger)


async def tell_story(company: Company) -> None:
    """Live through forty days."""
    started = company.shop.clock.now()
    people = People(*(a_buyer() for _ in People._fields))
    await company.accountant.follow()
    small, tenth, extra, custom, card, returned = await _first_day(company, people)
    await company.later(1)
    await company.redeem(card)
    await company.refund(small, 333)
    won, _ = await company.dispute(tenth), await company.dispute(custom, amount=400)
    lost = await company.dispute(extra, amount=1000)
    failing = await company.sell(people.ada, "big", "usd", code="TENTH", card="pm_card_refundFail")
    await company.sell(people.dan, "big", "usd", code="EXTRA")
    await company.burn(people.ada, 1)
    await company.later(2)
    await company.refund(failing)
    await company.refund(returned)
    for dispute, outcome in ((won, "won"), (lost, "lost")):
        await company.shop.sandbox.post(f"disputes/{dispute}/close", {"outcome": outcome})
    await company.later(3)
    await company.burn(people.ada, 50_000_000)
    await company.later(9)  # the bonus is gone by now, and the failed refund is back
    await company.sell(people.bob, "big", "jpy")
    await company.burn(people.bob, 100 * MICRO)
    await company.refund(await company.sell(people.cleo, "small", "kwd"), 1110)
    await company.later(40)
    await _last_days(company, people, started)


class People(NamedTuple):
    """Who buys."""

    ada: Buyer
    bob: Buyer
    cleo: Buyer
    dan: Buyer
    eve: Buyer


async def _first_day(company: Company, people: People) -> list[Purchase]:
    """Sell something of everything in three currencies; some cards are declined, and some credits burnt."""
    await company.shop.put_code("TENTH", {"kind": "percent", "percent": 10})
    extra = {"kind": "bonus_credits", "credits": "20", "expires_after_days": 3}
    await company.shop.put_code("EXTRA", extra, per_account=5)
    sold = [
        await company.sell(people.ada, "small", "usd", declined=2),
        await company.sell(people.bob, "small", "jpy", code="TENTH"),
        await company.sell(people.cleo, "big", "kwd", code="EXTRA"),
        await company.sell_any(people.dan, 111, "usd"),
        await company.sell_gift_card(people.eve, "usd"),
        await company.sell_gift_card(people.eve, "usd"),
    ]
    await company.sell_gift_card(people.eve, "jpy")
    await company.decline(await company.shop.start(people.bob, pack="big", currency="jpy"))
    await company.burn(people.ada, 17_300_001)
    await company.burn(people.bob, 33_333_333)
    await company.burn(people.cleo, 7_000_001)
    return sold


async def _last_days(company: Company, people: People, started: datetime) -> None:
    """Refund what is spent, which is a debt then, and have all books compared."""
    spent = await company.sell(people.ada, "small", "usd")
    balance = await company.shop.bank.ledger.balance(people.ada.account)
    await company.burn(people.ada, balance.available)
    await company.refund(spent)
    await company.later(41)
    found = await company.accountant.go_through(since=started - timedelta(days=1))
    assert (found.drift, found.findings) == (0, [])
    await company.close_the_day()


class Entry(NamedTuple):
    """What Stripe entered into its balance, and for which sale."""

    day: str
    what: str
    amount: int
    fee: int
    net: int
    currency: str
    sold: Sold


@dataclass
class Books:
    """The sandbox's balance with the story's sales, its failed charges, and the ledger's entries."""

    entries: list[Entry]
    failed: list[tuple[str, str]]
    """Day and currency."""
    ledger: list[dict[str, Any]]

    def sums(self, by: Callable[[Entry], tuple[Any, ...]]) -> dict[tuple[Any, ...], "Counter[str]"]:
        """Add up what moved, told apart by something."""
        found: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
        for entry in self.entries:
            found[by(entry)].update(_figures(entry))
        return dict(found)

    def accounts(self, by: Callable[[Entry], tuple[Any, ...]]) -> dict[tuple[Any, ...], int]:
        """Count who paid."""
        paid: dict[tuple[Any, ...], set[UUID]] = defaultdict(set)
        for entry in self.entries:
            if entry.what == "charge":
                paid[by(entry)].add(entry.sold.account)
        return {key: len(accounts) for key, accounts in paid.items()}


def _figures(entry: Entry) -> dict[str, int]:
    amount, sold = entry.amount, entry.sold
    figures = {"kept_minor": amount, "settled_minor": amount, "fees_minor": entry.fee, "net_minor": entry.net}
    match entry.what:
        case "charge":
            figures |= {"gross_minor": amount, "discount_minor": sold.list_minor - amount, "payments": 1}
            figures |= {"credits": sold.credits, "bonus_credits": sold.bonus}
        case "refund":
            figures |= {"refunded_minor": -amount, "refunds": 1}
        case "refund_failure":
            figures |= {"refund_failed_minor": amount, "refunds": -1}
        case "dispute":
            figures |= {"withdrawn_minor": -amount}
        case "dispute_reversal":
            figures |= {"reinstated_minor": amount}
        case other:
            raise AssertionError(other)
    return figures


async def read_books(company: Company) -> Books:
    """Read what Stripe and the ledger have."""
    params: Any = {"limit": 100, "expand": ["data.source"]}
    listed = (await company.accountant.dashboard.v1.balance_transactions.list_async(params)).to_dict()
    charges = (await company.accountant.dashboard.v1.charges.list_async({"limit": 100})).to_dict()
    assert not listed["has_more"]
    purchases = {one["payment_intent"]: one["metadata"].get("purchase") for one in charges["data"]}
    entries = [
        Entry(
            _day(one["created"]), one["reporting_category"], one["amount"], one["fee"], one["net"], one["currency"],
            company.sold[purchases[one["source"]["payment_intent"]]],
        )
        for one in listed["data"]
    ]  # fmt: skip
    failed = [(_day(one["created"]), one["currency"]) for one in charges["data"] if one["status"] == "failed"]
    async with company.shop.bank.ledger.pool.connection() as conn:
        rows = await conn.fetch(
            """SELECT e.at, e.lot_id, e.type::text, e.from_bucket::text, e.to_bucket::text, e.amount, l.granted,
                      l.cost_minor, l.currency FROM entry AS e JOIN lot AS l ON l.id = e.lot_id
                WHERE l.cost_minor IS NOT NULL ORDER BY e.account_id, e.sequence, e.leg"""
        )
    return Books(entries, failed, [dict(row) for row in rows])


def _day(created: int) -> str:
    return str(datetime.fromtimestamp(created, UTC).date())


WAYS = ("returned_minor", "breakage_minor", "transferred_minor", "recognised_minor")
"""In the order in which a day's money goes."""


def deferred(rows: list[dict[str, Any]]) -> Iterator[tuple[str, str, "Counter[str]"]]:
    """Tell lot by lot and day by day what was paid for the credits that came and went: day, currency, what became."""
    lots: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        lots[row["lot_id"]].append(row)
    for entries in lots.values():
        granted, cost, gone = entries[0]["granted"], entries[0]["cost_minor"], 0
        yield str(entries[0]["at"].astimezone(UTC).date()), entries[0]["currency"], Counter(sold_minor=cost)
        days: dict[str, Counter[str]] = defaultdict(Counter)
        for entry in entries[1:]:
            days[str(entry["at"].astimezone(UTC).date())].update(_went(entry))
        for day, ways in sorted(days.items()):
            became: Counter[str] = Counter()
            for way in WAYS:
                became[way] = cost * (gone + ways[way]) // granted - cost * gone // granted
                gone += ways[way]
            yield day, entries[0]["currency"], became


def _went(entry: dict[str, Any]) -> dict[str, int]:
    """Tell which way credits left a lot, above zero, or came back to it."""
    match entry["from_bucket"], entry["to_bucket"]:
        case ("available" | "held", "held" | "available"):
            return {}
        case ("available" | "held", "stripe"):
            return {"returned_minor": entry["amount"]}
        case ("debt", "stripe"):
            return {"returned_minor": entry["amount"], "recognised_minor": -entry["amount"]}
        case ("stripe", "available"):
            return {"returned_minor": -entry["amount"]}
        case ("available" | "held", "breakage"):
            return {"breakage_minor": entry["amount"]}
        case ("available" | "held", "revenue" | "debt" | "overdraft"):
            return {"recognised_minor": entry["amount"]}
        case ways:
            raise AssertionError(ways)
