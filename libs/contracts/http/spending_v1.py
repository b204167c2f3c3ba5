"""Spending: charges, holds, transfers. What the credits service takes and answers, and the gateway hands on."""

from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, Field, StrictBool, StringConstraints, field_validator, model_validator
from pydantic_core import to_json

from ..catalogue import LONGEST_HOLD_SECONDS
from ..credits import Credits, RequestedCredits
from ..errors import Problem
from ..events.credits_v1 import Enforcement
from ..events.usage_v1 import Properties, PropertyValue, Quantity
from ..ids import AccountId, ChargeId, HoldId, TransactionId, TransferId
from .base import Answer, Request

LARGEST_CHARGE_BATCH = 1000

MetadataName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
MetadataText = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00]*$")]
Metadata = Annotated[dict[MetadataName, MetadataText], Field(max_length=50)]
Description = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00]*$")]
MeterName = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00]*$")]
ReferenceType = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.-]{0,63}$")]
ReferenceName = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00]*$")]
HoldSeconds = Annotated[int, Field(strict=True, gt=0, le=LONGEST_HOLD_SECONDS)]
HoldState = Literal["pending", "captured", "released", "expired"]


class Reference(Request):
    """What credits are spent for, by a name of the caller's own."""

    type: ReferenceType
    """What kind of thing, such as `booking`."""
    id: ReferenceName
    """Which one."""


class Priced(Request):
    """What something costs: an amount, or what the price book says that a usage does. Exactly one."""

    amount: RequestedCredits | None = None
    """So many credits."""
    meter: MeterName | None = None
    """As many as this kind of usage costs."""
    quantity: Quantity | None = None
    """How much of the meter's unit; 1 if it is not said."""
    properties: Properties = Field(default_factory=dict)
    """What the price depends on; kept in any case."""

    @property
    def quantity_used(self) -> Decimal:
        """How much of the meter's unit: 1 if it was not said."""
        return Decimal(1) if self.quantity is None else self.quantity

    @model_validator(mode="after")
    def _says_how_much(self) -> Self:
        if (self.amount is None) == (self.meter is None):
            raise ValueError("name either amount or meter")
        if self.quantity is not None and self.meter is None:
            raise ValueError("a quantity needs a meter")
        return self


class Purpose(Request):
    """What credits are to be spent or reserved for."""

    reference: Reference | None = None
    """What it is for."""
    description: Description | None = None
    """In words for the customer."""
    metadata: Metadata = Field(default_factory=dict)
    """Whatever the caller wants to find again."""


class Spending(Purpose, Priced):
    """What is to be spent or reserved, and what for."""


class NewEstimate(Priced):
    """Ask what a charge would cost, and whether it could be made now."""

    account: AccountId | None = None
    """Whose credits; the caller's own if it is not said."""


class EstimateOrder(Priced):
    """Ask what a charge would cost an account, and whether it could be made now."""

    account: AccountId


class NewCharge(Spending):
    """Burn credits. A reference is charged once: the same amount again is answered with the charge that stands."""

    account: AccountId | None = None
    """Whose credits; the caller's own if it is not said."""


class ChargeOrder(Spending):
    """Burn an account's credits."""

    account: AccountId


class ChargeBatch(Request):
    """Many charges, each decided by itself, in the order given."""

    charges: Annotated[list[Any], Field(min_length=1, max_length=LARGEST_CHARGE_BATCH)]
    """Each as a charge by itself; one that cannot be read is refused alone."""
    account: AccountId | None = None
    """Whose credits, where a charge does not say; and the only account that may be named."""

    @field_validator("charges")
    @classmethod
    def _can_be_written(cls, charges: list[Any]) -> list[Any]:
        """Refuse what JSON's escapes can say and no UTF-8 can: it could not be handed on."""
        to_json(charges)
        return charges


class ChargeRefundOrder(Request):
    """Give back what a charge burnt; all that is left of it if no amount is named."""

    amount: RequestedCredits | None = None
    """How many credits; null for all that is left."""


