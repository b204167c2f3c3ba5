"""Seeing to an account's saved cards: our record follows what Stripe shows, and Stripe what is wished here.

Whatever happens to a card, here, in the buyer's browser or at Stripe's dashboard, makes us look; in which order events
come, and how often, does not matter.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from libs.chassis.clock import Clock
from libs.chassis.errors import UnavailableError
from libs.chassis.failpoints import reach
from libs.chassis.pool import Connection, Pool
from libs.chassis.telemetry import log
from libs.contracts import ids
from services.payments.clients import stripe_cards
from services.payments.clients.stripe import Stripe, StripeRefusedError
from services.payments.clients.stripe_cards import Wallet
from services.payments.domain.cards import CardSetup, SavedCard, next_default, setup_standing, with_states
from services.payments.domain.customers import Customer
from services.payments.domain.stripe_objects import SetupIntent
from services.payments.store import card_setups, cards, customers

PATIENCE = timedelta(seconds=60)
"""For how long what is in hand is left alone, before the job takes it up."""

_TRIES = 10
_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Wishes:
    """What Stripe is still to be told of a customer's cards."""

    customer: Customer
    default: SavedCard | None
    to_detach: list[SavedCard]

    def __bool__(self) -> bool:
        return self.default is not None or bool(self.to_detach)


async def see_to_cards(pool: Pool, stripe: Stripe, account: UUID, *, clock: Clock, setup: UUID | None = None) -> None:
    """Bring our record of an account's cards, and of a setup, to where Stripe shows them, and have done what is left.

    Cards that were removed or replaced here are detached; where there are cards one becomes the default. What cannot be
    done now the job takes up. Raises UnavailableError.
    """
    for _ in range(_ROUNDS):
        wishes = await _look(pool, stripe, account, clock=clock, setup=setup)
        if not wishes:
            return
        await _tell(stripe, wishes)
        reach("payments.cards.told")


async def _tell(stripe: Stripe, wishes: Wishes) -> None:
    """Tell Stripe; what it refuses is otherwise already, as the next look will show."""
    try:
        if wishes.default is not None:
            await stripe_cards.make_default(stripe, wishes.customer, wishes.default)
        for card in wishes.to_detach:
            await stripe_cards.detach(stripe, wishes.customer, card)
    except StripeRefusedError as error:
        whose = ids.show("account", wishes.customer.account)
        log.info("cards.refused", account=whose, reason=error.facts.get("reason"))


async def _look(pool: Pool, stripe: Stripe, account: UUID, *, clock: Clock, setup: UUID | None) -> Wishes | None:
    """Read what Stripe shows, then apply it; if somebody else did meanwhile, ours may be older, and we look again."""
    for _ in range(_TRIES):
        async with pool.connection() as conn:
            known = await customers.get(conn, account, livemode=stripe.livemode)
            wish = None if setup is None else await card_setups.get(conn, setup)
        if known.stripe_customer is None:
            return None
        intent = await _intent(stripe, wish)
        wallet = await stripe_cards.wallet_of(stripe, known.stripe_customer)
        async with pool.transaction() as conn:
            locked = await customers.lock(conn, account, livemode=stripe.livemode)
            if locked.looks != known.looks:
                continue
            if wish is not None and intent is not None:
                await _apply_setup(conn, wish, intent)
            wishes = await _apply(conn, locked, wallet, at=clock.now())
            reach("payments.cards.before_commit")
        reach("payments.cards.after_commit")
        return wishes
    raise UnavailableError("too much happens to these cards at once")


async def _intent(stripe: Stripe, setup: CardSetup | None) -> SetupIntent | None:
    if setup is None or setup.setup_intent is None:
        return None
    return await stripe_cards.setup_intent(stripe, setup.setup_intent)


async def _apply_setup(conn: Connection, setup: CardSetup, intent: SetupIntent) -> None:
    state, error = setup_standing(intent), intent.last_setup_error
    failure = error.reason if error is not None and state in ("failed", "canceled") else None
    method = intent.payment_method if state == "succeeded" else None
    await card_setups.move(conn, setup.id, state, failure=failure, method=method)


async def _apply(conn: Connection, customer: Customer, wallet: Wallet, *, at: datetime) -> Wishes:
    """Bring the record of a locked customer's cards to where Stripe shows them; repeating it changes nothing."""
    await cards.forget_others(conn, customer, wallet.cards)
    await cards.record(conn, customer, with_states(wallet.cards))
    kept = await cards.of_account(conn, customer.account, livemode=customer.livemode)
    wishes = Wishes(customer, next_default(kept, wallet.default), [card for card in kept if card.state == "removing"])
    due_at = at + PATIENCE if wishes else None
    await customers.count_look(conn, customer, default_method=wallet.default, due_at=due_at)
    return wishes
