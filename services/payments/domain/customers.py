"""Customers: who Stripe knows an account as."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Customer:
    """The customer of an account; `stripe_customer` is unknown until Stripe's answer is recorded.

    `looks` counts how often Stripe's view of the cards has been applied; `default_method` is which of them pays by
    default, under Stripe's id.
    """

    account: UUID
    livemode: bool
    user: UUID
    email: str
    name: str
    stripe_customer: str | None
    created_at: datetime
    looks: int
    default_method: str | None
