"""Coupons: how much cheaper something gets."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from deploy.stripe_sandbox import shapes
from deploy.stripe_sandbox.amounts import check_granularity
from deploy.stripe_sandbox.call import Call
from deploy.stripe_sandbox.errors import InvalidRequestError, NotFoundError, Object
from deploy.stripe_sandbox.events import changed, emit
from deploy.stripe_sandbox.ids import new_id
from deploy.stripe_sandbox.lists import ListParams, page
from deploy.stripe_sandbox.params import (
    ClearableMetadata,
    ClearableText,
    Created,
    Currency,
    Metadata,
    NoParams,
    Params,
    Text,
    Whole,
    merged,
)
from deploy.stripe_sandbox.routes import Routes

routes = Routes()

PLAIN = ("amount_off", "currency", "duration", "duration_in_months", "max_redemptions", "name", "redeem_by")


def _percent(value: str) -> str:
    if re.fullmatch(r"\d{1,3}(\.\d{1,2})?", value) and 0 < hundredths(value) <= 10_000:
        return value
    raise PydanticCustomError("invalid_percent", "Invalid percentage: {value}", {"value": value})


def hundredths(percent: str) -> int:
    """Give a written percentage in hundredths of a percent: 25.5 is 2550."""
    whole, _, rest = percent.partition(".")
    return int(whole) * 100 + int(rest.ljust(2, "0"))


Percent = Annotated[Text, AfterValidator(_percent)]
Positive = Annotated[Whole, Field(ge=1)]


class CouponCreate(Params):
    """A new coupon, of a percentage or of an amount; its id may be the caller's own."""

    amount_off: Positive | None = None
    currency: Currency | None = None
    duration: Literal["forever", "once", "repeating"] = "once"
    duration_in_months: Positive | None = None
    id: Text | None = None
    max_redemptions: Positive | None = None
    metadata: Metadata = {}
    name: Annotated[Text, Field(max_length=40)] | None = None
    percent_off: Percent | None = None
    redeem_by: Whole | None = None


class CouponUpdate(Params):
    """A change of what is said of a coupon; what it takes off never changes."""

    metadata: ClearableMetadata = {}
    name: ClearableText = None


class CouponList(ListParams):
    """What a list of coupons can be narrowed by."""

    created: Created | None = None


@routes.post("/v1/coupons")
def create_coupon(call: Call, params: CouponCreate) -> Object:
    """Make a coupon."""
    _check(call, params)
    own: dict[str, Any] = {}
    if params.percent_off is not None:
        own = {"percent_off": float(params.percent_off), "_hundredths": hundredths(params.percent_off)}
    given = params.given(
        "amount_off", "currency", "duration", "duration_in_months", "max_redemptions", "name", "redeem_by"
    )
    name = params.id or new_id("", 8).removeprefix("_")
    coupon = shapes.coupon(name, created=call.now, metadata=merged({}, params.metadata), **given)
    coupon = call.put(coupon, **own)
    emit(call, "coupon.created", coupon)
    return coupon


@routes.get("/v1/coupons")
def list_coupons(call: Call, params: CouponList) -> Object:
    """List coupons."""

    def wanted(coupon: Object) -> bool:
        return not coupon.get("deleted") and (params.created is None or params.created.holds(coupon["created"]))

    return page(call, "coupon", params, where=wanted, url="/v1/coupons")


@routes.get("/v1/coupons/{coupon}")
def retrieve_coupon(call: Call, _params: Params, coupon: str) -> Object:
    """Give a coupon."""
    return _living(call, coupon)


@routes.post("/v1/coupons/{coupon}")
def update_coupon(call: Call, params: CouponUpdate, coupon: str) -> Object:
    """Change what is said of a coupon."""
    before = _living(call, coupon)
    after = call.put(before, **params.given("name"), metadata=merged(before["metadata"], params.metadata))
    emit(call, "coupon.updated", after, previous=changed(before, after))
    return after


@routes.delete("/v1/coupons/{coupon}")
def delete_coupon(call: Call, _params: NoParams, coupon: str) -> Object:
    """Delete a coupon; nobody can redeem it or its promotion codes any more."""
    before = _living(call, coupon)
    gone = shapes.deleted(before)
    call.records.put(gone)
    emit(call, "coupon.deleted", before)
    return gone


def as_of_now(call: Call, coupon: Object) -> Object:
    """Give a coupon with whether it can still be redeemed."""
    return {**coupon, "valid": is_valid(call, coupon)}


def is_valid(call: Call, coupon: Object) -> bool:
    """Tell whether a coupon can still be redeemed."""
    if coupon.get("deleted"):
        return False
    used_up = coupon["max_redemptions"] is not None and coupon["times_redeemed"] >= coupon["max_redemptions"]
    too_late = coupon["redeem_by"] is not None and coupon["redeem_by"] <= call.now
    return not (used_up or too_late)


def amount_off(coupon: Object, amount: int, currency: str) -> int:
    """Say how much a coupon takes off an amount: a percentage rounded half up, or its own amount, never more than all.

    Raises InvalidRequestError for an amount in another currency.
    """
    if coupon["percent_off"] is not None:
        return int((amount * coupon["_hundredths"] + 5_000) // 10_000)
    if coupon["currency"] != currency:
        raise InvalidRequestError(
            f"The coupon {coupon['id']} is in {coupon['currency']} and cannot be applied to an amount in {currency}.",
            param="discounts",
        )
    most: int = coupon["amount_off"]
    return min(most, amount)


def _living(call: Call, name: str) -> Object:
    coupon = call.find("coupon", name)
    if coupon.get("deleted"):
        raise NotFoundError("coupon", name, "id")
    return coupon


def _check(call: Call, params: CouponCreate) -> None:
    if (params.percent_off is None) == (params.amount_off is None):
        raise InvalidRequestError("You must pass either `percent_off` or `amount_off`.", param="percent_off")
    if (params.amount_off is None) != (params.currency is None):
        raise InvalidRequestError(
            "You must pass `currency` when passing `amount_off`, and only then.", param="currency"
        )
    if params.amount_off and params.currency:
        check_granularity(params.amount_off, params.currency, param="amount_off")
    if (params.duration == "repeating") != (params.duration_in_months is not None):
        raise InvalidRequestError(
            "You must pass `duration_in_months` when passing `duration` as `repeating`, and only then.",
            param="duration_in_months",
        )
    if params.redeem_by is not None and params.redeem_by <= call.now:
        raise InvalidRequestError("The `redeem_by` must be in the future.", param="redeem_by")
    if params.id and call.records.get("coupon", params.id):
        raise InvalidRequestError("Coupon already exists.", code="resource_already_exists", param="id")
