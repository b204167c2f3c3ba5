"""An account's saved cards: listed, made the default, removed, and named to pay with."""

from uuid import UUID

from libs.chassis.clock import Clock
from libs.chassis.failpoints import reach
from libs.chassis.pool import Connection, Pool
from libs.contracts.http.base import Page
from libs.contracts.http.payment_methods_v1 import PaymentMethod
from libs.contracts.http.payments_v1 import PurchaseOrder
from services.payments.clients import stripe_cards
from services.payments.clients.stripe import Stripe, StripeRefusedError
from services.payments.domain.cards import MOST_CARDS, SavedCard
from services.payments.domain.errors import NoSuchCardError, TooManyCardsError
from services.payments.domain.purchases import PayingBy
from services.payments.operations.seeing_to_cards import PATIENCE, see_to_cards
from services.payments.store import cards, customers


async def list_cards(pool: Pool, account: UUID, *, livemode: bool) -> Page[PaymentMethod]:
    """List the cards that an account has saved, the newest first; there are few, so it is one page."""
    async with pool.connection() as conn:
        return Page(data=[_shown(card) for card in await _saved(conn, account, livemode=livemode)])


async def make_default(pool: Pool, stripe: Stripe, card: UUID, *, account: UUID, clock: Clock) -> PaymentMethod:
    """Make a saved card the default, here and at Stripe; repeating it changes nothing.

    Whatever Stripe answers, we read from Stripe what is the default afterwards. Raises NoSuchCardError,
    UnavailableError.
    """
    async with pool.transaction() as conn:
        chosen = await _find(conn, card, account=account, livemode=stripe.livemode)
        await customers.have_cards_seen_to(conn, account, livemode=stripe.livemode, at=clock.now() + PATIENCE)
        customer = await customers.get(conn, account, livemode=stripe.livemode)
    reach("payments.default_card.after_commit")
    try:
        await stripe_cards.make_default(stripe, customer, chosen)
    except StripeRefusedError as error:
        raise NoSuchCardError from error
    finally:
        await see_to_cards(pool, stripe, account, clock=clock)
    async with pool.connection() as conn:
        return _shown(await _find(conn, card, account=account, livemode=stripe.livemode))


async def remove(pool: Pool, stripe: Stripe, card: UUID, *, account: UUID, clock: Clock) -> None:
    """Remove a saved card: nobody can pay with it from here on, and Stripe forgets it, at the latest by the job.

    Repeating it changes nothing. Raises NoSuchCardError for one that the account never had, UnavailableError.
    """
    async with pool.transaction() as conn:
        found = await cards.find(conn, card, account=account, livemode=stripe.livemode)
        if found is None:
            raise NoSuchCardError
        if found.state == "removed":
            return
        await cards.remove(conn, card)
        await customers.have_cards_seen_to(conn, account, livemode=stripe.livemode, at=clock.now() + PATIENCE)
        reach("payments.remove_card.before_commit")
    reach("payments.remove_card.after_commit")
    await see_to_cards(pool, stripe, account, clock=clock)


async def paying_by(conn: Connection, order: PurchaseOrder, account: UUID, *, livemode: bool) -> PayingBy:
    """Tell with what an order is to be paid. Raises NoSuchCardError, TooManyCardsError if no more can be saved."""
    if order.save_card:
        await check_room(conn, account, livemode=livemode)
    if order.payment_method is None:
        return PayingBy(None, saves=order.save_card)
    if order.payment_method != "default":
        return PayingBy((await _find(conn, order.payment_method, account=account, livemode=livemode)).method)
    default = [card for card in await _saved(conn, account, livemode=livemode) if card.default]
    if not default:
        raise NoSuchCardError("no card is saved that would be the default")
    return PayingBy(default[0].method)


async def check_room(conn: Connection, account: UUID, *, livemode: bool) -> None:
    """See that an account may save one more card, and that nobody else does so meanwhile. Raises TooManyCardsError."""
    await customers.lock(conn, account, livemode=livemode)
    if len(await _saved(conn, account, livemode=livemode)) >= MOST_CARDS:
        raise TooManyCardsError(most=MOST_CARDS)


async def _saved(conn: Connection, account: UUID, *, livemode: bool) -> list[SavedCard]:
    return [card for card in await cards.of_account(conn, account, livemode=livemode) if card.state == "saved"]


async def _find(conn: Connection, card: UUID, *, account: UUID, livemode: bool) -> SavedCard:
    found = await cards.find(conn, card, account=account, livemode=livemode)
    if found is None or found.state != "saved":
        raise NoSuchCardError
    return found


def _shown(card: SavedCard) -> PaymentMethod:
    return PaymentMethod(
        id=card.id,
        brand=card.brand,
        last4=card.last4,
        exp_month=card.exp_month,
        exp_year=card.exp_year,
        wallet=card.wallet,
        default=card.default,
        saved_at=card.saved_at,
    )
