"""Transfers: credits given to another account, where the deployment allows it."""

from collections.abc import Sequence
from datetime import datetime

from libs.chassis.errors import InvalidRequestError
from libs.chassis.idempotency import Answer, Key
from libs.contracts import ids
from libs.contracts.catalogue import Policies
from libs.contracts.credits import format_credits
from libs.contracts.http.spending_v1 import AccountTransferOrder
from services.credits.domain.errors import TransferNotAllowedError, TransferTooLargeError
from services.credits.domain.postings import Cause, Result, Transfer
from services.credits.operations import answers
from services.credits.operations.writer import Writer


async def transfer(writer: Writer, policies: Policies, order: AccountTransferOrder, *, caller: str, key: str) -> Answer:
    """Give credits to another account, once for a key of the caller.

    Raises TransferNotAllowedError, TransferTooLargeError, InvalidRequestError.
    """
    _check(policies, order)
    id = ids.new_id()
    posting = Transfer(
        account=order.account,
        key=id,
        fingerprint=id,
        amount=order.amount,
        cause=Cause("transfer", "transfer", ids.show("transfer", id), order.description),
        actor=caller,
        to=order.to,
        lot=ids.new_id(),
    )

    def shape(results: Sequence[Result], _: datetime) -> Answer:
        return _moved(order, posting, results[0])

    named = Key.of(caller=caller, key=key, operation="transfer", body=order.model_dump(mode="json"))
    return await writer.write([posting], key=named, shape=shape)


def _check(policies: Policies, order: AccountTransferOrder) -> None:
    if policies.transfers is None:
        raise TransferNotAllowedError
    if order.to == order.account:
        raise InvalidRequestError("an account cannot give credits to itself")
    if order.amount > policies.transfers.maximum:
        raise TransferTooLargeError(maximum=format_credits(policies.transfers.maximum))


def _moved(order: AccountTransferOrder, posting: Transfer, result: Result) -> Answer:
    if result.outcome != "accepted":
        return answers.refused(result)
    return answers.good(
        {
            "id": ids.show("transfer", posting.key),
            "account": ids.show("account", posting.account),
            "to": ids.show("account", posting.to),
            "credits": format_credits(posting.amount),
            "description": order.description,
            "balance": answers.balance(result),
        }
    )
