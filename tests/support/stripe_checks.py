"""What passed between a Stripe client and the sandbox, held against Stripe's own description and types."""

import sys
import typing
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import orjson
import stripe
from pydantic import TypeAdapter, ValidationError
from stripe._stripe_context import StripeContext
from typing_extensions import is_typeddict

from deploy.stripe_sandbox.settings import API_VERSION
from tests.contract.stripe.stripe_spec import StripeSpec

Object = dict[str, Any]

CONTRACT = Path(__file__).parent.parent / "contract" / "stripe"

TYPES = {
    "POST /v1/customers": "CustomerCreateParams",
    "POST /v1/customers/{customer}": "CustomerUpdateParams",
    "GET /v1/customers": "CustomerListParams",
    "GET /v1/customers/search": "CustomerSearchParams",
    "GET /v1/customers/{customer}/payment_methods": "CustomerListPaymentMethodsParams",
    "POST /v1/products": "ProductCreateParams",
    "POST /v1/products/{id}": "ProductUpdateParams",
    "GET /v1/products": "ProductListParams",
    "POST /v1/prices": "PriceCreateParams",
    "POST /v1/prices/{price}": "PriceUpdateParams",
    "GET /v1/prices": "PriceListParams",
    "POST /v1/payment_methods": "PaymentMethodCreateParams",
    "POST /v1/payment_methods/{payment_method}": "PaymentMethodUpdateParams",
    "POST /v1/payment_methods/{payment_method}/attach": "PaymentMethodAttachParams",
    "POST /v1/payment_methods/{payment_method}/detach": "PaymentMethodDetachParams",
    "GET /v1/payment_methods": "PaymentMethodListParams",
    "POST /v1/payment_intents": "PaymentIntentCreateParams",
    "POST /v1/payment_intents/{intent}": "PaymentIntentUpdateParams",
    "POST /v1/payment_intents/{intent}/confirm": "PaymentIntentConfirmParams",
    "POST /v1/payment_intents/{intent}/cancel": "PaymentIntentCancelParams",
    "GET /v1/payment_intents": "PaymentIntentListParams",
    "GET /v1/payment_intents/search": "PaymentIntentSearchParams",
    "GET /v1/payment_intents/{intent}": "PaymentIntentRetrieveParams",
    "GET /v1/charges": "ChargeListParams",
    "POST /v1/checkout/sessions": "checkout.SessionCreateParams",
    "POST /v1/checkout/sessions/{session}": "checkout.SessionUpdateParams",
    "POST /v1/checkout/sessions/{session}/expire": "checkout.SessionExpireParams",
    "GET /v1/checkout/sessions": "checkout.SessionListParams",
    "GET /v1/checkout/sessions/{session}/line_items": "checkout.SessionListLineItemsParams",
    "POST /v1/refunds": "RefundCreateParams",
    "POST /v1/refunds/{refund}": "RefundUpdateParams",
    "GET /v1/refunds": "RefundListParams",
    "POST /v1/disputes/{dispute}": "DisputeUpdateParams",
    "GET /v1/disputes": "DisputeListParams",
    "GET /v1/radar/early_fraud_warnings": "radar.EarlyFraudWarningListParams",
    "POST /v1/setup_intents": "SetupIntentCreateParams",
    "POST /v1/setup_intents/{intent}": "SetupIntentUpdateParams",
    "POST /v1/setup_intents/{intent}/confirm": "SetupIntentConfirmParams",
    "POST /v1/setup_intents/{intent}/cancel": "SetupIntentCancelParams",
    "GET /v1/setup_intents": "SetupIntentListParams",
    "GET /v1/setup_intents/{intent}": "SetupIntentRetrieveParams",
    "POST /v1/coupons": "CouponCreateParams",
    "POST /v1/coupons/{coupon}": "CouponUpdateParams",
    "GET /v1/coupons": "CouponListParams",
    "POST /v1/promotion_codes": "PromotionCodeCreateParams",
    "POST /v1/promotion_codes/{promotion_code}": "PromotionCodeUpdateParams",
    "GET /v1/promotion_codes": "PromotionCodeListParams",
    "GET /v1/balance_transactions": "BalanceTransactionListParams",
    "GET /v1/events": "EventListParams",
    "POST /v1/webhook_endpoints": "WebhookEndpointCreateParams",
    "POST /v1/webhook_endpoints/{webhook_endpoint}": "WebhookEndpointUpdateParams",
    "GET /v1/webhook_endpoints": "WebhookEndpointListParams",
}
"""Which typed dict of Stripe's Python client describes the parameters of a call."""

IN_SAMPLES_BUT_NOT_IN_THE_DESCRIPTION = {"/recurring/trial_period_days"}


@cache
def spec() -> StripeSpec:
    """Load Stripe's description once; it is one version older than what is spoken, whose name it cannot know."""
    loaded = StripeSpec(str(CONTRACT / "spec3.subset.json"), fast=True, endive=True)
    endpoint = loaded.doc["paths"]["/v1/webhook_endpoints"]["post"]["requestBody"]["content"]
    endpoint["application/x-www-form-urlencoded"]["schema"]["properties"]["api_version"]["enum"].append(API_VERSION)
    return loaded


