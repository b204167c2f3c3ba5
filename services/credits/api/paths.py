"""What paths name."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends

from libs.chassis.errors import NotFoundError
from libs.contracts import ids


def _account(account: str) -> UUID:
    try:
        return ids.read("account", account)
    except ValueError as error:
        raise NotFoundError(str(error)) from error


Account = Annotated[UUID, Depends(_account)]
