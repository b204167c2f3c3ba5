"""What paths name."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends

from libs.chassis.errors import NotFoundError
from libs.contracts import ids


def _account(account: str) -> UUID:
    return _read("account", account)


def _purchase(purchase: str) -> UUID:
    return _read("purchase", purchase)


def _refund(refund: str) -> UUID:
    return _read("refund", refund)


def _read(kind: str, id: str) -> UUID:
    try:
        return ids.read(kind, id)
    except ValueError as error:
        raise NotFoundError(str(error)) from error


Account = Annotated[UUID, Depends(_account)]
Purchase = Annotated[UUID, Depends(_purchase)]
Refund = Annotated[UUID, Depends(_refund)]
