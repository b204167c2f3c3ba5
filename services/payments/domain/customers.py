"""Customers: who Stripe knows an account as."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Customer:
    """The customer of an account; `stripe_customer` is unknown until Stripe's answer is recorded."""

    account: UUID
    user: UUID
    email: str
    name: str
    stripe_customer: str | None
    created_at: datetime
