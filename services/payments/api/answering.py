"""What the routes have in common."""

from typing import Annotated

from fastapi import Query, Response

from libs.contracts.http.base import REPLAYED_HEADER
from libs.contracts.ids import AccountId
from services.payments.operations.answers import Answered

Account = Annotated[AccountId, Query()]
"""Whose it is; what is another account's is not found."""


def created(response: Response, answered: Answered) -> object:
    """Answer that something was begun, now or under the same key before."""
    response.status_code = 201
    if answered.replayed:
        response.headers[REPLAYED_HEADER] = "true"
    return answered.body
