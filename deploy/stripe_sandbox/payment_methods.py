"""Payment methods: what pays, by Stripe's test cards and bank accounts alone."""

from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, Literal

from pydantic import Field

from deploy.stripe_sandbox import shapes
from deploy.stripe_sandbox.call import Call
from deploy.stripe_sandbox.cards import BANK_TOKENS, CARDS, TOKENS, Card, card_of
from deploy.stripe_sandbox.errors import CardRefusedError, InvalidRequestError, NotFoundError, Object
from deploy.stripe_sandbox.events import changed, emit
from deploy.stripe_sandbox.ids import new_id
from deploy.stripe_sandbox.lists import ListParams, page
from deploy.stripe_sandbox.params import (
    Address,
    Clearable,
    ClearableMetadata,
    ClearableText,
    Metadata,
    Params,
    Part,
    Text,
    Whole,
    merged,
)
from deploy.stripe_sandbox.routes import Routes

routes = Routes()


class BillingDetails(Part):
    """Who a payment method belongs to."""

    address: Annotated[Address | None, Clearable] = None
    email: ClearableText = None
    name: ClearableText = None
    phone: ClearableText = None


class CardNumber(Part):
    """A test card as it is typed in."""

    number: Text
    exp_month: Annotated[Whole, Field(ge=1, le=12)]
    exp_year: Whole
    cvc: Text | None = None


class PaymentMethodCreate(Params):
    """A new payment method: a card, in the browser as a rule."""

    type: Literal["card"]
    card: CardNumber
    billing_details: BillingDetails = BillingDetails()
    metadata: Metadata = {}
    allow_redisplay: Literal["always", "limited", "unspecified"] = "unspecified"


class NewExpiry(Part):
    """Until when a card that was renewed can be used."""

    exp_month: Annotated[Whole, Field(ge=1, le=12)]
    exp_year: Whole


class PaymentMethodUpdate(Params):
    """A change of what is noted beside a payment method, or of its card's expiry."""

    card: NewExpiry | None = None
    metadata: ClearableMetadata = {}
    allow_redisplay: Literal["always", "limited", "unspecified"] | None = None


class PaymentMethodAttach(Params):
    """Whose a payment method becomes."""

    customer: Text


class CustomerPaymentMethodList(ListParams):
    """What a customer's payment methods can be narrowed by."""

    type: Text | None = None
    allow_redisplay: Literal["always", "limited", "unspecified"] | None = None


class PaymentMethodList(CustomerPaymentMethodList):
    """Whose payment methods are listed."""

    customer: Text | None = None


@routes.post("/v1/payment_methods", publishable=True)
def create_payment_method(call: Call, params: PaymentMethodCreate) -> Object:
    """Make a payment method of a test card's number."""
    card = card_of(params.card.number)
    _check_expiry(call, params.card)
    return make_card(
        call,
        card,
        exp_month=params.card.exp_month,
        exp_year=_four_digits(params.card.exp_year),
        billing_details={**shapes.NO_BILLING_DETAILS, **params.billing_details.model_dump(exclude_none=True)},
        metadata=merged({}, params.metadata),
        allow_redisplay=params.allow_redisplay,
    )


@routes.get("/v1/payment_methods")
def list_payment_methods(call: Call, params: PaymentMethodList) -> Object:
    """List payment methods that are attached, to one customer or to any."""
    return _listed(call, params, params.customer, "/v1/payment_methods")


@routes.get("/v1/customers/{customer}/payment_methods")
def list_customer_payment_methods(call: Call, params: CustomerPaymentMethodList, customer: str) -> Object:
    """List a customer's payment methods."""
    call.find("customer", customer)
    return _listed(call, params, customer, f"/v1/customers/{customer}/payment_methods")


@routes.get("/v1/payment_methods/{payment_method}")
def retrieve_payment_method(call: Call, _params: Params, payment_method: str) -> Object:
    """Give a payment method; a token gives a fresh one."""
    return _addressed(call, payment_method)


@routes.post("/v1/payment_methods/{payment_method}")
def update_payment_method(call: Call, params: PaymentMethodUpdate, payment_method: str) -> Object:
    """Change a payment method that is attached to a customer."""
    before = _addressed(call, payment_method)
    if before["customer"] is None:
        raise InvalidRequestError("You must save this PaymentMethod to a customer before you can update it.")
    metadata = merged(before["metadata"], params.metadata)
    changes = params.given("allow_redisplay")
    if params.card is not None:
        _check_expiry(call, params.card)
        expiry = {"exp_month": params.card.exp_month, "exp_year": _four_digits(params.card.exp_year)}
        changes["card"] = {**before["card"], **expiry}
    after = call.put(before, metadata=metadata, **changes)
    emit(call, "payment_method.updated", after, previous=changed(before, after))
    return after


@routes.post("/v1/payment_methods/{payment_method}/attach")
def attach_payment_method(call: Call, params: PaymentMethodAttach, payment_method: str) -> Object:
    """Attach a payment method to a customer."""
    return attach(call, _addressed(call, payment_method), call.named("customer", params.customer, "customer"))


