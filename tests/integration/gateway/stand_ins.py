"""Stand-ins for payments and credits: small servers with their internal routes, that real calls reach over HTTP."""

from dataclasses import dataclass
from datetime import UTC, datetime
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
    LoyaltyStanding,
    NextTier,
    PackOffer,
    Packs,
    PaymentConfig,
    Purchase,
    Quote,
    Refund,
    RefundOrder,
    RefundPreview,
    StartPurchase,
    TierOffer,
)
from libs.contracts.http.vouchers_v1 import (
    GiftCard,
    GiftCardOffer,
    GiftCardOffers,
    RedeemVoucher,
    Redemption,
    StartGiftCard,
)
from libs.contracts.ids import AccountId, PurchaseId
from libs.contracts.money import Money
from tests.integration.gateway.past import Past
from tests.integration.gateway.spending import Spending
from tests.integration.gateway.wallets import Wallets

MaybeKey = Annotated[str | None, Header(alias=IDEMPOTENCY_KEY_HEADER)]
NOTHING = Totals(earned=0, purchased=0, spent=0, expired=0, refunded=0)
PRICE = Money(amount_minor=999, currency="usd")
PROMO_CODE = "SPRING"


NOW = datetime(2026, 11, 21, 12, 5, tzinfo=UTC)


class InvalidCodeError(DomainError):
    """Nothing to redeem."""

    code = codes.INVALID_PROMO_CODE


class UnknownAccountError(DomainError):
    """No such account."""

    code = codes.UNKNOWN_ACCOUNT


