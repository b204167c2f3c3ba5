"""What a catalogue file changes, for staff. What is asked with is the file itself (`libs/contracts/catalogue.py`)."""

from typing import Any, Literal

from pydantic import AwareDatetime, Field

from .base import Answer


class CatalogueChange(Answer):
    """One thing that is not yet as the file says."""

    place: Literal["database", "stripe", "restart"]
    """Where it changes; by `restart` of services, which read the file when they start."""
    what: str
    """What changes, such as `pack starter`."""
    change: str
    """How, in words."""


class CataloguePlan(Answer):
    """All that applying a file would change."""

    changes: list[CatalogueChange]


class CatalogueRefusal(Answer):
    """A step that Stripe refused."""

    step: CatalogueChange
    reason: str
    """What Stripe says."""


class CatalogueProgress(Answer):
    """What one step of applying a file has done."""

    done: list[CatalogueChange]
    left: int = Field(ge=0)
    """How much Stripe has still to be told: ask again, until it is nothing."""
    busy: bool = False
    """Whether somebody else applies a file at this moment; then nothing was done."""
    refused: CatalogueRefusal | None = None
    """What Stripe refused; asking again tries it again."""


class Counterpart(Answer):
    """An object at Stripe."""

    kind: Literal["product", "price", "coupon", "promotion_code"]
    stripe_id: str | None
    """Null until Stripe has answered."""
    fixed: dict[str, Any]
    """What of it never changes."""
    said: dict[str, Any]
    """What is said of it."""
    told: bool
    """Whether Stripe knows that."""


class CatalogueItem(Answer):
    """Something that is sold, or was."""

    kind: Literal["pack", "gift_card", "promo_code"]
    id: str
    terms: dict[str, Any]
    """As a catalogue writes it."""
    active: bool
    """False once it was retired."""
    changed_at: AwareDatetime
    stripe: list[Counterpart]


class CatalogueState(Answer):
    """What was applied last."""

    livemode: bool
    """Whether what is at Stripe is there for real money."""
    data: list[CatalogueItem]
