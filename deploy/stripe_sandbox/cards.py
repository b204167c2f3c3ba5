"""Stripe's published test cards and the tokens that stand for them (docs.stripe.com/testing)."""

from dataclasses import dataclass
from typing import Any, Literal

from deploy.stripe_sandbox.errors import CardRefusedError

Authentication = Literal["never", "unless_set_up", "always"]
Aftermath = Literal["fraudulent", "product_not_received", "inquiry", "fraud_warning"]
"""What follows a payment: a dispute for one of two reasons, an inquiry, or an issuer's warning."""


@dataclass(frozen=True)
class Decline:
    """Why a card is declined, as Stripe's error says it."""

    code: str
    decline_code: str | None
    message: str
    advice: str | None = "try_again_later"
    kind: str = "card_error"
    """The type that a payment intent remembers it under."""

    def refusal(self, **more: Any) -> CardRefusedError:
        """Make the error that says so."""
        return CardRefusedError(
            self.message, code=self.code, decline_code=self.decline_code, advice_code=self.advice, **more
        )


@dataclass(frozen=True)
class Card:
    """What a test card does when it is charged."""

    number: str
    brand: str = "visa"
    funding: str = "credit"
    decline: Decline | None = None
    authentication: Authentication = "never"
    declines_when_attached: bool = True
    """Whether a card that is declined is declined already when a customer saves it."""
    aftermath: Aftermath | None = None
    refunds: Literal["arrive", "arrive_late", "fail"] = "arrive"

    @property
    def last4(self) -> str:
        """The digits that may be shown."""
        return self.number[-4:]


def _declined(decline_code: str, message: str = "Your card was declined.", advice: str = "try_again_later") -> Decline:
    return Decline("card_declined", decline_code, message, advice)


INSUFFICIENT_FUNDS = _declined("insufficient_funds", "Your card has insufficient funds.")

CARDS = {
    card.number: card
    for card in (
        Card("4242424242424242"),
        Card("4000056655665556", funding="debit"),
        Card("5555555555554444", brand="mastercard"),
        Card("5200828282828210", brand="mastercard", funding="debit"),
        Card("5105105105105100", brand="mastercard", funding="prepaid"),
        Card("378282246310005", brand="amex"),
        Card("6011111111111117", brand="discover"),
        Card("3056930009020004", brand="diners"),
        Card("3566002020360505", brand="jcb"),
        Card("6200000000000005", brand="unionpay"),
        Card("4000000000000002", decline=_declined("generic_decline")),
        Card("4000000000009995", decline=INSUFFICIENT_FUNDS),
        Card("4000000000009987", decline=_declined("lost_card", advice="do_not_try_again")),
        Card("4000000000009979", decline=_declined("stolen_card", advice="do_not_try_again")),
        Card("4000000000006975", decline=_declined("card_velocity_exceeded")),
        Card(
            "4000000000000069",
            decline=Decline("expired_card", "expired_card", "Your card has expired.", "do_not_try_again"),
        ),
        Card(
            "4000000000000127",
            decline=Decline(
                "incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect.", "confirm_card_data"
            ),
        ),
        Card(
            "4000000000000119",
            decline=Decline(
                "processing_error",
                "processing_error",
                "An error occurred while processing your card. Try again in a little bit.",
            ),
        ),
        Card("4000000000000341", decline=_declined("generic_decline"), declines_when_attached=False),
        Card("4000002500003155", authentication="unless_set_up"),
        Card("4000002760003184", authentication="always"),
        Card("4000000000003220", authentication="always"),
        Card("4000008260003178", authentication="always", decline=INSUFFICIENT_FUNDS, declines_when_attached=False),
        Card("4000000000000259", aftermath="fraudulent"),
        Card("4000000000002685", aftermath="product_not_received"),
        Card("4000000000001976", aftermath="inquiry"),
        Card("4000000000005423", aftermath="fraud_warning"),
        Card("4000000000007726", refunds="arrive_late"),
        Card("4000000000005126", refunds="fail"),
    )
}

TOKENS = {
    "pm_card_visa": "4242424242424242",
    "pm_card_visa_debit": "4000056655665556",
    "pm_card_mastercard": "5555555555554444",
    "pm_card_mastercard_debit": "5200828282828210",
    "pm_card_mastercard_prepaid": "5105105105105100",
    "pm_card_amex": "378282246310005",
    "pm_card_discover": "6011111111111117",
    "pm_card_diners": "3056930009020004",
    "pm_card_jcb": "3566002020360505",
    "pm_card_unionpay": "6200000000000005",
    "pm_card_chargeDeclined": "4000000000000002",
    "pm_card_visa_chargeDeclined": "4000000000000002",
    "pm_card_chargeDeclinedInsufficientFunds": "4000000000009995",
    "pm_card_visa_chargeDeclinedInsufficientFunds": "4000000000009995",
    "pm_card_visa_chargeDeclinedLostCard": "4000000000009987",
    "pm_card_visa_chargeDeclinedStolenCard": "4000000000009979",
    "pm_card_visa_chargeDeclinedVelocityLimitExceeded": "4000000000006975",
    "pm_card_chargeDeclinedExpiredCard": "4000000000000069",
    "pm_card_chargeDeclinedIncorrectCvc": "4000000000000127",
    "pm_card_chargeDeclinedProcessingError": "4000000000000119",
    "pm_card_chargeCustomerFail": "4000000000000341",
    "pm_card_authenticationRequiredOnSetup": "4000002500003155",
    "pm_card_authenticationRequired": "4000002760003184",
    "pm_card_threeDSecure2Required": "4000000000003220",
    "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds": "4000008260003178",
    "pm_card_createDispute": "4000000000000259",
    "pm_card_createDisputeProductNotReceived": "4000000000002685",
    "pm_card_createDisputeInquiry": "4000000000001976",
    "pm_card_createIssuerFraudRecord": "4000000000005423",
    "pm_card_pendingRefund": "4000000000007726",
    "pm_card_refundFail": "4000000000005126",
}

BANK_TOKENS = {"pm_usBankAccount": "success", "pm_usBankAccount_success": "success",
               "pm_usBankAccount_insufficientFunds": "insufficient_funds"}  # fmt: skip
"""Bank accounts and how their debits end; a debit stays processing for a while."""


def card_of(number: str) -> Card:
    """Find a test card by its number; raises CardRefusedError for numbers that Stripe's test mode refuses."""
    digits = number.replace(" ", "").replace("-", "")
    if card := CARDS.get(digits):
        return card
    if not _checks_out(digits):
        raise CardRefusedError("Your card number is incorrect.", code="incorrect_number", param="number")
    raise CardRefusedError(
        "Your card was declined. Your request was in test mode, but used a non test (live) card. For a list of valid "
        "test cards, visit: https://stripe.com/docs/testing.",
        code="card_declined",
        decline_code="test_mode_live_card",
    )


def _checks_out(digits: str) -> bool:
    """Check the last digit by Luhn's formula (ISO/IEC 7812-1)."""
    if not digits.isdigit():
        return False
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0
