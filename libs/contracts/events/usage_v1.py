"""Usage events: CloudEvents that anybody with the right to may publish. `type` is the meter, `subject` the account."""

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StringConstraints

from ..money import Currency

LARGEST_QUANTITY = 10**12
LARGEST_COST_MICROS = 10**15
MOST_PROPERTIES = 50

PropertyName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
PropertyText = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00]*$")]
PropertyValue = StrictBool | StrictInt | PropertyText
Properties = Annotated[dict[PropertyName, PropertyValue], Field(max_length=MOST_PROPERTIES)]
Quantity = Annotated[Decimal, Field(ge=0, le=LARGEST_QUANTITY, decimal_places=6)]


class UsageCost(BaseModel):
    """What serving a usage cost the operator: no customer is shown it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    amount_micros: Annotated[StrictInt, Field(ge=0, le=LARGEST_COST_MICROS)]
    """In millionths of the currency's unit: 300 are 0.0003 USD."""
    currency: Currency


class UsageData(BaseModel):
    """What was used: `data` of a usage event.

    The quantity is in the meter's unit, at most six decimal places, as a JSON number or a decimal string; the
    properties are what the price depends on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    quantity: Quantity = Decimal(1)
    """How much, in the meter's unit."""
    properties: Properties = Field(default_factory=dict)
    """What the price depends on, such as `resolution`."""
    cost: UsageCost | None = None
    """What serving it cost the operator; nothing is priced by it."""
