"""Promo codes, as customers try them and staff see them. What staff put is `PromoTerms`, as the catalogue writes it."""

from pydantic import AwareDatetime, Field

from ..promo_codes import PromoCodeName, PromoTerms
from .base import Answer
from .payments_v1 import PurchaseOrder, Wanted


class PromoCodeCheck(Wanted):
    """A code, and what it is to be used for."""

    code: PromoCodeName
    """The promo code, in upper or lower case."""

    def order(self) -> PurchaseOrder:
        """Make the order that asks for the price alone."""
        wanted = self.model_dump(mode="json", exclude={"code"})
        return PurchaseOrder.model_validate({**wanted, "promo_code": self.code, "quote_only": True})


class PromoCodeCounted(Answer):
    """A code, its terms, and how often it was redeemed."""

    code: str
    terms: PromoTerms
    """What holds for it now."""
    active: bool
    """False once it was retired."""
    redeemed: int = Field(ge=0)
    """How often it is redeemed; purchases that may still be paid count."""
    paid: int = Field(ge=0)
    """How many of these purchases are paid."""
    changed_at: AwareDatetime
    """When its terms were last changed, or it was retired."""
