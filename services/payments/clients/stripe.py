"""Every call to Stripe about money, one method each. Nothing of Stripe's library is seen outside this folder.

Each POST carries an idempotency key made of our own id, so that a repeated step is the same step. What a lost answer
was about is found by listing the customer's objects: a list is never behind its writes, Stripe's search may be.
"""

from typing import TYPE_CHECKING
from uuid import UUID

from stripe import HTTPXClient, StripeClient

from libs.contracts import ids
from services.payments.clients.stripe_calls import (
    StripeMisusedError,
    StripeOutcomeUnknownError,
    StripeRefusedError,
    StripeUnavailableError,
)
from services.payments.clients.stripe_calls import call as _call
from services.payments.clients.stripe_calls import once as _once
from services.payments.domain.customers import Customer
from services.payments.domain.purchases import CancellationReason, Purchase
from services.payments.domain.refunds import Refund
from services.payments.domain.stripe_objects import CheckoutSession, PaymentIntent, StripeDispute, StripeRefund

if TYPE_CHECKING:
    from stripe._v1_services import V1Services
    from stripe.params import (
        CustomerCreateParams,
        PaymentIntentCreateParams,
        PaymentIntentListParams,
        RefundCreateParams,
    )
    from stripe.params import PaymentIntentListParamsCreated as Created
    from stripe.params.checkout import SessionCreateParams, SessionCreateParamsLineItemPriceData, SessionListParams

__all__ = [
    "API_VERSION",
    "Stripe",
    "StripeMisusedError",
    "StripeOutcomeUnknownError",
    "StripeRefusedError",
    "StripeUnavailableError",
]

API_VERSION = "2026-10-28.endive"
"""The version of Stripe's API whose fields we read; the webhook endpoint is to be made with the same one."""

_PAGE = 100


