"""Stand-ins for payments and credits: small servers with their internal routes, that real calls reach over HTTP."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from uuid import UUID

from fastapi import Depends, FastAPI, Header, Response

from deploy.embedded.ports import free_ports
from libs.chassis.errors import DomainError, NotFoundError
from libs.chassis.http import create_app
from libs.chassis.internal_api import Caller, IdempotencyKey, calling_service, idempotency_key
from libs.chassis.runner import HttpServer
from libs.chassis.tokens import verifier
from libs.contracts import errors as codes
from libs.contracts import ids
from libs.contracts.credits import MICRO
from libs.contracts.http.base import IDEMPOTENCY_KEY_HEADER, REPLAYED_HEADER, Page
from libs.contracts.http.credits_v1 import Balance, Totals
from libs.contracts.http.payments_v1 import (
    PackOffer,
    Packs,
    PaymentConfig,
    Purchase,
    Quote,
    Refund,
    RefundOrder,
    StartPurchase,
)
from libs.contracts.ids import AccountId, PurchaseId
from libs.contracts.money import Money
from tests.integration.gateway.past import Past
from tests.integration.gateway.spending import Spending

MaybeKey = Annotated[str | None, Header(alias=IDEMPOTENCY_KEY_HEADER)]
NOTHING = Totals(earned=0, purchased=0, spent=0, expired=0, refunded=0)
PRICE = Money(amount_minor=999, currency="usd")


class UnknownAccountError(DomainError):
    """No such account."""

    code = codes.UNKNOWN_ACCOUNT


class StandIn:
    """A server that comes and goes, at one address."""

    def __init__(self, service: str, keys_file: Path) -> None:
        self._service = service
        self._keys_file = keys_file
        self._port = free_ports(1)[0]
        self._server: HttpServer | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port}"

    async def come(self) -> None:
        """Listen, if it does not yet."""
        if self._server is not None:
            return
        app = create_app(self._service, checks={})
        app.state.verifier = verifier(self._service, self._keys_file)
        self.add_routes(app)
        self._server = HttpServer(app, host="127.0.0.1", port=self._port)
        await self._server.start()

    async def go(self) -> None:
        """Be away."""
        if self._server is not None:
            await self._server.stop()
            self._server = None

    def add_routes(self, app: FastAPI) -> None:
        """Add what it answers."""
        raise NotImplementedError


@dataclass(frozen=True)
class Account:
    """An account as the stand-in of credits keeps it."""

    available: int
    sequence: int


class CreditsStandIn(StandIn):
    """Knows balances; opening an account brings ten credits."""

    def __init__(self, keys_file: Path) -> None:
        super().__init__("credits", keys_file)
        self.spending = Spending()
        self.past = Past(self.balance_of)
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.accounts: dict[UUID, Account] = {}
        self.opened: list[UUID] = []
        self.spending.asked.clear()
        self.past.forget()
        self.asked = 0

    def balance_of(self, account: UUID) -> Balance:
        """Tell a balance."""
        self.asked += 1
        if account not in self.accounts:
            raise UnknownAccountError
        known = self.accounts[account]
        return Balance(
            account=account,
            available=known.available,
            held=0,
            overdraft=0,
            debt=0,
            by_kind={"promotional": known.available},
            next_expiry=None,
            totals=NOTHING,
            sequence=known.sequence,
        )

    def set(self, account: UUID, *, credits: int, sequence: int) -> None:
        """Have an account so many credits."""
        self.accounts[account] = Account(credits * MICRO, sequence)

    def add_routes(self, app: FastAPI) -> None:
        """Add the internal routes that the gateway uses."""
        checked = [Depends(calling_service)]
        self.spending.add_routes(app)
        self.past.add_routes(app)

        @app.put("/internal/v1/accounts/{account}", dependencies=checked)
        async def open_account(account: AccountId) -> Balance:
            self.opened.append(account)
            self.accounts.setdefault(account, Account(10 * MICRO, 1))
            return self.balance_of(account)

        @app.get("/internal/v1/accounts/{account}/balance", dependencies=checked)
        async def balance(account: AccountId) -> Balance:
            return self.balance_of(account)


@dataclass(frozen=True)
class Asked:
    """What payments was asked, on whose behalf, under which key."""

    path: str
    caller: str
    key: str | None


class PaymentsStandIn(StandIn):
    """Sells one pack."""

    def __init__(self, keys_file: Path) -> None:
        super().__init__("payments", keys_file)
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.purchases: dict[UUID, Purchase] = {}
        self.by_key: dict[tuple[str, str], UUID] = {}
        self.asked: list[Asked] = []
        self.orders: list[StartPurchase] = []
        self.packs = Packs(
            data=[PackOffer(id="starter", name="Starter", credits=50 * MICRO, bonus=0, prices=[PRICE])],
            unit={"singular": "credit", "plural": "credits"},
        )

    def purchase_of(self, account: UUID, purchase: UUID) -> Purchase:
        """Find an account's purchase."""
        found = self.purchases.get(purchase)
        if found is None or found.account != account:
            raise NotFoundError
        return found

    def add_routes(self, app: FastAPI) -> None:
        """Add the internal routes that the gateway uses."""
        self._add_catalogue(app)
        self._add_purchases(app)

    def _add_catalogue(self, app: FastAPI) -> None:
        checked = [Depends(calling_service)]

        @app.get("/internal/v1/packs", dependencies=checked)
        async def packs() -> Packs:
            return self.packs

        @app.get("/internal/v1/payment-config", dependencies=checked)
        async def payment_config() -> PaymentConfig:
            return PaymentConfig(publishable_key="pk_test_1", currencies=["usd"])

    def _add_purchases(self, app: FastAPI) -> None:
        checked = [Depends(calling_service)]

        @app.post("/internal/v1/purchases", dependencies=checked)
        async def start(order: StartPurchase, response: Response, caller: Caller, key: MaybeKey = None) -> Purchase:
            self.asked.append(Asked("/purchases", caller, key))
            self.orders.append(order)
            if order.order.quote_only:
                return a_purchase(order.buyer.account, id=None)
            name = (caller, await idempotency_key(key))
            if name in self.by_key:
                response.headers[REPLAYED_HEADER] = "true"
            known = self.by_key.setdefault(name, ids.new_id())
            return self.purchases.setdefault(known, a_purchase(order.buyer.account, id=known))

        @app.get("/internal/v1/purchases", dependencies=checked)
        async def find_all(account: AccountId, limit: int, cursor: str | None = None) -> Page[Purchase]:
            mine = [each for each in self.purchases.values() if each.account == account]
            return Page[Purchase](data=mine[:limit], next_cursor=cursor)

        @app.get("/internal/v1/purchases/{purchase}", dependencies=checked)
        async def find(purchase: PurchaseId, account: AccountId) -> Purchase:
            return self.purchase_of(account, purchase)

        @app.post("/internal/v1/purchases/{purchase}/refunds", dependencies=checked)
        async def refund(
            purchase: PurchaseId, account: AccountId, order: RefundOrder, caller: Caller, key: IdempotencyKey
        ) -> Refund:
            self.asked.append(Asked("/refunds", caller, key))
            amount = order.amount or self.purchase_of(account, purchase).quote.price
            self.purchase_of(account, purchase)
            return Refund(id=ids.new_id(), purchase=purchase, amount=amount, state="pending")

        @app.post("/internal/v1/purchases/{purchase}/{verb}", dependencies=checked)
        async def change(purchase: PurchaseId, verb: str, account: AccountId, caller: Caller) -> Purchase:
            self.asked.append(Asked(f"/{verb}", caller, None))
            state = {"confirm": "succeeded", "cancel": "canceled"}[verb]
            return self.purchase_of(account, purchase).model_copy(update={"state": state})


def a_purchase(account: UUID, *, id: UUID | None) -> Purchase:
    """Make up a purchase of the pack."""
    quote = Quote(
        pack="starter", description="Starter", price=PRICE, credits=50 * MICRO, bonus=0, bonus_kind="purchased"
    )
    return Purchase(
        id=id,
        account=account,
        state="quoted" if id is None else "requires_action",
        method="payment_intent",
        quote=quote,
        refunded=Money(amount_minor=0, currency="usd"),
        client_secret=None if id is None else "pi_1_secret_1",
    )
