"""What the stories of the catalogues are told with: what is bought and paid, what a use costs, what staff do."""

from typing import Any

from deploy.cli.customer import Customer
from deploy.cli.service_apis import payments_api
from deploy.cli.state import read_state
from deploy.embedded.stack import Stack
from libs.contracts import ids
from libs.contracts.credits import format_credits
from libs.contracts.http.payments_v1 import Purchase, Refund, RefundOrder
from tests.e2e.test_spending import Worker


def usd(amount_minor: int) -> dict[str, Any]:
    """Write so many cents as an amount of money."""
    return {"amount_minor": amount_minor, "currency": "usd"}


async def bought(customer: Customer, pack: str | None = None, **order: Any) -> Purchase:
    """Buy something and pay for it; returns when the credits are there that were promised."""
    before = (await customer.balance()).available
    purchase = await customer.buy(pack, **order)
    quote = purchase.quote
    brought = quote.credits + quote.bonus + (quote.promo_bonus.credits if quote.promo_bonus else 0)
    await customer.pay(purchase)
    await customer.wait_until(lambda b: b.available == before + brought)
    return purchase


async def available(customer: Customer) -> str:
    """Tell how many credits a customer can spend."""
    return format_credits((await customer.balance()).available)


async def by_kind(customer: Customer) -> dict[str, str]:
    """Tell how many credits of which kind a customer can spend."""
    return {kind: format_credits(credits) for kind, credits in (await customer.balance()).by_kind.items()}


async def history(customer: Customer) -> list[tuple[str, str]]:
    """Tell what moved a customer's balance and by how much, oldest first."""
    return [(moved.type, format_credits(moved.credits)) for moved in reversed(await customer.transactions())]


async def estimated(worker: Worker, meter: str, quantity: float, **properties: Any) -> str:
    """Ask what a use would cost; nothing happens."""
    body = {"meter": meter, "quantity": quantity, "properties": properties}
    return str((await worker.done("/v1/estimates", body))["credits"])


async def refunded(customer: Customer, purchase: Purchase, *, credits: int, **order: Any) -> None:
    """Have a customer take his money back; returns when so many whole credits went back in all."""
    await customer.refund(purchase, **order)
    await customer.wait_until(lambda b: format_credits(b.totals.refunded) == str(credits))


async def refunded_by_staff(stack: Stack, customer: Customer, purchase: Purchase, *, credits: int) -> None:
    """Have staff give the money back; returns when so many whole credits went back in all."""
    assert purchase.id is not None
    name = ids.show("purchase", purchase.id)
    async with payments_api(read_state(stack.home)) as payments:
        await payments.post_once(
            f"/purchases/{name}/refunds",
            RefundOrder(),
            Refund,
            caller="staff:eve",
            idempotency_key=f"refund-{name}",
            params={"account": ids.show("account", customer.account)},
        )
    await customer.wait_until(lambda b: format_credits(b.totals.refunded) == str(credits))
