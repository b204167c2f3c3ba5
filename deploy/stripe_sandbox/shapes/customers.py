"""Whom payments belong to and what they pay with."""

from typing import Any

from deploy.stripe_sandbox.errors import Object

NO_ADDRESS: Object = {"city": None, "country": None, "line1": None, "line2": None, "postal_code": None, "state": None}
NO_BILLING_DETAILS: Object = {"address": NO_ADDRESS, "email": None, "name": None, "phone": None, "tax_id": None}


def customer(name: str, /, *, created: int, **given: Any) -> Object:
    """Shape a customer."""
    return {
        "id": name,
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": created,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": name[-8:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
        **given,
    }


def payment_method(name: str, /, *, created: int, **given: Any) -> Object:
    """Shape a payment method; its own hash, `card` for one, comes with what is given."""
    return {
        "id": name,
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": NO_BILLING_DETAILS,
        "created": created,
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": {},
        **given,
    }
