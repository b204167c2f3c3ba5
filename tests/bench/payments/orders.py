"""Purchases that wait to be paid, what Stripe tells when they are, and Stripe's own books of them.

Each is of a customer of its own. Rows are written by the payments service's own statements; what Stripe has, into the
sandbox's journal.
"""

import hmac
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import asyncpg
import orjson
import yaml

from deploy.embedded.stack import Stack
from deploy.stripe_sandbox import money, shapes
from deploy.stripe_sandbox.errors import Object
from deploy.stripe_sandbox.journal import Journal
from libs.chassis.pool import set_up
from libs.contracts import ids
from libs.contracts.catalogue import Catalogue
from libs.contracts.http.payments_v1 import Buyer, PurchaseOrder, Quote, StartPurchase
from services.gateway.api.webhooks import PATH
from services.payments.clients.stripe import API_VERSION
from services.payments.domain.quotes import quote
from services.payments.store import customers, purchases

ORDER = PurchaseOrder(pack="pro")


@dataclass(frozen=True, slots=True)
class Order:
    """A purchase of ours, and what it is called at Stripe."""

    name: str
    account: str
    user: str
    payment: str
    customer: str
    price_minor: int


async def place(stack: Stack, number: int) -> list[Order]:
    """Record purchases as the service does once Stripe has made their payments."""
    catalogue = Catalogue.of(yaml.safe_load(stack.settings.catalogue.read_text()))
    offer = quote(catalogue, ORDER)
    conn = await asyncpg.connect(stack.databases["payments"].app_url)
    await set_up(conn)
    async with conn.transaction():
        placed = [await _place(conn, offer) for _ in range(number)]
    await conn.close()
    return placed


async def _place(conn: "asyncpg.Connection[asyncpg.Record]", offer: Quote) -> Order:
    now, id = datetime.now(UTC), ids.new_id()
    buyer = Buyer.model_validate(
        {
            "account": ids.show("account", ids.new_id()),
            "user": ids.show("user", ids.new_id()),
            "email": f"{id.hex}@example.com",
            "name": "Bench",
        }
    )
    payment, customer = f"pi_{id.hex[8:]}", f"cus_{id.hex[18:]}"
    request = StartPurchase(buyer=buyer, order=ORDER)
    await customers.intend(conn, buyer, livemode=False, at=now)
    await customers.know(conn, buyer.account, livemode=False, stripe_customer=customer)
    expires_at = now + timedelta(days=1)
    await purchases.insert(conn, id, request, offer, livemode=False, takes_back=True, at=now, expires_at=expires_at)
    await purchases.know_payment_intent(conn, id, payment_intent=payment, client_secret=f"{payment}_secret_bench")
    account, user = ids.show("account", buyer.account), ids.show("user", buyer.user)
    return Order(ids.show("purchase", id), account, user, payment, customer, offer.price.amount_minor)


def webhooks(stack: Stack, orders: Iterable[Order]) -> list[bytes]:
    """Write the requests by which Stripe tells that they are paid, signed now."""
    secret = stack.environment("gateway")["STRIPE_WEBHOOK_SECRET"].encode()
    return [_request(orjson.dumps(event(order)), secret) for order in orders]


def event(order: Order) -> Object:
    """Make the event that an order is paid."""
    now = int(time.time())
    return shapes.event(
        f"evt_{order.payment[3:]}",
        created=now,
        api_version=API_VERSION,
        type="payment_intent.succeeded",
        data={"object": _intent(order, now)},
    )


def made_up(number: int) -> list[Order]:
    """Make up orders that no purchase of ours stands behind."""
    names = [ids.new_id() for _ in range(number)]
    return [
        Order(
            ids.show("purchase", id),
            ids.show("account", id),
            ids.show("user", id),
            f"pi_{id.hex[8:]}",
            f"cus_{id.hex[18:]}",
            2499,
        )
        for id in names
    ]


def enter(journal: Path, orders: Sequence[Order]) -> None:
    """Enter the orders' charges into the books of a Stripe that is not running."""
    books = Journal(journal)
    now = int(time.time())
    books.save((item["object"], item["id"], item) for order in orders for item in _entries(order, now))
    books.close()


def _request(body: bytes, secret: bytes) -> bytes:
    now = int(time.time())
    signature = hmac.new(secret, b"%d.%s" % (now, body), sha256).hexdigest()
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json; charset=utf-8\r\n"
        f"Stripe-Signature: t={now},v1={signature}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _intent(order: Order, now: int) -> Object:
    return shapes.payment_intent(
        order.payment,
        created=now,
        amount=order.price_minor,
        amount_received=order.price_minor,
        customer=order.customer,
        latest_charge=f"ch_{order.payment[3:]}",
        metadata=_metadata(order),
        status="succeeded",
    )


def _entries(order: Order, now: int) -> list[Object]:
    fee, entry, charge = money.fee(order.price_minor), f"txn_{order.payment[3:]}", f"ch_{order.payment[3:]}"
    return [
        _intent(order, now),
        shapes.charge(
            charge,
            created=now,
            amount=order.price_minor,
            amount_captured=order.price_minor,
            balance_transaction=entry,
            captured=True,
            customer=order.customer,
            metadata=_metadata(order),
            paid=True,
            payment_intent=order.payment,
            status="succeeded",
        ),
        shapes.balance_transaction(
            entry, created=now, amount=order.price_minor, fee=fee, net=order.price_minor - fee, source=charge
        ),
    ]


def _metadata(order: Order) -> dict[str, str]:
    return {"account": order.account, "user": order.user, "purchase": order.name}