@cache
def samples() -> dict[str, Object]:
    """Load Stripe's sample objects once."""
    resources: dict[str, Object] = orjson.loads((CONTRACT / "fixtures3.subset.json").read_bytes())["resources"]
    resources["event"]["data"] = {}  # the sample tells of a plan; what an event tells of is checked by itself
    return resources


@dataclass
class Audit:
    """Goes through all that a sandbox was asked, answered and told, each time from where it was."""

    sandbox_url: str
    _exchanges: set[int] = field(default_factory=set)
    _last_event: dict[str, str] = field(default_factory=dict)

    async def problems(self) -> list[str]:
        """Give every problem with what is new; what was asked earlier may be answered later."""
        async with httpx2.AsyncClient(base_url=self.sandbox_url, timeout=60) as http:
            exchanges = (await http.get("/sandbox/requests", params={"after": self._all_until()})).json()["data"]
            events = (await http.get("/sandbox/events", params=self._last_event)).json()["data"]
        new = [exchange for exchange in exchanges if exchange["number"] not in self._exchanges]
        self._exchanges |= {exchange["number"] for exchange in new}
        self._last_event = {"after": events[-1]["id"]} if events else self._last_event
        return problems(new, events)

    def _all_until(self) -> int:
        return next(number for number in count() if number + 1 not in self._exchanges)


def problems(exchanges: list[Object], events: list[Object], *, refusals_expected: bool = False) -> list[str]:
    """Give every problem with these requests, their answers and these events; each says where it was found.

    `refusals_expected` leaves out requests that the sandbox refused as malformed, for tests that mean them so.
    """
    found = []
    for exchange in exchanges:
        if not (refusals_expected and exchange["status"] in (400, 404)):
            found += request_problems(exchange)
        found += answer_problems(exchange)
    for event in events:
        found += [f"event {event['type']} {event['id']}: {problem}" for problem in event_problems(event)]
    return found


def request_problems(exchange: Object) -> list[str]:
    """Check a request's parameters against the description and against the Python client's types."""
    method, path = exchange["method"], exchange["path"]
    url = f"{path}?{exchange['query']}" if exchange["query"] else path
    params, wrong = spec().check_request(method, url, exchange["body"])
    hit = spec().find(method, path)
    typed = TYPES.get(f"{method} {hit[2]}") if hit else None
    if typed and not wrong and not exchange["publishable"]:  # the types are a server's; a browser sends its secret too
        wrong = _type_problems(typed, params)
    return [f"request {exchange['number']} {method} {path}: {problem}" for problem in wrong]


def answer_problems(exchange: Object) -> list[str]:
    """Check an answer against the description and against Stripe's samples, and that no 500 is unexplained."""
    if exchange["status"] is None or spec().find(exchange["method"], exchange["path"]) is None:
        return []
    answer = exchange["answer"]
    wrong = list(spec().check_response(exchange["method"], exchange["path"], exchange["status"], answer))
    if exchange["status"] >= 500 and exchange["fault"] is None and not exchange["replayed"]:
        wrong.append("the sandbox broke")
    if not exchange["publishable"]:
        wrong += lacking(answer)
    return [f"answer {exchange['number']} {exchange['method']} {exchange['path']}: {problem}" for problem in wrong]


def event_problems(event: Object) -> list[str]:
    """Check an event, what it tells of, and its type."""
    wrong = list(spec().check_event(event)) + lacking(event)
    if event["type"] not in spec().event_types():
        wrong.append(f"there is no event type {event['type']}")
    return wrong


def lacking(value: Any, where: str = "") -> list[str]:
    """Give the fields that Stripe's samples have and an answer lacks, in every object within it."""
    if isinstance(value, list):
        return [each for place, item in enumerate(value) for each in lacking(item, f"{where}/{place}")]
    if not isinstance(value, dict):
        return []
    found = [f"{where}{missing}: missing" for missing in _missing(value)]
    for name, item in value.items():
        found += lacking(item, f"{where}/{name}")
    return found


def _missing(item: Object) -> list[str]:
    kind = item.get("object")
    if not isinstance(kind, str):
        return []
    sample = samples().get(f"deleted_{kind}" if item.get("deleted") else kind)
    if sample is None:
        return []
    if kind == "event":
        item = {**item, "data": {}}
    lost = set(spec().missing(item, sample)) - IN_SAMPLES_BUT_NOT_IN_THE_DESCRIPTION
    return sorted(each for each in lost if not _belongs_to_another_kind(item, each))


def _belongs_to_another_kind(item: Object, missing: str) -> bool:
    """Samples are paid by card; what is paid otherwise carries its own hash in place of `card`."""
    parts = missing.strip("/").split("/")
    for part in parts[:-1]:
        item = item[part]
    return parts[-1] == "card" and item.get("type") not in (None, "card")


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    cls: Any = stripe.params
    for part in name.split("."):
        cls = getattr(cls, part)
    module = sys.modules[cls.__module__]
    for each in vars(module).values():
        if is_typeddict(each):
            each.__pydantic_config__ = {"extra": "forbid", "arbitrary_types_allowed": True}
    adapter: TypeAdapter[Any] = TypeAdapter(cls)
    adapter.rebuild(_types_namespace={**vars(typing), **vars(module), "StripeContext": StripeContext})
    return adapter


def _type_problems(name: str, params: Object) -> list[str]:
    try:
        _adapter(name).validate_python(params)
    except ValidationError as error:
        return [f"{name}: {'/'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
    return []
