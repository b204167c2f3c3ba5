"""Products and prices: what is sold."""

from typing import Annotated, Any, Literal

from pydantic import Field

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
    Flag,
    Listed,
    Metadata,
    NoParams,
    Params,
    Part,
    Text,
    Texts,
    Whole,
    merged,
)
from deploy.stripe_sandbox.routes import Routes

routes = Routes()

Amount = Annotated[Whole, Field(ge=0)]
TaxBehavior = Literal["exclusive", "inclusive", "unspecified"]
PRODUCT_PLAIN = ("active", "description", "images", "marketing_features", "name", "shippable", "statement_descriptor",
                 "unit_label", "url")  # fmt: skip


class Feature(Part):
    """A line of what a product offers."""

    name: Text


class Interval(Part):
    """How often a price is paid."""

    interval: Literal["day", "week", "month", "year"]
    interval_count: Annotated[Whole, Field(ge=1)] = 1


class Recurring(Interval):
    """How often a price is paid, and for what."""

    usage_type: Literal["licensed"] = "licensed"


class DefaultPriceData(Part):
    """The price that a new product begins with."""

    currency: Currency
    unit_amount: Amount
    metadata: Metadata = {}
    recurring: Interval | None = None
    tax_behavior: TaxBehavior = "unspecified"


class ProductFields(Params):
    """What a product can be told to be."""

    active: Flag = True
    description: ClearableText = None
    images: Texts = ()
    marketing_features: Annotated[tuple[Feature, ...], Listed] = ()
    shippable: Flag | None = None
    statement_descriptor: Text | None = None
    unit_label: ClearableText = None
    url: ClearableText = None


class ProductCreate(ProductFields):
    """A new product; its id may be the caller's own."""

    name: Text
    id: Text | None = None
    default_price_data: DefaultPriceData | None = None
    metadata: Metadata = {}


class ProductUpdate(ProductFields):
    """A change of a product."""

    name: Text | None = None
    default_price: Text | None = None
    metadata: ClearableMetadata = {}


class ProductList(ListParams):
    """What a list of products can be narrowed by."""

    active: Flag | None = None
    created: Created | None = None
    ids: Texts = ()


class ProductData(Part):
    """A product made together with its price."""

    name: Text
    active: Flag = True
    id: Text | None = None
    metadata: Metadata = {}
    statement_descriptor: Text | None = None
    unit_label: Text | None = None


class PriceFields(Params):
    """What can be said of a price at any time."""

    active: Flag = True
    lookup_key: Annotated[Text, Field(max_length=200)] | None = None
    nickname: Text | None = None
    tax_behavior: TaxBehavior = "unspecified"
    transfer_lookup_key: Flag = False


class PriceCreate(PriceFields):
    """A new price, of a product there is or of one made with it."""

    currency: Currency
    unit_amount: Amount
    product: Text | None = None
    product_data: ProductData | None = None
    recurring: Recurring | None = None
    metadata: Metadata = {}


class PriceUpdate(PriceFields):
    """A change of a price; what it costs never changes."""

    metadata: ClearableMetadata = {}


class RecurringFilter(Part):
    """Which intervals a list of prices lets through."""

    interval: Literal["day", "week", "month", "year"] | None = None


class PriceList(ListParams):
    """What a list of prices can be narrowed by."""

    active: Flag | None = None
    created: Created | None = None
    currency: Currency | None = None
    lookup_keys: Annotated[Texts, Field(max_length=10)] = ()
    product: Text | None = None
    recurring: RecurringFilter | None = None
    type: Literal["one_time", "recurring"] | None = None


@routes.post("/v1/products")
def create_product(call: Call, params: ProductCreate) -> Object:
    """Make a product, with its default price if one is described."""
    product = new_product(call, params.id, metadata=merged({}, params.metadata), **params.given(*PRODUCT_PLAIN))
    if params.default_price_data is None:
        return product
    price = new_price(call, product, **params.default_price_data.model_dump())
    return call.put(product, default_price=price["id"])


@routes.get("/v1/products")
def list_products(call: Call, params: ProductList) -> Object:
    """List products."""

    def wanted(product: Object) -> bool:
        return (
            not product.get("deleted")
            and params.active in (None, product["active"])
            and (not params.ids or product["id"] in params.ids)
            and (params.created is None or params.created.holds(product["created"]))
        )

    return page(call, "product", params, where=wanted, url="/v1/products")


@routes.get("/v1/products/{id}")
def retrieve_product(call: Call, _params: Params, id: str) -> Object:
    """Give a product."""
    return call.find("product", id)


