"""Domain events: one module per producer and major version.

Within a major version only optional fields are added, and consumers ignore unknown ones: a golden example, once
committed in `libs/contracts/examples/`, parses for ever.
"""

from .accounts_v1 import AccountOpened
from .base import Event
from .credits_v1 import (
    AccountClosed,
    AccountFrozen,
    AccountUnfrozen,
    BalanceChanged,
    CreditsGranted,
    CreditsTakenBack,
    HoldExpired,
    LotExpired,
    LotExpiring,
    LowBalance,
    RunawayResumed,
    RunawayStopped,
    UsageRejected,
)
from .payments_v1 import PaymentFailed, PaymentRefunded, PaymentSucceeded
from .stripe_v1 import StripeEventReceived

__all__ = [
    "ALL",
    "BY_TYPE",
    "AccountClosed",
    "AccountFrozen",
    "AccountOpened",
    "AccountUnfrozen",
    "BalanceChanged",
    "CreditsGranted",
    "CreditsTakenBack",
    "Event",
    "HoldExpired",
    "LotExpired",
    "LotExpiring",
    "LowBalance",
    "PaymentFailed",
    "PaymentRefunded",
    "PaymentSucceeded",
    "RunawayResumed",
    "RunawayStopped",
    "StripeEventReceived",
    "UsageRejected",
]

ALL: tuple[type[Event], ...] = (
    AccountOpened,
    StripeEventReceived,
    PaymentSucceeded,
    PaymentFailed,
    PaymentRefunded,
    CreditsGranted,
    CreditsTakenBack,
    UsageRejected,
    LowBalance,
    LotExpiring,
    LotExpired,
    HoldExpired,
    RunawayStopped,
    RunawayResumed,
    AccountFrozen,
    AccountUnfrozen,
    AccountClosed,
    BalanceChanged,
)

BY_TYPE: dict[str, type[Event]] = {event.type: event for event in ALL}
