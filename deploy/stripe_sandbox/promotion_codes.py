"""Promotion codes: what customers type in to have a coupon's discount."""

from typing import Annotated, Literal

from pydantic import Field

from deploy.stripe_sandbox import money, shapes
from deploy.stripe_sandbox.amounts import check_granularity
from deploy.stripe_sandbox.call import Call
from deploy.stripe_sandbox.coupons import Positive, is_valid
from deploy.stripe_sandbox.errors import InvalidRequestError, Object
from deploy.stripe_sandbox.events import changed, emit
from deploy.stripe_sandbox.ids import new_id
from deploy.stripe_sandbox.lists import ListParams, page
from deploy.stripe_sandbox.params import (
    ClearableMetadata,
    Created,
    Currency,
    Flag,
    Metadata,
    Params,
    Part,
    Text,
    Whole,
    merged,
)
from deploy.stripe_sandbox.routes import Routes

routes = Routes()


class Promotion(Part):
    """What a code promises."""

    type: Literal["coupon"]
    coupon: Text


class Restrictions(Part):
    """Who may redeem a code, and for how large a purchase."""

    first_time_transaction: Flag = False
    minimum_amount: Positive | None = None
    minimum_amount_currency: Currency | None = None


class CodeCreate(Params):
    """A new code, made up unless it is given."""

    promotion: Promotion
    active: Flag = True
    code: Annotated[Text, Field(pattern=r"^[A-Za-z0-9-]+$", max_length=500)] | None = None
    customer: Text | None = None
    expires_at: Whole | None = None
    max_redemptions: Positive | None = None
    metadata: Metadata = {}
    restrictions: Restrictions = Restrictions()


class CodeUpdate(Params):
    """A change of a code."""

    active: Flag | None = None
    metadata: ClearableMetadata = {}


class CodeList(ListParams):
    """What a list of codes can be narrowed by."""

    active: Flag | None = None
    code: Text | None = None
    coupon: Text | None = None
    created: Created | None = None
    customer: Text | None = None


@routes.post("/v1/promotion_codes")
def create_promotion_code(call: Call, params: CodeCreate) -> Object:
    """Make a code that no other active one is like."""
    coupon = call.named("coupon", params.promotion.coupon, "promotion[coupon]")
    if not is_valid(call, coupon):
        raise InvalidRequestError(f"Coupon expired: {coupon['id']}", code="coupon_expired", param="promotion[coupon]")
    if params.customer:
        call.named("customer", params.customer, "customer")
    _check_restrictions(params.restrictions)
    code = params.code or new_id("", 8).removeprefix("_").upper()
    if params.active and active_code(call, code):
        raise InvalidRequestError("An active promotion code with `code: " + code + "` already exists.", param="code")
    made = call.put(
        shapes.promotion_code(
            new_id("promo"),
            created=call.now,
            code=code,
            promotion={"coupon": coupon["id"], "type": "coupon"},
            metadata=merged({}, params.metadata),
            restrictions=params.restrictions.model_dump(),
            **params.given("active", "customer", "expires_at", "max_redemptions"),
        )
    )
    emit(call, "promotion_code.created", made)
    return made


@routes.get("/v1/promotion_codes")
def list_promotion_codes(call: Call, params: CodeList) -> Object:
    """List codes."""

    def wanted(code: Object) -> bool:
        return (
            params.active in (None, is_active(call, code))
            and (params.code is None or code["code"].lower() == params.code.lower())
            and params.coupon in (None, code["promotion"]["coupon"])
            and params.customer in (None, code["customer"])
            and (params.created is None or params.created.holds(code["created"]))
        )

    return page(
        call,
        "promotion_code",
        params,
        where=wanted,
        url="/v1/promotion_codes",
    )


@routes.get("/v1/promotion_codes/{promotion_code}")
def retrieve_promotion_code(call: Call, _params: Params, promotion_code: str) -> Object:
    """Give a code."""
    return call.find("promotion_code", promotion_code)


@routes.post("/v1/promotion_codes/{promotion_code}")
def update_promotion_code(call: Call, params: CodeUpdate, promotion_code: str) -> Object:
    """Switch a code on or off, or change its metadata."""
    before = call.find("promotion_code", promotion_code)
    after = call.put(before, **params.given("active"), metadata=merged(before["metadata"], params.metadata))
    if params.active and not is_active(call, after):
        raise InvalidRequestError(
            "This promotion code cannot be activated: it, or its coupon, is expired or used up.", param="active"
        )
    emit(call, "promotion_code.updated", after, previous=changed(before, after))
    return after


def as_of_now(call: Call, code: Object) -> Object:
    """Give a code with whether it can still be redeemed."""
    return {**code, "active": is_active(call, code)}


def active_code(call: Call, typed: str) -> Object | None:
    """Find the active code that somebody typed, in whatever case."""
    codes = call.records.newest_first("promotion_code")
    return next((code for code in codes if code["code"].lower() == typed.lower() and is_active(call, code)), None)


def is_active(call: Call, code: Object) -> bool:
    """Tell whether a code can be redeemed by anybody."""
    coupon = call.records.get("coupon", code["promotion"]["coupon"])
    used_up = code["max_redemptions"] is not None and code["times_redeemed"] >= code["max_redemptions"]
    too_late = code["expires_at"] is not None and code["expires_at"] <= call.now
    return bool(code["active"] and coupon and is_valid(call, coupon) and not (used_up or too_late))


def check_redeemable(call: Call, code: Object, *, customer: str | None, amount: int, currency: str) -> None:
    """Refuse a code that is over, another's, or for larger or for first purchases."""
    if not is_active(call, code):
        raise _not_redeemable(code, "it is inactive, expired or used up")
    if code["customer"] not in (None, customer):
        raise _not_redeemable(code, "it is for another customer")
    restrictions = code["restrictions"]
    least, its_currency = restrictions["minimum_amount"], restrictions["minimum_amount_currency"]
    if least is not None and (its_currency != currency or amount < least):
        raise _not_redeemable(code, f"the purchase must be at least {money.shown(least, its_currency)}")
    if restrictions["first_time_transaction"] and customer and _has_paid(call, customer):
        raise _not_redeemable(code, "it is for a customer's first purchase")


def _check_restrictions(restrictions: Restrictions) -> None:
    amount, currency = restrictions.minimum_amount, restrictions.minimum_amount_currency
    if (amount is None) != (currency is None):
        raise InvalidRequestError(
            "You must pass `minimum_amount` together with `minimum_amount_currency`.", param="restrictions"
        )
    if amount and currency:
        check_granularity(amount, currency, param="restrictions[minimum_amount]")


def _has_paid(call: Call, customer: str) -> bool:
    charges = call.records.newest_first("charge")
    return any(charge["customer"] == customer and charge["status"] == "succeeded" for charge in charges)


def _not_redeemable(code: Object, why: str) -> InvalidRequestError:
    return InvalidRequestError(f"This promotion code ({code['code']}) cannot be redeemed: {why}.", param="discounts")
