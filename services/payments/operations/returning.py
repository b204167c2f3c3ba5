"""Credits that go back with refunded money: set aside before Stripe is asked, so that nobody spends them meanwhile."""

from uuid import UUID

from libs.chassis.clock import Clock
from libs.chassis.errors import NotFoundError, RemoteError, UnavailableError
from libs.chassis.pool import Pool
from libs.contracts import errors as codes
from libs.contracts.catalogue import Policies
from libs.contracts.credits import Credits
from libs.contracts.http import payments_v1 as contract
from libs.contracts.http.payments_v1 import RefundOrder
from libs.contracts.money import smallest_step
from services.payments.clients.credits import CreditsClient
from services.payments.domain.errors import CreditsSpentError
from services.payments.domain.purchases import Purchase
from services.payments.domain.refunds import (
    Refund,
    amount_to_refund,
    check_in_time,
    check_may_refund,
    covered_minor,
    share,
)
from services.payments.store import purchases, refunds

_NOT_HEARD = "credits has not heard of the payment yet; send the same request again"


async def set_aside(credits: CreditsClient, purchase: Purchase, refund: Refund, policies: Policies) -> None:
    """Have credits hold what goes back with a refund, once; of what is spent, as the catalogue says.

    A refund that forestalls a dispute is not stopped by what is spent, which becomes a debt as by the dispute it would.
    Raises CreditsSpentError if the refund is not to be; UnavailableError while credits does not answer or, where that
    matters, has not heard of the payment.
    """
    if not purchase.takes_back or not purchase.lots:
        return
    lots = share(
        purchase.lots,
        before_minor=refund.before_minor,
        amount_minor=refund.amount_minor,
        paid_minor=purchase.quote.price.amount_minor,
    )
    only_whole = policies.payment_refund.spent != "debt" and not refund.forestalls
    try:
        await credits.set_aside(purchase.account, refund.id, purchase.id, lots, whole=only_whole)
    except RemoteError as error:
        if error.code == codes.CREDITS_SPENT:
            raise CreditsSpentError from error
        if error.code != codes.NOT_FOUND:
            raise
        if only_whole:
            raise UnavailableError(_NOT_HEARD) from error


async def most_minor(
    credits: CreditsClient, purchase: Purchase, policies: Policies, *, before_minor: int
) -> int | None:
    """Tell how much money may go back after so much did or is going to; None if that is not limited by what is spent.

    Raises UnavailableError while credits does not answer.
    """
    if policies.payment_refund.spent != "rest" or not purchase.takes_back or not purchase.lots:
        return None
    remaining = await credits.remaining(purchase.account, purchase.id)
    if not remaining:
        raise UnavailableError(_NOT_HEARD)
    price = purchase.quote.price
    most = covered_minor(purchase.lots, remaining, before_minor=before_minor, paid_minor=price.amount_minor)
    return most - most % smallest_step(price.currency)


async def preview(
    pool: Pool,
    credits: CreditsClient,
    purchase: UUID,
    *,
    account: UUID,
    order: RefundOrder,
    caller: str,
    policies: Policies,
    clock: Clock,
) -> contract.RefundPreview:
    """Say what a refund would do; nothing happens. Raises what `amount_to_refund` raises, and NotFoundError.

    Raises NotAllowedError, RefundNotAllowedError and RefundTooLateError as the refund would.
    """
    check_may_refund(caller, policies)
    async with pool.connection() as conn:
        known = await purchases.find(conn, purchase)
        if known is None or known.account != account:
            raise NotFoundError
        check_in_time(known, caller, policies, at=clock.now())
        before = await refunds.promised_minor(conn, purchase)
    most = await most_minor(credits, known, policies, before_minor=before)
    amount = amount_to_refund(known, order.amount, before_minor=before, most_minor=most)
    paid = known.quote.price.amount_minor
    lots = share(known.lots, before_minor=before, amount_minor=amount, paid_minor=paid) if known.takes_back else []
    remaining = await credits.remaining(account, purchase) if lots else {}
    spent: Credits = sum(max(lot.credits - remaining.get(lot.kind, 0), 0) for lot in lots)
    policy = policies.payment_refund.spent
    return contract.RefundPreview(
        purchase=purchase,
        amount=known.money(amount),
        credits=sum(lot.credits for lot in lots),
        spent=spent,
        debt=spent if policy == "debt" else 0,
        possible=spent == 0 or policy == "debt",
    )