@routes.post("/v1/products/{id}")
def update_product(call: Call, params: ProductUpdate, id: str) -> Object:
    """Change a product."""
    before = _living_product(call, id)
    if params.default_price and call.named("price", params.default_price, "default_price")["product"] != id:
        raise InvalidRequestError("The price specified is not of this product.", param="default_price")
    given = params.given(*PRODUCT_PLAIN, "default_price")
    after = call.put(before, **given, metadata=merged(before["metadata"], params.metadata), updated=call.now)
    emit(call, "product.updated", after, previous=changed(before, after))
    return after


@routes.delete("/v1/products/{id}")
def delete_product(call: Call, _params: NoParams, id: str) -> Object:
    """Delete a product that has no price."""
    product = _living_product(call, id)
    if any(price["product"] == id for price in call.records.newest_first("price")):
        raise InvalidRequestError(
            "This product cannot be deleted because it has one or more user-created prices.", param="id"
        )
    gone = shapes.deleted(product)
    call.records.put(gone)
    emit(call, "product.deleted", product)
    return gone


@routes.post("/v1/prices")
def create_price(call: Call, params: PriceCreate) -> Object:
    """Make a price."""
    if (params.product is None) == (params.product_data is None):
        raise InvalidRequestError(
            "You must specify either `product` or `product_data` when creating a price.", param="product"
        )
    _take_lookup_key(call, params, None)
    if params.product_data:
        data = params.product_data.model_dump(exclude={"id"}, exclude_none=True)
        product = new_product(call, params.product_data.id, **data)
    else:
        product = call.named("product", params.product or "", "product")
    given = params.given("active", "lookup_key", "nickname", "tax_behavior", "recurring", "currency", "unit_amount")
    return new_price(call, product, metadata=merged({}, params.metadata), **given)


@routes.get("/v1/prices")
def list_prices(call: Call, params: PriceList) -> Object:
    """List prices."""
    return page(call, "price", params, where=lambda price: _is_wanted(price, params), url="/v1/prices")


@routes.get("/v1/prices/{price}")
def retrieve_price(call: Call, _params: Params, price: str) -> Object:
    """Give a price."""
    return call.find("price", price)


@routes.post("/v1/prices/{price}")
def update_price(call: Call, params: PriceUpdate, price: str) -> Object:
    """Change what is said of a price."""
    before = call.find("price", price)
    _take_lookup_key(call, params, price)
    given = params.given("active", "lookup_key", "nickname", "tax_behavior")
    after = call.put(before, **given, metadata=merged(before["metadata"], params.metadata))
    emit(call, "price.updated", after, previous=changed(before, after))
    return after


def new_product(call: Call, id_of_caller: str | None, **given: Any) -> Object:
    """Make a product, under the caller's id if there is one."""
    if id_of_caller and call.records.get("product", id_of_caller):
        raise InvalidRequestError("Product already exists.", code="resource_already_exists", param="id")
    product = call.put(shapes.product(id_of_caller or new_id("prod", 14), created=call.now, **given))
    emit(call, "product.created", product)
    return product


def new_price(call: Call, product: Object, *, unit_amount: int, **given: Any) -> Object:
    """Make a price of a product."""
    check_granularity(unit_amount, given["currency"], param="unit_amount")
    price = call.put(
        shapes.price(
            new_id("price"),
            created=call.now,
            product=product["id"],
            type="recurring" if given.get("recurring") else "one_time",
            unit_amount=unit_amount,
            unit_amount_decimal=str(unit_amount),
            **{**given, "recurring": _shown_recurring(given.get("recurring"))},
        )
    )
    emit(call, "price.created", price)
    return price


def _shown_recurring(given: Object | None) -> Object | None:
    if given is None:
        return None
    return {"interval_count": 1, "usage_type": "licensed", **given, "meter": None}


def _living_product(call: Call, name: str) -> Object:
    product = call.find("product", name)
    if product.get("deleted"):
        raise NotFoundError("product", name, "id")
    return product


def _is_wanted(price: Object, params: PriceList) -> bool:
    interval = params.recurring.interval if params.recurring else None
    return (
        params.active in (None, price["active"])
        and params.currency in (None, price["currency"])
        and params.product in (None, price["product"])
        and params.type in (None, price["type"])
        and (not params.lookup_keys or price["lookup_key"] in params.lookup_keys)
        and (interval is None or (price["recurring"] or {}).get("interval") == interval)
        and (params.created is None or params.created.holds(price["created"]))
    )


def _take_lookup_key(call: Call, params: PriceFields, price: str | None) -> None:
    """Make sure that no other price has the key, or take it away from the one that has."""
    if params.lookup_key is None:
        return
    for holder in call.records.newest_first("price"):
        if holder["lookup_key"] != params.lookup_key or holder["id"] == price:
            continue
        if not params.transfer_lookup_key:
            raise InvalidRequestError(f"A price (`{holder['id']}`) already uses that lookup key.", param="lookup_key")
        emit(call, "price.updated", call.put(holder, lookup_key=None), previous={"lookup_key": params.lookup_key})
