"""Credits that go back with the money that paid for them: what is left of a purchase's lots, and setting it aside."""

from typing import Annotated

from pydantic import Field

from ..credits import Credits, RequestedCredits
from ..events.payments_v1 import LotKind
from ..ids import AccountId, LotId, PurchaseId, VoucherId
from .base import Answer, Request


class PurchaseLot(Answer):
    """One of the lots that a purchase brought."""

    kind: LotKind
    granted: Credits
    """How many credits it brought."""
    remaining: Credits
    """How many are left to be spent, and so could go back."""
    taken_back: Credits
    """How many went back already."""
    set_aside: Credits
    """How many are held, as their money may go back."""


class PurchaseLots(Answer):
    """What a purchase brought an account, and what is left of it."""

    account: AccountId
    purchase: PurchaseId
    lots: list[PurchaseLot]


class LotToSetAside(Request):
    """How many credits of one of a purchase's lots may have to go back."""

    kind: LotKind
    credits: RequestedCredits


class SetAsideOrder(Request):
    """Hold credits of a purchase's lots, so that nobody spends them while their money may go back."""

    purchase: PurchaseId
    lots: Annotated[list[LotToSetAside], Field(max_length=6)]
    whole: bool
    """All that is named or nothing (`PAY046`); else as many as there are."""


class LotSetAside(Answer):
    """How many credits of a lot are held."""

    kind: LotKind
    set_aside: Credits


class SetAside(Answer):
    """What is held; the same again is answered with what was held then."""

    lots: list[LotSetAside]


class LotsAsked(Request):
    """Ask what purchases brought."""

    purchases: Annotated[list[PurchaseId], Field(max_length=500)]
    """The purchases."""


class GrantedLot(Answer):
    """A lot that a purchase brought, as payments compares it."""

    lot: LotId
    """The lot."""
    account: AccountId
    """Whose it is."""
    purchase: PurchaseId
    """What brought it."""
    kind: LotKind
    """Of which kind it is."""
    granted: Credits
    """How many credits it brought."""
    taken_back: Credits
    """How many went back."""


class VoucherLotsAsked(Request):
    """Ask what redeemed vouchers and gift cards brought."""

    vouchers: Annotated[list[VoucherId], Field(max_length=500)]
    """The vouchers."""


class RedeemedLot(Answer):
    """A lot that a redeemed voucher or gift card brought, as payments compares it."""

    lot: LotId
    """The lot."""
    account: AccountId
    """Whose it is."""
    voucher: VoucherId
    """What brought it."""
    kind: LotKind
    """Of which kind it is."""
    granted: Credits
    """How many credits it brought."""
    taken_back: Credits
    """How many went back: of what was to go back, those that were not spent."""
    revision: int
    """The revision under which it was last told how many are to go back; 0 if it never was."""


class RedeemedLots(Answer):
    """Lots that vouchers and gift cards brought."""

    lots: list[RedeemedLot]
    """The lots."""


class GrantedLots(Answer):
    """Lots that purchases brought."""

    lots: list[GrantedLot]
    """The lots, by id where a list is gone through."""
    redeemed: list[RedeemedLot] = []
    """Those that vouchers brought, where a list is gone through."""
    last: LotId | None = None
    """Up to which all lots were looked at; none if there are no more."""
