"""What the stand-in of credits tells of the past, and what it was asked."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from fastapi import Depends, FastAPI, Request

from libs.chassis.errors import NotFoundError
from libs.chassis.internal_api import calling_service
from libs.contracts import ids
from libs.contracts.credits import MICRO
from libs.contracts.http.base import Page
from libs.contracts.http.credits_v1 import Balance, Lot, Transaction
from libs.contracts.http.history_v1 import Explanation, LotMovement, PastBalance, TransactionDetail
from libs.contracts.http.insight_v1 import Forecast, UnusualDay, UnusualDays, UsageSummary
from libs.contracts.ids import AccountId, LotId, TransactionId

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Question:
    """What was asked, of whose past."""

    path: str
    account: UUID
    params: dict[str, str]


class Past:
    """Transactions of whoever asks, made up, in pages of at most `page`."""

    def __init__(self, balance_of: Callable[[UUID], Balance]) -> None:
        self._balance_of = balance_of
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.asked: list[Question] = []
        self.transactions: list[Transaction] = []
        self.page = 1000
        self.fails_after: int | None = None

    def add_routes(self, app: FastAPI) -> None:
        """Add the internal routes that look back."""
        self._add_transactions(app)
        self._add_lots(app)
        self._add_sums(app)

    def _add_sums(self, app: FastAPI) -> None:
        prefix, checked = "/internal/v1/accounts/{account}", [Depends(calling_service)]

        @app.get(f"{prefix}/usage", dependencies=checked)
        async def usage(request: Request, account: AccountId) -> UsageSummary:
            self._note(request, account, "usage")
            return UsageSummary(account=account, usages=3, credits=5 * MICRO, data=[], as_of=None)

        @app.get(f"{prefix}/forecast", dependencies=checked)
        async def forecast(request: Request, account: AccountId) -> Forecast:
            self._note(request, account, "forecast")
            nothing: Any = dict.fromkeys(("burnt_per_day", "likely", "earliest", "latest", "expiring_unused"))
            return Forecast(
                account=account, available=7 * MICRO, days_known=1, confidence_percent=80, horizon_days=180, **nothing
            )

        @app.get(f"{prefix}/unusual-days", dependencies=checked)
        async def unusual_days(request: Request, account: AccountId) -> UnusualDays:
            self._note(request, account, "unusual-days")
            day = UnusualDay(day=NOON.date(), burnt=9 * MICRO, usual=MICRO, noticed_at=NOON)
            return UnusualDays(data=[day])

    def _note(self, request: Request, account: UUID, what: str) -> None:
        self._balance_of(account)
        self.asked.append(Question(what, account, dict(request.query_params)))

    def _add_transactions(self, app: FastAPI) -> None:
        prefix, checked = "/internal/v1/accounts/{account}", [Depends(calling_service)]

        @app.get(f"{prefix}/transactions", dependencies=checked)
        async def transactions(request: Request, account: AccountId) -> Page[Transaction]:
            self._note(request, account, "transactions")
            if self.fails_after is not None and len(self.asked) > self.fails_after:
                raise OSError("the database is away")
            begin, size = int(request.query_params.get("cursor", 0)), int(request.query_params["limit"])
            end = begin + min(size, self.page)
            more = str(end) if end < len(self.transactions) else None
            return Page[Transaction](data=self.transactions[begin:end], next_cursor=more)

        @app.get(f"{prefix}/transactions/{{transaction}}", dependencies=checked)
        async def transaction(request: Request, account: AccountId, transaction: TransactionId) -> TransactionDetail:
            self._note(request, account, "transaction")
            for found in self.transactions:
                if found.id == transaction:
                    return TransactionDetail(**found.model_dump(), movements=[])
            raise NotFoundError

        @app.get(f"{prefix}/balance/past", dependencies=checked)
        async def past_balance(request: Request, account: AccountId, at: datetime) -> PastBalance:
            self._note(request, account, "past")
            return PastBalance(account=account, at=at, available=7 * MICRO, held=0, overdraft=0, debt=0, sequence=3)

    def _add_lots(self, app: FastAPI) -> None:
        prefix, checked = "/internal/v1/accounts/{account}", [Depends(calling_service)]

        @app.get(f"{prefix}/lots", dependencies=checked)
        async def lots(request: Request, account: AccountId) -> Page[Lot]:
            self._note(request, account, "lots")
            return Page[Lot](data=[a_lot(account)])

        @app.get(f"{prefix}/lots/{{lot}}/movements", dependencies=checked)
        async def movements(request: Request, account: AccountId, lot: LotId) -> Page[LotMovement]:
            self._note(request, account, f"movements of {ids.show('lot', lot)}")
            return Page[LotMovement](data=[], next_cursor="more")

        @app.get(f"{prefix}/balance/explanation", dependencies=checked)
        async def explanation(request: Request, account: AccountId) -> Explanation:
            self._note(request, account, "explanation")
            return Explanation(data=[], balance=self._balance_of(account))


def a_lot(account: UUID) -> Lot:
    """Make up a lot."""
    return Lot(
        id=ids.new_id(),
        account=account,
        kind="promotional",
        priority=1,
        granted=10 * MICRO,
        remaining=10 * MICRO,
        reason="welcome",
        reference="welcome",
        granted_at=NOON,
        expires_at=None,
    )


def a_transaction(account: UUID, sequence: int, **more: Any) -> Transaction:
    """Make up a usage."""
    fields = {
        "id": ids.new_id(),
        "account": account,
        "type": "usage",
        "status": "completed",
        "credits": -MICRO // 2,
        "balance_after": 10 * MICRO,
        "description": "1 x video",
        "reference_type": "meter",
        "reference_id": "video",
        "metadata": {"quantity": "1"},
        "price_version": "v1",
        "sequence": sequence,
        "at": NOON + timedelta(seconds=sequence),
    }
    return Transaction(**{**fields, **more})
