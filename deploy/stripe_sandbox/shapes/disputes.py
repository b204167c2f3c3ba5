"""What goes wrong with a payment after it was made."""

from typing import Any

from deploy.stripe_sandbox.errors import Object

NO_EVIDENCE: Object = dict.fromkeys(
    (
        "access_activity_log", "billing_address", "cancellation_policy", "cancellation_policy_disclosure",
        "cancellation_rebuttal", "customer_communication", "customer_email_address", "customer_name",
        "customer_purchase_ip", "customer_signature", "duplicate_charge_documentation",
        "duplicate_charge_explanation", "duplicate_charge_id", "product_description", "receipt", "refund_policy",
        "refund_policy_disclosure", "refund_refusal_explanation", "service_date", "service_documentation",
        "shipping_address", "shipping_carrier", "shipping_date", "shipping_documentation",
        "shipping_tracking_number", "uncategorized_file", "uncategorized_text",
    )
) | {"enhanced_evidence": {}}  # fmt: skip


def dispute(name: str, /, *, created: int, **given: Any) -> Object:
    """Shape a dispute."""
    return {
        "id": name,
        "object": "dispute",
        "amount": 0,
        "balance_transactions": [],
        "charge": None,
        "created": created,
        "currency": "usd",
        "enhanced_eligibility_types": [],
        "evidence": NO_EVIDENCE,
        "evidence_details": {
            "due_by": None,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": None,
        "payment_method_details": {
            "card": {"brand": "visa", "case_type": "chargeback", "network": "visa", "network_reason_code": None},
            "type": "card",
        },
        "reason": "general",
        "status": "needs_response",
        **given,
    }


def early_fraud_warning(name: str, /, *, created: int, **given: Any) -> Object:
    """Shape a card issuer's warning that a payment may be fraudulent."""
    return {
        "id": name,
        "object": "radar.early_fraud_warning",
        "actionable": True,
        "charge": None,
        "created": created,
        "fraud_type": "misc",
        "livemode": False,
        "payment_intent": None,
        **given,
    }
