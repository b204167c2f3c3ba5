"""Time in: one bounded pass each, that says how much it did."""

from libs.chassis.clock import Clock
from libs.chassis.pool import Pool
from libs.chassis.runner import Job
from libs.chassis.sealing import Seal
from libs.contracts.catalogue import Policies
from services.payments.clients.credits import CreditsClient
from services.payments.clients.stripe import Stripe
from services.payments.domain.vouchers import Codes
from services.payments.operations.findings import Sides
from services.payments.operations.gift_cards import tell_due
from services.payments.operations.reconciling import reconcile
from services.payments.operations.resolving import (
    cancel_abandoned,
    look_at_waiting,
    resolve_card_setups,
    resolve_purchases,
    resolve_refunds,
    see_to_due_cards,
)


def jobs(
    pool: Pool, stripe: Stripe, credits: CreditsClient, clock: Clock, *, policies: Policies, codes: Codes, seal: Seal
) -> list[Job]:
    """Make the jobs of a worker."""

    async def purchases() -> int:
        return await resolve_purchases(pool, stripe, clock=clock)

    async def refunds() -> int:
        return await resolve_refunds(pool, stripe, credits, policies=policies, clock=clock)

    async def abandoned() -> int:
        return await cancel_abandoned(pool, stripe, clock=clock)

    async def gift_cards() -> int:
        return await tell_due(pool, codes, seal, clock=clock)

    async def waiting() -> int:
        return await look_at_waiting(pool, stripe, clock=clock)

    async def reconciliation() -> int:
        return await reconcile(Sides(pool, stripe, credits, clock, policies))

    return [
        Job("resolve_purchases", purchases, every_seconds=5),
        Job("resolve_refunds", refunds, every_seconds=5),
        Job("cancel_abandoned", abandoned, every_seconds=5),
        *_of_cards(pool, stripe, clock),
        Job("tell_gift_cards", gift_cards, every_seconds=1),
        Job("look_at_waiting", waiting, every_seconds=15),
        Job("reconcile", reconciliation, every_seconds=60),
    ]


def _of_cards(pool: Pool, stripe: Stripe, clock: Clock) -> list[Job]:
    async def setups() -> int:
        return await resolve_card_setups(pool, stripe, clock=clock)

    async def cards() -> int:
        return await see_to_due_cards(pool, stripe, clock=clock)

    return [Job("resolve_card_setups", setups, every_seconds=5), Job("see_to_due_cards", cards, every_seconds=5)]
