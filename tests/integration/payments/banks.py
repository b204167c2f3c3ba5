"""What buyers' banks do: dispute payments, decide, suspect fraud."""

from dataclasses import replace
from typing import Any

from libs.contracts.catalogue import Policies
from libs.contracts.http.payments_v1 import Purchase
from tests.integration.payments.shop import Object, Shop


async def switch(shop: Shop, path: str, body: Object | None = None) -> Object:
    """Have the sandbox do what a bank does."""
    answer = await shop.sandbox.http.post(f"/sandbox/{path}", json=body or {})
    assert answer.status_code < 300, answer.text
    found: Object = answer.json()
    return found


async def charge_of(shop: Shop, purchase: Purchase) -> str:
    """Name the charge of a purchase that is paid."""
    [paid] = await shop.events(purchase, "payment_intent.succeeded")
    return str(paid["data"]["object"]["latest_charge"])


async def disputed(shop: Shop, purchase: Purchase, **how: Any) -> str:
    """Have the buyer's bank dispute a payment; gives the dispute's id."""
    return str((await switch(shop, f"charges/{await charge_of(shop, purchase)}/dispute", how))["id"])


async def news(shop: Shop, purchase: Purchase, *types: str) -> None:
    """Tell what Stripe told of it, and the ledger what we make of that."""
    for event in await shop.events(purchase, *types):
        if event["type"].startswith(("charge.dispute", "radar", "refund", "charge.refunded")):
            await shop.tell(event)
    await shop.tell_credits(purchase)


def careful(shop: Shop, policy: str, **payment_refund: str) -> Shop:
    """Give the shop another policy for early warnings of fraud, and for refunds."""
    policies = Policies.model_validate({"early_fraud_warning": policy, "payment_refund": payment_refund})
    return replace(shop, catalogue=shop.catalogue.model_copy(update={"policies": policies}))


async def warned(shop: Shop, purchase: Purchase) -> None:
    """Have the issuer suspect fraud, which Stripe tells twice."""
    await switch(shop, f"charges/{await charge_of(shop, purchase)}/fraud_warning")
    events = await shop.events(purchase, "radar.early_fraud_warning.created")
    for event in [*events, *events]:
        await shop.tell(event)
