"""Making accounts, payments and usage as the other services would tell of them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from libs.chassis.clock import Clock
from libs.chassis.pool import Pool
from libs.contracts import ids
from libs.contracts.catalogue import Catalogue
from libs.contracts.credits import parse_credits
from libs.contracts.envelope import CloudEvent
from libs.contracts.events import PaymentRefunded, PaymentSucceeded, VoucherRedeemed
from libs.contracts.events.payments_v1 import LotKind, LotToGrant, LotToTakeBack
from libs.contracts.http.credits_v1 import Balance
from libs.contracts.money import Money
from services.credits.domain import usage_events
from services.credits.domain.books import Rules
from services.credits.domain.postings import Posting, Result
from services.credits.domain.pricing import Prices, Timeline
from services.credits.operations import accounts, payments, price_books, usage
from services.credits.operations.active_prices import ActivePrices
from services.credits.operations.ledger import Ledger

CATALOGUE = Catalogue.model_validate(
    {
        "name": "test",
        "welcome_bonus": {"credits": "10"},
        "price_book": {
            "version": "test-1",
            "meters": {
                "video": {
                    "unit": "minute",
                    "properties": {"resolution": {"type": "text", "values": ["720p", "1080p"]}},
                    "billing": {"rounding": "up"},
                    "prices": [
                        {"when": 'resolution == "720p"', "credits": "5"},
                        {"when": 'resolution == "1080p"', "credits": "8"},
                    ],
                },
                "tokens": {"unit": "token", "prices": [{"credits": "0.000001"}]},
                "credit": {"unit": "credit", "prices": [{"credits": "1"}]},
            },
        },
    }
)
PRICES = Prices(CATALOGUE.price_book)
TIMELINE = Timeline([(datetime(1970, 1, 1, tzinfo=UTC), PRICES)])
"""Prices that never change."""
PAID = Money(amount_minor=999, currency="usd")


@dataclass
class Credits:
    """The credits service's operations on one database, called as its API and its consumers call them."""

    pool: Pool
    clock: Clock = field(default_factory=Clock)
    catalogue: Catalogue = CATALOGUE

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.clock, Rules.of(self.catalogue))
        self.prices = ActivePrices(self.pool, self.clock)
        self._adopted = False

    async def timeline(self) -> Timeline:
        """Give the versions of the price book, the catalogue's at least."""
        if not self._adopted:
            await price_books.adopt(self.pool, self.clock, self.catalogue.price_book, by="tests")
            self._adopted = True
        return await self.prices.timeline()

    async def open(self, account: UUID | None = None) -> UUID:
        """Open an account, with its welcome bonus of ten credits."""
        account = account or ids.new_id()
        bonus = self.catalogue.welcome_bonus
        await accounts.open_account(self.pool, self.ledger, account, bonus=bonus, now=self.clock.now())
        return account

    async def open_with(self, credits: str) -> UUID:
        """Open an account that has the bonus and this much bought."""
        account = await self.open()
        await self.tell_payment(account, credits)
        return account

    async def tell_payment(self, account: UUID, credits: str, *, kind: LotKind = "purchased") -> None:
        """Tell that the account paid for this much."""
        await self.tell(paid(account, credits, kind=kind))

    async def apply(self, *postings: Posting) -> list[Result]:
        """Apply postings as one batch."""
        async with self.pool.transaction() as conn:
            _, results = await self.ledger.apply(conn, postings)
        return results

    async def outcomes(self, *postings: Posting) -> list[str]:
        """Apply postings as one batch; answers each posting's outcome."""
        return [result.outcome for result in await self.apply(*postings)]

    async def tell(self, *events: PaymentSucceeded | PaymentRefunded | VoucherRedeemed) -> list[str]:
        """Tell what payments tells, as one batch; answers each posting's outcome."""
        return [result.outcome for result in await payments.settle(self.pool, self.ledger, events)]

    async def use(self, *events: CloudEvent) -> list[str]:
        """Report usage, as one batch; answers in the order of events "burnt", "again" or the refusal's code."""
        read = [usage_events.read(event.encode()) for event in events]
        timeline = await self.timeline()
        rated = [usage.rated(timeline, event, self.clock.now()) for event in read]
        results, refusals = await usage.burn(self.pool, self.ledger, rated)
        said = {(r.event.key, r.event.fingerprint): r.code.code for r in refusals}
        for result in results:
            if result.outcome in ("accepted", "duplicate", "duplicate_rejected"):
                name = (result.posting.key, result.posting.fingerprint)
                said.setdefault(name, "burnt" if result.outcome == "accepted" else "again")
        return [said[(found.key, found.fingerprint)] for found in read]

    async def balance(self, account: UUID) -> Balance:
        """Read an account's balance."""
        return await accounts.balance(self.pool, self.ledger, self.clock, account)

    async def available(self, account: UUID) -> int:
        """Read what an account may spend, in micro-credits."""
        return (await self.balance(account)).available


def paid(
    account: UUID,
    credits: str,
    *,
    purchase: UUID | None = None,
    kind: LotKind = "purchased",
    expires_at: datetime | None = None,
) -> PaymentSucceeded:
    """Say that somebody paid for credits."""
    return PaymentSucceeded(
        account=account,
        user=ids.new_id(),
        purchase=purchase or ids.new_id(),
        revision=1,
        occurred_at=Clock().now(),
        paid=PAID,
        lots=[LotToGrant(kind=kind, credits=parse_credits(credits), expires_at=expires_at)],
        payment_intent="pi_test",
        description="A pack",
    )


def refunded(payment: PaymentSucceeded, credits: str, *, revision: int) -> PaymentRefunded:
    """Say that money of a payment went back, and how many of its credits shall be taken back in total."""
    return PaymentRefunded(
        account=payment.account,
        user=payment.user,
        purchase=payment.purchase,
        revision=revision,
        occurred_at=Clock().now(),
        paid=payment.paid,
        refunded=payment.paid,
        take_back=[LotToTakeBack(kind=lot.kind, credits=parse_credits(credits)) for lot in payment.lots],
        payment_intent=payment.payment_intent,
        description="A refund",
    )


def used(
    account: UUID, meter: str = "credit", quantity: int | str = 1, *, id: str | None = None, **properties: Any
) -> CloudEvent:
    """Say that an account used something."""
    return CloudEvent(
        id=id or str(ids.new_id()),
        source="/tests",
        type=meter,
        subject=ids.show("account", account),
        data={"quantity": quantity, "properties": properties},
    )