class Stripe:
    """Speaks to Stripe, or to what stands in for it under another address."""

    def __init__(
        self, secret_key: str, *, api_base: str | None = None, timeout_seconds: float = 8, retries: int = 2
    ) -> None:
        self._http = HTTPXClient(timeout=timeout_seconds)
        self._api = StripeClient(
            secret_key,
            stripe_version=API_VERSION,
            max_network_retries=retries,
            http_client=self._http,
            base_addresses={"api": api_base.rstrip("/")} if api_base else None,
        ).v1
        self.livemode = secret_key.startswith(("sk_live_", "rk_live_"))

    @property
    def api(self) -> "V1Services":
        """Stripe's client, for the other files of this folder."""
        return self._api

    async def start(self) -> None:
        """Nothing to begin: connections are made on first need."""

    async def stop(self) -> None:
        """Close the connections."""
        await self._http.close_async()  # type: ignore[no-untyped-call] # Stripe leaves it without types

    async def create_customer(self, customer: Customer) -> str:
        """Make the customer of an account; returns Stripe's id."""
        params: CustomerCreateParams = {
            "email": customer.email,
            "name": customer.name,
            "metadata": _whose(customer.account, customer.user),
        }
        key = f"customer:{ids.show('account', customer.account)}"
        async with _call("customers.create", changes=True):
            return (await self._api.customers.create_async(params, _once(key))).id

    async def find_customer(self, customer: Customer) -> str | None:
        """Find the customer that a lost answer was about."""
        wanted = ids.show("account", customer.account)
        async with _call("customers.list", changes=False):
            page = await self._api.customers.list_async({"email": customer.email, "limit": _PAGE})
            async for found in page.auto_paging_iter():
                if found.to_dict().get("metadata", {}).get("account") == wanted:
                    return found.id
        return None

    async def create_payment_intent(self, purchase: Purchase, *, customer: str) -> PaymentIntent:
        """Make the payment of a purchase; the buyer confirms it in Stripe's Elements, or has named a saved card.

        A saved card is confirmed by us, so nothing may lead the buyer to another page.
        """
        params: PaymentIntentCreateParams = {
            "amount": purchase.quote.price.amount_minor,
            "currency": purchase.quote.price.currency,
            "customer": customer,
            "description": purchase.quote.description,
            "automatic_payment_methods": {"enabled": True},
            "metadata": _whose_purchase(purchase),
        }
        if purchase.paying.card is not None:
            params["payment_method"] = purchase.paying.card
            params["automatic_payment_methods"] = {"enabled": True, "allow_redirects": "never"}
        if purchase.paying.saves:
            params["setup_future_usage"] = "off_session"
        async with _call("payment_intents.create", changes=True):
            made = await self._api.payment_intents.create_async(params, _once(_key(purchase, "payment_intent")))
        return PaymentIntent.model_validate(made.to_dict())

    async def confirm_payment_intent(self, purchase: Purchase, payment_intent: str) -> None:
        """Confirm a payment with the saved card that it was made with; the buyer is there to answer his bank.

        Raises StripeRefusedError if the card is declined, or the payment was confirmed before.
        """
        key = _once(_key(purchase, f"confirm:{purchase.looks}"))
        async with _call("payment_intents.confirm", changes=True):
            await self._api.payment_intents.confirm_async(
                payment_intent, {"off_session": False, "use_stripe_sdk": True}, key
            )

    async def payment_intent(self, payment_intent: str) -> PaymentIntent:
        """Read a payment, with its charge if there is one."""
        async with _call("payment_intents.retrieve", changes=False):
            found = await self._api.payment_intents.retrieve_async(payment_intent, {"expand": ["latest_charge"]})
        return PaymentIntent.model_validate(found.to_dict())

    async def find_payment_intent(self, purchase: Purchase, *, customer: str) -> PaymentIntent | None:
        """Find the payment that a lost answer was about."""
        params: PaymentIntentListParams = {"customer": customer, "created": _since(purchase), "limit": _PAGE}
        async with _call("payment_intents.list", changes=False):
            page = await self._api.payment_intents.list_async(params)
            async for found in page.auto_paging_iter():
                intent = PaymentIntent.model_validate(found.to_dict())
                if intent.ours("purchase") == purchase.id:
                    return intent
        return None

    async def cancel_payment_intent(self, purchase: Purchase, payment_intent: str, reason: CancellationReason) -> None:
        """Cancel a payment. Raises StripeRefusedError if it is paid, canceled, or on its way."""
        async with _call("payment_intents.cancel", changes=True):
            await self._api.payment_intents.cancel_async(
                payment_intent,
                {"cancellation_reason": reason},
                _once(_key(purchase, f"cancel:{reason}:{purchase.looks}")),
            )

    async def create_checkout_session(self, purchase: Purchase, *, customer: str) -> CheckoutSession:
        """Make a hosted payment page for a purchase."""
        params: SessionCreateParams = {
            "mode": "payment",
            "ui_mode": "hosted_page",
            "customer": customer,
            "client_reference_id": ids.show("purchase", purchase.id),
            "line_items": [{"quantity": 1, "price_data": _price_data(purchase)}],
            "metadata": _whose_purchase(purchase),
            "payment_intent_data": {
                "description": purchase.quote.description,
                "metadata": _whose_purchase(purchase),
            },
            "expires_at": int(purchase.expires_at.timestamp()),
            "success_url": purchase.return_url or "",
        }
        if purchase.paying.saves:
            params["payment_intent_data"]["setup_future_usage"] = "off_session"
        if purchase.cancel_url is not None:
            params["cancel_url"] = purchase.cancel_url
        async with _call("checkout.sessions.create", changes=True):
            made = await self._api.checkout.sessions.create_async(params, _once(_key(purchase, "checkout")))
        return CheckoutSession.model_validate(made.to_dict())

    async def checkout_session(self, session: str) -> CheckoutSession:
        """Read a payment page, with its payment if somebody has begun to pay."""
        async with _call("checkout.sessions.retrieve", changes=False):
            found = await self._api.checkout.sessions.retrieve_async(
                session, {"expand": ["payment_intent.latest_charge"]}
            )
        return CheckoutSession.model_validate(found.to_dict())

    async def find_checkout_session(self, purchase: Purchase, *, customer: str) -> CheckoutSession | None:
        """Find the payment page that a lost answer was about."""
        params: SessionListParams = {"customer": customer, "created": _since(purchase), "limit": _PAGE}
        async with _call("checkout.sessions.list", changes=False):
            page = await self._api.checkout.sessions.list_async(params)
            async for found in page.auto_paging_iter():
                session = CheckoutSession.model_validate(found.to_dict())
                if session.ours("purchase") == purchase.id:
                    return session
        return None

    async def expire_checkout_session(self, purchase: Purchase, session: str) -> None:
        """Close a payment page. Raises StripeRefusedError if it was paid or is closed."""
        async with _call("checkout.sessions.expire", changes=True):
            await self._api.checkout.sessions.expire_async(
                session, {}, _once(_key(purchase, f"expire:{purchase.looks}"))
            )

    async def create_refund(self, purchase: Purchase, refund: Refund, *, payment_intent: str) -> StripeRefund:
        """Give money back. Raises StripeRefusedError, for instance if it was given back already."""
        params: RefundCreateParams = {
            "payment_intent": payment_intent,
            "amount": refund.amount_minor,
            "metadata": {**_whose_purchase(purchase), "refund": ids.show("refund", refund.id)},
        }
        if refund.reason is not None:
            params["reason"] = refund.reason
        async with _call("refunds.create", changes=True):
            made = await self._api.refunds.create_async(params, _once(f"refund:{ids.show('refund', refund.id)}"))
        return StripeRefund.model_validate(made.to_dict())

    async def refunds_of(self, payment_intent: str) -> tuple[StripeRefund, ...]:
        """Read all refunds of a payment, whoever began them."""
        async with _call("refunds.list", changes=False):
            page = await self._api.refunds.list_async({"payment_intent": payment_intent, "limit": _PAGE})
            return tuple([StripeRefund.model_validate(one.to_dict()) async for one in page.auto_paging_iter()])

    async def disputes_of(self, payment_intent: str) -> tuple[StripeDispute, ...]:
        """Read all disputes and inquiries of a payment."""
        async with _call("disputes.list", changes=False):
            page = await self._api.disputes.list_async({"payment_intent": payment_intent, "limit": _PAGE})
            return tuple([StripeDispute.model_validate(one.to_dict()) async for one in page.auto_paging_iter()])


def _key(purchase: Purchase, step: str) -> str:
    return f"purchase:{ids.show('purchase', purchase.id)}:{step}"


def _since(purchase: Purchase) -> "Created":
    """Narrow a list to what is as young as the purchase, with room for clocks that differ."""
    return {"gte": int(purchase.created_at.timestamp()) - 600}


def _whose(account: UUID, user: UUID) -> dict[str, str]:
    return {"account": ids.show("account", account), "user": ids.show("user", user)}


def _whose_purchase(purchase: Purchase) -> dict[str, str]:
    return {**_whose(purchase.account, purchase.user), "purchase": ids.show("purchase", purchase.id)}


def _price_data(purchase: Purchase) -> "SessionCreateParamsLineItemPriceData":
    return {
        "currency": purchase.quote.price.currency,
        "unit_amount": purchase.quote.price.amount_minor,
        "product_data": {"name": purchase.quote.description},
    }