class PromoCodeRefusedError(DomainError):
    """No such code."""

    code = codes.INVALID_PROMO_CODE


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
    """Sells one pack, and knows one promo code."""

    def __init__(self, keys_file: Path) -> None:
        super().__init__("payments", keys_file)
        self.wallets = Wallets()
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.purchases: dict[UUID, Purchase] = {}
        self.by_key: dict[tuple[str, str], UUID] = {}
        self.asked: list[Asked] = []
        self.orders: list[StartPurchase] = []
        self.gift_orders: list[StartGiftCard] = []
        self.redeemed: dict[str, UUID] = {}
        self.wallets.forget()
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
        self._add_refunds(app)
        self._add_changes(app)
        self._add_vouchers(app)
        self.wallets.add_routes(app)

    def _add_catalogue(self, app: FastAPI) -> None:
        checked = [Depends(calling_service)]

        @app.get("/internal/v1/packs", dependencies=checked)
        async def packs() -> Packs:
            return self.packs

        @app.get("/internal/v1/payment-config", dependencies=checked)
        async def payment_config() -> PaymentConfig:
            return PaymentConfig(publishable_key="pk_test_1", currencies=["usd"])

        @app.get("/internal/v1/loyalty", dependencies=checked)
        async def loyalty(account: AccountId) -> LoyaltyStanding:
            self.asked.append(Asked("/loyalty", ids.show("account", account), None))
            silver = TierOffer(id="silver", name="Silver", from_spend=[PRICE], percent_off=5, bonus_percent=None)
            return LoyaltyStanding(spend=[], tier=None, next=NextTier(tier=silver, left=[PRICE]))

    def _add_purchases(self, app: FastAPI) -> None:
        checked = [Depends(calling_service)]

        @app.post("/internal/v1/purchases", dependencies=checked)
        async def start(order: StartPurchase, response: Response, caller: Caller, key: MaybeKey = None) -> Purchase:
            self.asked.append(Asked("/purchases", caller, key))
            self.orders.append(order)
            check_code(order.order.promo_code)
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

    def _add_refunds(self, app: FastAPI) -> None:
        checked = [Depends(calling_service)]

        @app.post("/internal/v1/purchases/{purchase}/refunds", dependencies=checked)
        async def refund(
            purchase: PurchaseId, account: AccountId, order: RefundOrder, caller: Caller, key: IdempotencyKey
        ) -> Refund:
            self.asked.append(Asked("/refunds", caller, key))
            amount = order.amount or self.purchase_of(account, purchase).quote.price
            self.purchase_of(account, purchase)
            return Refund(id=ids.new_id(), purchase=purchase, amount=amount, state="pending")

        @app.post("/internal/v1/purchases/{purchase}/refund-preview", dependencies=checked)
        async def preview(purchase: PurchaseId, account: AccountId, order: RefundOrder) -> RefundPreview:
            amount = order.amount or self.purchase_of(account, purchase).quote.price
            return RefundPreview(purchase=purchase, amount=amount, credits=50, spent=1, debt=1, possible=True)

    def _add_changes(self, app: FastAPI) -> None:
        checked = [Depends(calling_service)]

        @app.post("/internal/v1/purchases/{purchase}/{verb}", dependencies=checked)
        async def change(purchase: PurchaseId, verb: str, account: AccountId, caller: Caller) -> Purchase:
            self.asked.append(Asked(f"/{verb}", caller, None))
            state = {"confirm": "succeeded", "cancel": "canceled"}[verb]
            return self.purchase_of(account, purchase).model_copy(update={"state": state})

    def _add_vouchers(self, app: FastAPI) -> None:
        checked = [Depends(calling_service)]

        @app.get("/internal/v1/gift-card-offers", dependencies=checked)
        async def offers() -> GiftCardOffers:
            card = GiftCardOffer(id="gift-50", name="Gift card", credits=50 * MICRO, prices=[PRICE])
            return GiftCardOffers(data=[card], unit={"singular": "credit", "plural": "credits"})

        @app.post("/internal/v1/gift-cards", dependencies=checked)
        async def buy(order: StartGiftCard, caller: Caller, key: IdempotencyKey) -> Purchase:
            self.asked.append(Asked("/gift-cards", caller, key))
            self.gift_orders.append(order)
            return a_purchase(order.buyer.account, id=ids.new_id())

        @app.get("/internal/v1/gift-cards", dependencies=checked)
        async def cards(account: AccountId, limit: int, cursor: str | None = None) -> Page[GiftCard]:
            return Page[GiftCard](data=[a_gift_card()][: limit if account else 0], next_cursor=cursor)

        @app.post("/internal/v1/vouchers/redeem", dependencies=checked)
        async def redeem(request: RedeemVoucher, response: Response, caller: Caller, key: IdempotencyKey) -> Redemption:
            self.asked.append(Asked("/vouchers/redeem", caller, key))
            if "good" not in request.code or self.redeemed.get(request.code, request.account) != request.account:
                raise InvalidCodeError
            if request.code in self.redeemed:
                response.headers[REPLAYED_HEADER] = "true"
            self.redeemed[request.code] = request.account
            return Redemption(
                voucher=ids.new_id(),
                account=request.account,
                credits=50 * MICRO,
                kind="promotional",
                expires_at=None,
                redeemed_at=NOW,
            )


def a_gift_card() -> GiftCard:
    """Make up a gift card."""
    return GiftCard(
        id=ids.new_id(),
        purchase=ids.new_id(),
        product="gift-50",
        state="delivered",
        credits=50 * MICRO,
        price=PRICE,
        recipient_email="grace@example.com",
        recipient_name="Grace",
        message=None,
        deliver_at=NOW,
        redeemed_at=None,
    )


def check_code(code: str | None) -> None:
    """Let the one code pass, and none at all. Raises PromoCodeRefusedError."""
    if code not in (None, PROMO_CODE):
        raise PromoCodeRefusedError


def a_purchase(account: UUID, *, id: UUID | None) -> Purchase:
    """Make up a purchase of the pack."""
    quote = Quote(
        pack="starter",
        description="Starter",
        list_price=PRICE,
        price=PRICE,
        discount=Money(amount_minor=0, currency="usd"),
        credits=50 * MICRO,
        bonus=0,
        bonus_kind="purchased",
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
