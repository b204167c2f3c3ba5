"""What a Checkout session sells, and for how much after its discount."""

from deploy.stripe_sandbox import shapes
from deploy.stripe_sandbox.amounts import check_amount
from deploy.stripe_sandbox.call import Call
from deploy.stripe_sandbox.catalogue import new_price, new_product
from deploy.stripe_sandbox.checkout_parameters import Discount, InlinePrice, LineItem, SessionCreate
from deploy.stripe_sandbox.coupons import amount_off, is_valid
from deploy.stripe_sandbox.errors import InvalidRequestError, Object
from deploy.stripe_sandbox.ids import new_id
from deploy.stripe_sandbox.promotion_codes import active_code, check_redeemable


def sold(call: Call, params: SessionCreate) -> Object:
    """Give the fields of a session that sells these things, with their discount if one is named."""
    lines = [_line(call, item, place) for place, item in enumerate(params.line_items or ())]
    currencies = {line["currency"] for line in lines}
    if len(currencies | ({params.currency} if params.currency else set())) > 1:
        raise InvalidRequestError("All line items must have the same currency.", param="line_items")
    [currency] = currencies
    discount = _chosen(params.discounts[0]) if params.discounts else None
    fields = {"currency": currency, "customer": params.customer, "_line_items": lines}
    return {**fields, **priced(call, fields, discount)}


def priced(call: Call, session: Object, discount: Object | None) -> Object:
    """Give the amounts of a session and its lines less this discount; raises InvalidRequestError if it is none."""
    lines, currency = session["_line_items"], session["currency"]
    subtotal = sum(line["amount_subtotal"] for line in lines)
    off = amount_off(_coupon(call, session, discount, subtotal), subtotal, currency) if discount else 0
    check_amount(subtotal - off, currency)
    return {
        "amount_subtotal": subtotal,
        "amount_total": subtotal - off,
        "discounts": [discount] if discount else [],
        "total_details": {"amount_discount": off, "amount_shipping": 0, "amount_tax": 0},
        "_line_items": _spread(lines, off, subtotal),
    }


def discount_of_code(call: Call, typed: str) -> Object:
    """Give the discount of a code that somebody typed; raises InvalidRequestError if there is none."""
    code = active_code(call, typed)
    if code is None:
        raise InvalidRequestError("This code is invalid.", param="promotion_code")
    return {"coupon": None, "promotion_code": code["id"]}


def redeem(call: Call, session: Object) -> None:
    """Count the redemption of a session's coupon and code."""
    for discount in session["discounts"]:
        name = discount["coupon"]
        if code := call.records.get("promotion_code", discount["promotion_code"] or ""):
            call.put(code, times_redeemed=code["times_redeemed"] + 1)
            name = code["promotion"]["coupon"]
        coupon = call.records.get("coupon", name)
        if coupon and not coupon.get("deleted"):
            call.put(coupon, times_redeemed=coupon["times_redeemed"] + 1)


def _chosen(given: Discount) -> Object:
    if (given.coupon is None) == (given.promotion_code is None):
        raise InvalidRequestError("You must specify either `coupon` or `promotion_code`.", param="discounts[0]")
    return given.model_dump()


def _coupon(call: Call, session: Object, discount: Object, subtotal: int) -> Object:
    if discount["promotion_code"]:
        code = call.named("promotion_code", discount["promotion_code"], "discounts[0][promotion_code]")
        check_redeemable(call, code, customer=session["customer"], amount=subtotal, currency=session["currency"])
        return call.named("coupon", code["promotion"]["coupon"], "discounts[0][promotion_code]")
    coupon = call.named("coupon", discount["coupon"], "discounts[0][coupon]")
    if not is_valid(call, coupon):
        raise InvalidRequestError(
            f"Coupon expired: {coupon['id']}", code="coupon_expired", param="discounts[0][coupon]"
        )
    return coupon


def _spread(lines: list[Object], off: int, subtotal: int) -> list[Object]:
    """Spread a discount over lines by their amounts, so that the parts add up to it."""
    result, before = [], 0
    for line in lines:
        until = before + line["amount_subtotal"]
        part = off * until // subtotal - off * before // subtotal
        result.append({**line, "amount_discount": part, "amount_total": line["amount_subtotal"] - part})
        before = until
    return result


def _line(call: Call, item: LineItem, place: int) -> Object:
    price = _price(call, item, f"line_items[{place}]")
    product = call.named("product", price["product"], f"line_items[{place}][price]")
    amount = price["unit_amount"] * item.quantity
    return shapes.line_item(
        new_id("li"),
        amount_subtotal=amount,
        amount_total=amount,
        currency=price["currency"],
        description=product["name"],
        metadata=item.metadata,
        price=price,
        quantity=item.quantity,
    )


def _price(call: Call, item: LineItem, param: str) -> Object:
    if (item.price is None) == (item.price_data is None):
        raise InvalidRequestError("You must specify either `price` or `price_data` for each line item.", param=param)
    if item.price_data:
        return _inline_price(call, item.price_data, param)
    price = call.named("price", item.price or "", f"{param}[price]")
    if not price["active"]:
        raise InvalidRequestError(
            "The price specified is inactive. This field only accepts active prices.", param=f"{param}[price]"
        )
    if price["type"] != "one_time":
        raise InvalidRequestError(
            "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or use "
            "only one-time prices."
        )
    return price


def _inline_price(call: Call, data: InlinePrice, param: str) -> Object:
    if (data.product is None) == (data.product_data is None):
        raise InvalidRequestError("You must specify either `product` or `product_data`.", param=f"{param}[price_data]")
    if data.product_data:
        product = new_product(call, None, active=False, **data.product_data.model_dump(exclude_none=True))
    else:
        product = call.named("product", data.product or "", f"{param}[price_data][product]")
    return new_price(call, product, unit_amount=data.unit_amount, currency=data.currency, active=False)