@routes.post("/v1/payment_methods/{payment_method}/detach")
def detach_payment_method(call: Call, _params: Params, payment_method: str) -> Object:
    """Detach a payment method; it cannot be used again."""
    before = _addressed(call, payment_method)
    if before["customer"] is None:
        raise InvalidRequestError(
            "The payment method you provided is not attached to a customer so detachment is impossible."
        )
    after = call.put(before, customer=None, _used_up=True)
    _forget_default(call, before)
    emit(call, "payment_method.detached", after, previous={"customer": before["customer"]})
    return after


def attach(call: Call, method: Object, customer: Object) -> Object:
    """Attach a method to a customer unless it is another's, was used up, or is declined at once."""
    if method["customer"] == customer["id"]:
        return method
    if method["customer"] is not None:
        raise InvalidRequestError("The payment method you provided has already been attached to a customer.")
    refuse_used_up(method)
    card = CARDS.get(method.get("_card", ""))
    if card and card.decline and card.declines_when_attached:
        raise card.decline.refusal()
    attached = call.put(method, customer=customer["id"])
    emit(call, "payment_method.attached", attached)
    return attached


def refuse_used_up(method: Object) -> None:
    """Refuse a method that paid, or was detached, without belonging to a customer."""
    if method.get("_used_up"):
        raise InvalidRequestError(
            "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, shared "
            "with a connected account without Customer attachment, or was detached from a Customer. It may not be used "
            "again. To use a PaymentMethod multiple times, you must attach it to a Customer first."
        )


def chosen_method(call: Call, name: str) -> Object:
    """Give the payment method that a parameter names; a token makes a fresh one."""
    return _of_token(call, name) or call.named("payment_method", name, "payment_method")


def make_card(call: Call, card: Card, *, exp_month: int = 8, exp_year: int | None = None, **given: object) -> Object:
    """Make a payment method of a test card."""
    details = {
        "brand": card.brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "unchecked"},
        "country": "US",
        "display_brand": card.brand,
        "exp_month": exp_month,
        "exp_year": exp_year or _year(call) + 4,
        "fingerprint": _fingerprint(card.number),
        "funding": card.funding,
        "generated_from": None,
        "last4": card.last4,
        "networks": {"available": [card.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }
    method = shapes.payment_method(new_id("pm"), created=call.now, type="card", card=details, **given)
    return call.put(method, _card=card.number)


def make_bank_account(call: Call, *, outcome: str = "success", **given: object) -> Object:
    """Make a payment method of a test bank account, whose debits end in `outcome`."""
    details = {
        "account_holder_type": "individual",
        "account_type": "checking",
        "bank_name": "STRIPE TEST BANK",
        "financial_connections_account": None,
        "fingerprint": _fingerprint(outcome),
        "last4": "6789",
        "networks": {"preferred": "ach", "supported": ["ach"]},
        "routing_number": "110000000",
        "status_details": {},
    }
    billing = {**shapes.NO_BILLING_DETAILS, "email": "jenny@example.com", "name": "Jenny Rosen"}
    shaped = {"type": "us_bank_account", "us_bank_account": details, "billing_details": billing, **given}
    return call.put(shapes.payment_method(new_id("pm"), created=call.now, **shaped), _debit=outcome)


def _of_token(call: Call, name: str) -> Object | None:
    if name in TOKENS:
        return make_card(call, card_of(TOKENS[name]))
    return make_bank_account(call, outcome=BANK_TOKENS[name]) if name in BANK_TOKENS else None


def _addressed(call: Call, name: str) -> Object:
    method = _of_token(call, name) or call.records.get("payment_method", name)
    if method is None:
        raise NotFoundError("PaymentMethod", name, param="payment_method")
    return method


def _listed(call: Call, params: CustomerPaymentMethodList, customer: str | None, url: str) -> Object:
    def wanted(method: Object) -> bool:
        return (
            method["customer"] is not None
            and customer in (None, method["customer"])
            and params.type in (None, method["type"])
            and params.allow_redisplay in (None, method["allow_redisplay"])
        )

    return page(call, "payment_method", params, where=wanted, url=url)


def _forget_default(call: Call, method: Object) -> None:
    customer = call.records.get("customer", method["customer"])
    if customer and customer.get("invoice_settings", {}).get("default_payment_method") == method["id"]:
        call.put(customer, invoice_settings={**customer["invoice_settings"], "default_payment_method": None})


def _check_expiry(call: Call, card: CardNumber | NewExpiry) -> None:
    now = datetime.fromtimestamp(call.now, UTC)
    year = _four_digits(card.exp_year)
    if not now.year <= year <= now.year + 50:
        raise CardRefusedError("Your card's expiration year is invalid.", code="invalid_expiry_year", param="exp_year")
    if (year, card.exp_month) < (now.year, now.month):
        raise CardRefusedError(
            "Your card's expiration month is invalid.", code="invalid_expiry_month", param="exp_month"
        )


def _four_digits(year: int) -> int:
    return year + 2000 if year < 100 else year


def _year(call: Call) -> int:
    return datetime.fromtimestamp(call.now, UTC).year


def _fingerprint(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]
