"""Charges: credits burnt for something, alone or many at once, and given back in full or in parts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from libs.chassis.errors import DomainError, NotFoundError
from libs.chassis.idempotency import Answer, Key
from libs.chassis.pool import Pool
from libs.contracts import errors as codes
from libs.contracts import ids
from libs.contracts.credits import format_credits
from libs.contracts.errors import PROBLEM_TYPE
from libs.contracts.http.spending_v1 import ChargeBatch, ChargeOrder, ChargeRefundOrder
from services.credits.domain.postings import Cause, Charge, ChargeRefund, Result
from services.credits.domain.pricing import Prices
from services.credits.operations import answers
from services.credits.operations.answers import Refused, Shown
from services.credits.operations.costs import cost
from services.credits.operations.writer import Writer
from services.credits.store import charges as store


async def charge(writer: Writer, prices: Prices, order: ChargeOrder, *, at: datetime, caller: str, key: str) -> Answer:
    """Burn credits, once for a key of the caller and once for a reference. Raises what an order cannot be rated for."""
    made = posting(prices, order, caller, at)
    named = Key.of(caller=caller, key=key, operation="charge", body=order.model_dump(mode="json"))
    return await writer.write([made], key=named, shape=lambda results, _: _charged(results[0]))


def posting(prices: Prices, order: ChargeOrder, caller: str, at: datetime) -> Charge:
    """Make the posting of a charge. Raises UnknownMeterError, UnratableUsageError."""
    credits, metered, cause = cost(prices, order, "charge", at=at, actor=caller)
    id = ids.new_id()
    return Charge(
        account=order.account,
        key=id,
        fingerprint=id,
        amount=credits,
        metered=metered,
        cause=cause,
        actor=caller,
        id=id,
    )


def _charged(result: Result) -> Answer:
    made = _made(result)
    return answers.refused(result) if made is None else answers.good(made)


def _made(result: Result) -> Shown | None:
    """Show the charge that was made or stands; None if it was refused."""
    if result.charge is None or result.outcome not in ("accepted", "duplicate"):
        return None
    return {**answers.charge(result.charge), "balance": answers.balance(result)}


async def charge_many(
    writer: Writer, prices: Prices, order: ChargeBatch, *, at: datetime, caller: str, key: str
) -> Answer:
    """Burn credits for many things in one transaction, each decided by itself; a bad one spoils no other."""
    read = [_read(prices, row, order.account, caller, at) for row in order.charges]
    postings = [row for row in read if isinstance(row, Charge)]

    def shape(results: Sequence[Result], _: datetime) -> Answer:
        decided = iter(results)
        rows = [_row(next(decided)) if isinstance(row, Charge) else _refused_row(row) for row in read]
        return answers.good({"data": rows}, status=200)

    named = Key.of(caller=caller, key=key, operation="charge_many", body=[order.account, order.charges])
    return await writer.write(postings, key=named, shape=shape)


def _read(prices: Prices, row: Any, account: UUID | None, caller: str, at: datetime) -> Charge | Refused:
    """Read one charge of a batch, or tell what is wrong with it."""
    if account is not None and isinstance(row, dict):
        row = {"account": ids.show("account", account)} | row
    try:
        order = ChargeOrder.model_validate(row)
        if account is not None and order.account != account:
            raise NotFoundError("this account is not yours to charge")
        return posting(prices, order, caller, at)
    except ValidationError as error:
        first = error.errors()[0]
        where = "/".join(str(part) for part in first["loc"])
        return Refused(codes.INVALID_REQUEST, f"{where}: {first['msg']}".removeprefix(": "), {})
    except DomainError as error:
        return Refused(error.code, error.detail, error.facts)


def _row(result: Result) -> Shown:
    made = _made(result)
    return _refused_row(answers.why(result)) if made is None else {"status": 201, "charge": made}


def _refused_row(refused: Refused) -> Shown:
    code = refused.code
    problem = {
        "type": PROBLEM_TYPE + code.code,
        "title": code.title,
        "status": code.status,
        "detail": refused.detail,
        "code": code.code,
    }
    return {"status": code.status, "problem": problem | refused.facts}


async def refund(
    writer: Writer, charge: UUID, order: ChargeRefundOrder, *, account: UUID, caller: str, key: str
) -> Answer:
    """Give back what a charge burnt, or a part of it, once for a key of the caller."""
    id = ids.new_id()
    posting = ChargeRefund(
        account=account,
        key=id,
        fingerprint=id,
        amount=order.amount or 0,
        cause=Cause("charge_refund", "charge", ids.show("charge", charge), "Charge refunded"),
        charge=charge,
        lot=ids.new_id(),
    )
    body = [account, charge, order.amount]
    named = Key.of(caller=caller, key=key, operation="refund_charge", body=body)
    return await writer.write([posting], key=named, shape=lambda results, _: _refunded(results[0]))


def _refunded(result: Result) -> Answer:
    if result.charge is None or result.outcome != "accepted":
        return answers.refused(result)
    return answers.good(
        {
            "id": ids.show("transaction", result.posting.key),
            "credits": format_credits(result.credits),
            "charge": answers.charge(result.charge),
            "balance": answers.balance(result),
        }
    )


async def show(pool: Pool, charge: UUID, *, account: UUID) -> Shown:
    """Show a charge of an account. Raises NotFoundError for another's."""
    async with pool.connection() as conn:
        found = await store.find(conn, account, charge)
    if found is None:
        raise NotFoundError
    return answers.charge(found)
