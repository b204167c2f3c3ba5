"""Customers: whom payments belong to."""

from typing import Annotated, Literal

from deploy.stripe_sandbox import shapes
from deploy.stripe_sandbox.call import Call
from deploy.stripe_sandbox.errors import InvalidRequestError, NotFoundError, Object
from deploy.stripe_sandbox.events import changed, emit
from deploy.stripe_sandbox.ids import new_id
from deploy.stripe_sandbox.lists import ListParams, page
from deploy.stripe_sandbox.params import (
    Address,
    Clearable,
    ClearableMetadata,
    ClearableText,
    Created,
    Metadata,
    NoParams,
    Params,
    Part,
    Shipping,
    Text,
    Texts,
    merged,
)
from deploy.stripe_sandbox.payment_methods import attach, chosen_method
from deploy.stripe_sandbox.routes import Routes
from deploy.stripe_sandbox.search import SearchParams, search

routes = Routes()

PLAIN = ("description", "email", "name", "phone", "preferred_locales", "shipping", "address")
SEARCHED = frozenset({"created", "email", "name", "phone"})


class InvoiceSettings(Part):
    """Which method invoices are paid with."""

    default_payment_method: ClearableText = None


class CustomerFields(Params):
    """What a customer can be told to be."""

    address: Annotated[Address | None, Clearable] = None
    description: ClearableText = None
    email: ClearableText = None
    invoice_settings: InvoiceSettings | None = None
    name: ClearableText = None
    phone: ClearableText = None
    preferred_locales: Texts = ()
    shipping: Annotated[Shipping | None, Clearable] = None
    tax_exempt: Annotated[Literal["none", "exempt", "reverse"] | None, Clearable] = None


class CustomerCreate(CustomerFields):
    """A new customer."""

    metadata: Metadata = {}
    payment_method: Text | None = None


class CustomerUpdate(CustomerFields):
    """A change of a customer."""

    metadata: ClearableMetadata = {}


class CustomerList(ListParams):
    """What a list of customers can be narrowed by."""

    created: Created | None = None
    email: Text | None = None


@routes.post("/v1/customers")
def create_customer(call: Call, params: CustomerCreate) -> Object:
    """Make a customer, with a payment method if one is named."""
    customer = shapes.customer(new_id("cus", 14), created=call.now, **_plain(params))
    customer = call.put(customer, metadata=merged({}, params.metadata))
    if params.payment_method:
        attach(call, chosen_method(call, params.payment_method), customer)
    customer = _with_invoice_settings(call, customer, params)
    emit(call, "customer.created", customer)
    return customer


@routes.get("/v1/customers/search")
def search_customers(call: Call, params: SearchParams) -> Object:
    """Find customers by metadata, e-mail, name or phone."""
    return search(call, "customer", params, fields=SEARCHED, url="/v1/customers/search")


@routes.get("/v1/customers/{customer}")
def retrieve_customer(call: Call, _params: Params, customer: str) -> Object:
    """Give a customer, or what stands for a deleted one."""
    return call.find("customer", customer)


@routes.post("/v1/customers/{customer}")
def update_customer(call: Call, params: CustomerUpdate, customer: str) -> Object:
    """Change a customer."""
    before = _living(call, customer)
    after = call.put(before, **_plain(params), metadata=merged(before["metadata"], params.metadata))
    after = _with_invoice_settings(call, after, params)
    emit(call, "customer.updated", after, previous=changed(before, after))
    return after


@routes.delete("/v1/customers/{customer}")
def delete_customer(call: Call, _params: NoParams, customer: str) -> Object:
    """Delete a customer; its payments stay."""
    before = _living(call, customer)
    gone = shapes.deleted(before)
    call.records.put(gone)
    emit(call, "customer.deleted", before)
    return gone


@routes.get("/v1/customers")
def list_customers(call: Call, params: CustomerList) -> Object:
    """List customers."""

    def wanted(customer: Object) -> bool:
        return (
            not customer.get("deleted")
            and params.email in (None, customer["email"])
            and (params.created is None or params.created.holds(customer["created"]))
        )

    return page(call, "customer", params, where=wanted, url="/v1/customers")


def _living(call: Call, name: str) -> Object:
    customer = call.find("customer", name)
    if customer.get("deleted"):
        raise NotFoundError("customer", name, "id")
    return customer


def _plain(params: CustomerFields) -> Object:
    given = params.given(*PLAIN)
    if "tax_exempt" in params.model_fields_set:
        given["tax_exempt"] = params.tax_exempt or "none"
    return given


def _with_invoice_settings(call: Call, customer: Object, params: CustomerFields) -> Object:
    if params.invoice_settings is None:
        return customer
    method = params.invoice_settings.default_payment_method
    if (
        method
        and call.named("payment_method", method, "invoice_settings[default_payment_method]")["customer"]
        != customer["id"]
    ):
        raise InvalidRequestError(
            f"The customer does not have a payment method with the ID {method}. The payment method must be attached to "
            "the customer.",
            code="resource_missing",
            param="invoice_settings[default_payment_method]",
        )
    return call.put(customer, invoice_settings={**customer["invoice_settings"], "default_payment_method": method})