class NewHold(Spending):
    """Reserve credits before work."""

    account: AccountId | None = None
    """Whose credits; the caller's own if it is not said."""
    expires_in: HoldSeconds | None = None
    """After so many seconds it frees itself; the catalogue says how many if it is not said, and how many at most."""


class HoldOrder(Spending):
    """Reserve an account's credits before work."""

    account: AccountId
    expires_in: HoldSeconds | None = None


class CaptureOrder(Request):
    """Burn what a hold reserves, or a part of it."""

    amount: RequestedCredits
    """What the work cost."""
    final: StrictBool = True
    """Free the rest; else it stays reserved for further captures."""


class ExtendOrder(Request):
    """Let a hold live on, as a heartbeat does."""

    expires_in: HoldSeconds
    """From now on, in seconds. It never shortens a hold's life."""


class TransferOrder(Request):
    """Give credits to another account."""

    to: AccountId
    """Who receives them."""
    amount: RequestedCredits
    description: Description | None = None
    """In words for both."""


class AccountTransferOrder(TransferOrder):
    """Give an account's credits to another account."""

    account: AccountId


class BalanceAfter(Answer):
    """What the account has after it."""

    available: Credits
    held: Credits
    overdraft: Credits
    debt: Credits
    sequence: int
    """Rises with every change."""


class SpentFor(Answer):
    """What credits were spent or reserved for."""

    reference: Reference | None
    description: str | None
    meter: str | None
    """The kind of usage, if the price book said what it costs."""
    quantity: Decimal | None
    properties: dict[str, PropertyValue]
    metadata: dict[str, str]


class Estimate(Answer):
    """What a charge would cost and whether it could be made now: as the ledger would decide it, and nothing happens."""

    credits: Credits
    """How many it would burn."""
    rules: list[str]
    """Which rules of the price book make the price, in words, in the order in which they apply."""
    price_version: str | None
    """The version of the price book."""
    affordable: bool
    """Whether it would be accepted now."""
    available: Credits
    """How many the account has available now."""
    enforcement: Enforcement = "events"
    """Near nothing `holds`: hold before the work. Else `events`: it is enough to report usage as it comes."""
    code: str | None
    """Why it would not be accepted: a problem's code."""
    detail: str | None
    """Why, in words."""


class Charge(SpentFor):
    """Credits that were burnt for something, and may be given back."""

    id: ChargeId
    account: AccountId
    credits: Credits
    """How many were burnt."""
    refunded: Credits
    """How many of them were given back."""
    at: AwareDatetime


class ChargeMade(Charge):
    """A charge, and what the account has after it."""

    balance: BalanceAfter


class BatchedCharge(Answer):
    """What became of one charge of a batch: the charge, or the problem."""

    status: int
    """As if it had come alone."""
    charge: ChargeMade | None = None
    problem: Problem | None = None


class ChargeBatchDone(Answer):
    """What became of each charge of a batch, in the order given."""

    data: list[BatchedCharge]


class ChargeRefunded(Answer):
    """Credits that were given back, and what the account has after it."""

    id: TransactionId
    credits: Credits
    """How many came back with this refund."""
    charge: Charge
    balance: BalanceAfter


class Hold(SpentFor):
    """Credits that are or were reserved."""

    id: HoldId
    account: AccountId
    state: HoldState
    """Captured, if anything was captured in the end; else released or expired."""
    reserved: Credits
    """How many it reserved at first."""
    captured: Credits
    """How many were burnt."""
    held: Credits
    """How many it reserves still."""
    placed_at: AwareDatetime
    expires_at: AwareDatetime
    """When it frees itself."""
    ends_by: AwareDatetime
    """Until when it may be extended at most."""
    settled_at: AwareDatetime | None


class HoldChanged(Hold):
    """A hold, and what the account has after what was done to it."""

    balance: BalanceAfter


class Transfer(Answer):
    """Credits that were given to another account, and what the giver has after it."""

    id: TransferId
    account: AccountId
    to: AccountId
    credits: Credits
    description: str | None
    balance: BalanceAfter
