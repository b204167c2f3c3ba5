"""Stripe's objects in full: every field that Stripe's samples show, filled with what a fresh object has."""

from deploy.stripe_sandbox.shapes.catalogue import price, product
from deploy.stripe_sandbox.shapes.checkout import checkout_session, line_item
from deploy.stripe_sandbox.shapes.customers import NO_BILLING_DETAILS, customer, payment_method
from deploy.stripe_sandbox.shapes.discounts import coupon, promotion_code
from deploy.stripe_sandbox.shapes.disputes import dispute, early_fraud_warning
from deploy.stripe_sandbox.shapes.envelopes import deleted, listing, shown
from deploy.stripe_sandbox.shapes.events import event, webhook_endpoint
from deploy.stripe_sandbox.shapes.payments import balance_transaction, charge, payment_intent, refund
from deploy.stripe_sandbox.shapes.setups import setup_intent

__all__ = [
    "NO_BILLING_DETAILS",
    "balance_transaction",
    "charge",
    "checkout_session",
    "coupon",
    "customer",
    "deleted",
    "dispute",
    "early_fraud_warning",
    "event",
    "line_item",
    "listing",
    "payment_intent",
    "payment_method",
    "price",
    "product",
    "promotion_code",
    "refund",
    "setup_intent",
    "shown",
    "webhook_endpoint",
]
