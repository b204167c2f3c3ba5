"""What makes a purchase cheaper."""

from typing import Any

from deploy.stripe_sandbox.errors import Object


def coupon(name: str, /, *, created: int, **given: Any) -> Object:
    """Shape a coupon."""
    return {
        "id": name,
        "object": "coupon",
        "amount_off": None,
        "created": created,
        "currency": None,
        "duration": "once",
        "duration_in_months": None,
        "livemode": False,
        "max_redemptions": None,
        "metadata": {},
        "name": None,
        "percent_off": None,
        "redeem_by": None,
        "times_redeemed": 0,
        "valid": True,
        **given,
    }


def promotion_code(name: str, /, *, created: int, **given: Any) -> Object:
    """Shape a code that customers type in to have a coupon's discount."""
    return {
        "id": name,
        "object": "promotion_code",
        "active": True,
        "code": "",
        "created": created,
        "customer": None,
        "customer_account": None,
        "expires_at": None,
        "livemode": False,
        "max_redemptions": None,
        "metadata": {},
        "promotion": {"coupon": None, "type": "coupon"},
        "restrictions": {
            "first_time_transaction": False,
            "minimum_amount": None,
            "minimum_amount_currency": None,
        },
        "times_redeemed": 0,
        **given,
    }
