"""What the stand-in of credits answers to those who spend: it writes down what it was asked, and who asked."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from fastapi import Body, Depends, FastAPI, Request, Response

from libs.chassis.errors import DomainError
from libs.chassis.internal_api import Caller, IdempotencyKey, calling_service
from libs.contracts import errors as codes
from libs.contracts import ids
from libs.contracts.http.base import REPLAYED_HEADER, Page
from libs.contracts.http.leases_v1 import LeaseChanged, LeaseOrder
from libs.contracts.http.spending_v1 import (
    AccountTransferOrder,
    BalanceAfter,
    Charge,
    ChargeBatchDone,
    ChargeMade,
    ChargeOrder,
    ChargeRefunded,
    Estimate,
    EstimateOrder,
    Hold,
    HoldChanged,
    HoldOrder,
    Transfer,
)
from libs.contracts.ids import AccountId

BALANCE = BalanceAfter(available=1, held=0, overdraft=0, debt=0, sequence=2)
NOTHING: Any = {
    "reference": None,
    "description": None,
    "meter": None,
    "quantity": None,
    "properties": {},
    "metadata": {},
}
TOO_MUCH = 1_000_000_000
"""An order of a thousand credits is refused."""


class InsufficientCreditsError(DomainError):
    """There is not enough."""

    code = codes.INSUFFICIENT_CREDITS


@dataclass(frozen=True)
class Spent:
    """What was asked, on whose behalf, under which key; of which account."""

    path: str
    caller: str
    key: str
    account: UUID | None
    body: dict[str, Any]


def a_charge(account: UUID) -> Charge:
    """Make up a charge."""
    return Charge(id=ids.new_id(), account=account, credits=2, refunded=0, at=datetime.now(UTC), **NOTHING)


def a_hold(account: UUID) -> Hold:
    """Make up a hold."""
    at = datetime.now(UTC)
    return Hold(
        id=ids.new_id(),
        account=account,
        state="pending",
        reserved=2,
        captured=0,
        held=2,
        placed_at=at,
        expires_at=at,
        ends_by=at,
        settled_at=None,
        **NOTHING,
    )


def a_lease(account: UUID) -> LeaseChanged:
    """Make up a lease."""
    return LeaseChanged(**dict(a_hold(account)), balance=BALANCE, metered=Decimal(7), cost=1, short=0)


def an_estimate() -> Estimate:
    """Make up an estimate."""
    return Estimate(credits=2, rules=["2"], price_version="v1", affordable=True, available=3, code=None, detail=None)


class Spending:
    """The routes, and what they were asked."""

    def __init__(self) -> None:
        self.asked: list[Spent] = []

    def add_routes(self, app: FastAPI) -> None:
        """Add them."""
        self._add_orders(app)
        self._add_things(app)
        self._add_views(app)

    def _note(self, asked: Spent, response: Response) -> None:
        if asked in self.asked:
            response.headers[REPLAYED_HEADER] = "true"
        self.asked.append(asked)

    def _add_orders(self, app: FastAPI) -> None:
        checked = [Depends(calling_service)]

        @app.post("/internal/v1/estimates", dependencies=checked)
        async def estimate(order: EstimateOrder, caller: Caller, response: Response) -> Estimate:
            self._note(Spent("/estimates", caller, "", order.account, order.model_dump(mode="json")), response)
            return an_estimate()

        @app.post("/internal/v1/charges", dependencies=checked, status_code=201)
        async def charge(order: ChargeOrder, caller: Caller, key: IdempotencyKey, response: Response) -> ChargeMade:
            self._note(Spent("/charges", caller, key, order.account, order.model_dump(mode="json")), response)
            if order.amount == TOO_MUCH:
                raise InsufficientCreditsError(required="1000", available="1")
            return ChargeMade(**dict(a_charge(order.account)), balance=BALANCE)

        @app.post("/internal/v1/charges/batch", dependencies=checked)
        async def charge_many(
            order: Annotated[dict[str, Any], Body()], caller: Caller, key: IdempotencyKey, response: Response
        ) -> ChargeBatchDone:
            self._note(Spent("/charges/batch", caller, key, None, order), response)
            return ChargeBatchDone(data=[])

        @app.post("/internal/v1/holds", dependencies=checked, status_code=201)
        async def place(order: HoldOrder, caller: Caller, key: IdempotencyKey, response: Response) -> HoldChanged:
            self._note(Spent("/holds", caller, key, order.account, order.model_dump(mode="json")), response)
            return HoldChanged(**dict(a_hold(order.account)), balance=BALANCE)

        @app.post("/internal/v1/leases", dependencies=checked, status_code=201)
        async def begin(order: LeaseOrder, caller: Caller, key: IdempotencyKey, response: Response) -> LeaseChanged:
            self._note(Spent("/leases", caller, key, order.account, order.model_dump(mode="json")), response)
            return a_lease(order.account)

        @app.post("/internal/v1/transfers", dependencies=checked, status_code=201)
        async def transfer(
            order: AccountTransferOrder, caller: Caller, key: IdempotencyKey, response: Response
        ) -> Transfer:
            self._note(Spent("/transfers", caller, key, order.account, order.model_dump(mode="json")), response)
            moved = {"account": order.account, "to": order.to, "credits": order.amount}
            return Transfer(id=ids.new_id(), **moved, description=None, balance=BALANCE)

    def _add_things(self, app: FastAPI) -> None:
        checked = [Depends(calling_service)]

        async def noted(
            *,
            request: Request,
            account: AccountId,
            order: Annotated[dict[str, Any], Body()],
            caller: Caller,
            key: IdempotencyKey,
            response: Response,
        ) -> Any:
            path = request.url.path.removeprefix("/internal/v1")
            self._note(Spent(path, caller, key, account, order), response)
            return account

        account_of = Annotated[UUID, Depends(noted)]

        @app.post("/internal/v1/charges/{charge}/refunds", dependencies=checked, status_code=201)
        async def refund(account: account_of) -> ChargeRefunded:
            return ChargeRefunded(id=ids.new_id(), credits=1, charge=a_charge(account), balance=BALANCE)

        @app.post("/internal/v1/holds/{hold}/{verb}", dependencies=checked, status_code=201)
        async def change_hold(account: account_of) -> HoldChanged:
            return HoldChanged(**dict(a_hold(account)), balance=BALANCE)

        @app.post("/internal/v1/leases/{lease}/{verb}", dependencies=checked, status_code=201)
        async def change_lease(account: account_of) -> LeaseChanged:
            return a_lease(account)

    def _add_views(self, app: FastAPI) -> None:
        checked = [Depends(calling_service)]

        @app.get("/internal/v1/charges/{charge}", dependencies=checked)
        async def show_charge(charge: str, account: AccountId) -> Charge:
            return a_charge(account)

        @app.get("/internal/v1/holds/{hold}", dependencies=checked)
        async def show_hold(hold: str, account: AccountId) -> Hold:
            return a_hold(account)

        @app.get("/internal/v1/holds", dependencies=checked)
        async def show_holds(account: AccountId, state: str | None = None, limit: int = 20) -> Page[Hold]:
            return Page[Hold](data=[a_hold(account)], next_cursor=f"{state}+{limit}")
