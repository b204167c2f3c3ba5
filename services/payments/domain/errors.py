"""What payments refuses, and what a caller reads then."""

from libs.chassis.errors import DomainError
from libs.contracts import errors as codes


class UnknownPackError(DomainError):
    """There is no such pack on sale."""

    code = codes.UNKNOWN_PACK


class OnlyPacksError(DomainError):
    """Only packs are sold here, not amounts of one's own choice."""

    code = codes.UNKNOWN_PACK


class CurrencyNotOfferedError(DomainError):
    """This is not sold in that currency."""

    code = codes.CURRENCY_NOT_OFFERED


class AmountOutOfLimitsError(DomainError):
    """The amount is outside what can be bought at once."""

    code = codes.CREDIT_LIMIT_EXCEEDED


class AmountNotChargeableError(DomainError):
    """Stripe cannot move exactly this amount in this currency."""

    code = codes.INVALID_REQUEST


class ReturnAddressRefusedError(DomainError):
    """The return address is not on the list of allowed ones."""

    code = codes.RETURN_ADDRESS_REFUSED


class PurchaseStateError(DomainError):
    """The purchase is in a state in which this is not possible."""

    code = codes.PURCHASE_STATE


class PaymentMismatchError(DomainError):
    """What Stripe says of the payment differs from the purchase; people look into it, and nothing was credited."""

    code = codes.PAYMENT_MISMATCH


class RefundTooLargeError(DomainError):
    """The refund exceeds what is left of the payment."""

    code = codes.REFUND_TOO_LARGE


class CreditsSpentError(DomainError):
    """The credits that would go back are spent, in part at least, and such a purchase is not refunded here."""

    code = codes.CREDITS_SPENT


class RefundRefusedError(DomainError):
    """Stripe refused the refund; no money went back."""

    code = codes.REFUND_REFUSED


class RefundNotAllowedError(DomainError):
    """Customers cannot refund purchases themselves here; ask the support team."""

    code = codes.NOT_ALLOWED


class RefundTooLateError(DomainError):
    """Customers can refund purchases themselves for some days only; ask the support team."""

    code = codes.NOT_ALLOWED


class PromoCodeRefusedError(DomainError):
    """This promo code cannot be used."""

    code = codes.INVALID_PROMO_CODE


class UnknownGiftCardError(DomainError):
    """There is no such gift card on sale."""

    code = codes.UNKNOWN_PACK


class InvalidCodeError(DomainError):
    """There is nothing that this account could redeem by this code."""

    code = codes.INVALID_PROMO_CODE


class PromoCodeUnfitError(DomainError):
    """This promo code is not for this order."""

    code = codes.INVALID_PROMO_CODE


class GiftCardRedeemedError(DomainError):
    """The gift card is redeemed, and its credits are somebody else's; what was paid for it is not given back."""

    code = codes.PURCHASE_STATE


class GiftCardPartError(DomainError):
    """A gift card is refunded as a whole, or not at all."""

    code = codes.INVALID_REQUEST


class TooManyCardsError(DomainError):
    """As many cards as an account may have are saved, or about to be saved; remove one first."""

    code = codes.TOO_MANY_CARDS


class NoSuchCardError(DomainError):
    """There is no such saved card, or it is not yours."""

    code = codes.NOT_FOUND


class ReconciliationStoppedError(DomainError):
    """What is left of the pass cannot go on, and will not by itself; all else of it is through."""

    code = codes.RECONCILIATION_STOPPED
