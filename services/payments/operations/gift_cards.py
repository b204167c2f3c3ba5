"""Gift cards: bought as anything else is, given to somebody else.

A gift card is a voucher: it comes to be in the transaction that records its payment (`settlement`), and is redeemed as
vouchers are. Its code is told when it is due, sealed for who writes the mail.
"""

from datetime import datetime, timedelta
from uuid import UUID

from libs.chassis import idempotency, outbox
from libs.chassis.clock import Clock
from libs.chassis.errors import InvalidRequestError
from libs.chassis.failpoints import reach
from libs.chassis.idempotency import Claim, Key
from libs.chassis.pool import Pool
from libs.chassis.sealing import Seal
from libs.chassis.telemetry import log
from libs.contracts import ids
from libs.contracts.events import GiftCardIssued
from libs.contracts.http.base import Page
from libs.contracts.http.vouchers_v1 import GiftCard, GiftCardOrder, StartGiftCard
from services.payments.clients.stripe import Stripe
from services.payments.domain.quotes import Terms, quote_gift_card
from services.payments.domain.vouchers import Codes, DueGiftCard
from services.payments.operations import answers
from services.payments.operations.answers import Answered
from services.payments.operations.paying import see_to_payment
from services.payments.operations.purchases import answer_start
from services.payments.operations.vouchers import read_cursor
from services.payments.store import customers, gift_cards, purchases

LATEST = timedelta(days=366)
"""How long before its mail a gift card can be bought."""

_AT_ONCE = 50


async def buy_gift_card(
    pool: Pool,
    stripe: Stripe,
    *,
    clock: Clock,
    terms: Terms,
    caller: str,
    key: str,
    request: StartGiftCard,
) -> Answered:
    """Start the purchase of a gift card and have Stripe ready to be paid, as `start_purchase` does.

    What may be bought is not limited by what the buyer has, since he gets no credits. Raises UnknownGiftCardError,
    InvalidRequestError for a time that is too late, and what `start_purchase` raises.
    """
    body = request.model_dump(mode="json")
    whose = Key.of(caller=caller, key=key, operation="buy_gift_card", body=[body["order"], body["buyer"]["account"]])
    claim = await _claim(pool, whose, request, livemode=stripe.livemode, terms=terms, at=clock.now())
    if claim.answered or claim.subject is None:
        return answers.give(claim, replayed=True)
    await see_to_payment(pool, stripe, claim.subject, clock=clock, first_try=claim.fresh)
    return await answer_start(pool, whose, claim.subject)


async def list_gift_cards(pool: Pool, account: UUID, *, limit: int, cursor: str | None) -> Page[GiftCard]:
    """List the gift cards that an account has paid for, newest first. Raises InvalidRequestError for a wrong cursor."""
    before = read_cursor("gift_card", cursor)
    async with pool.connection() as conn:
        found = await gift_cards.page(conn, account, before=before, limit=limit + 1)
    more = len(found) > limit
    return Page(data=found[:limit], next_cursor=ids.show("gift_card", found[limit - 1].id) if more else None)


async def tell_due(pool: Pool, codes: Codes, seal: Seal, *, clock: Clock) -> int:
    """Tell the codes of some gift cards that are due, each once; returns how many."""
    at = clock.now()
    async with pool.transaction() as conn:
        due = await gift_cards.take_due(conn, at=at, limit=_AT_ONCE)
        if not due:
            return 0
        await gift_cards.give_codes(conn, [card.id for card in due], [codes.hash_of(card.id) for card in due])
        await outbox.append(conn, *(_issued(card, codes, seal, at) for card in due), at=at)
        reach("payments.gift_cards.before_commit")
    reach("payments.gift_cards.after_commit")
    return len(due)


async def _claim(pool: Pool, key: Key, request: StartGiftCard, *, livemode: bool, terms: Terms, at: datetime) -> Claim:
    """Record key, customer, the intent to buy and for whom together, or find what the key was used for."""
    purchase, gift_card, order = ids.new_id(), ids.new_id(), request.order
    async with pool.transaction() as conn:
        claim = await idempotency.claim(conn, key, subject=purchase, at=at)
        if not claim.fresh:
            return claim
        terms.return_addresses.check(order.return_url)
        terms.return_addresses.check(order.cancel_url)
        offer = quote_gift_card(terms.catalogue, order.product, order.currency)
        await customers.intend(conn, request.buyer, livemode=livemode, at=at)
        await purchases.insert(
            conn,
            purchase,
            request,
            offer,
            livemode=livemode,
            takes_back=True,
            at=at,
            expires_at=at + (terms.checkout_life if order.method == "checkout" else terms.payment_life),
        )
        await gift_cards.insert(
            conn,
            gift_card,
            request,
            purchase=purchase,
            deliver_at=_delivery(order, at),
        )
        reach("payments.start.before_commit")
    reach("payments.start.after_commit")
    log.info("gift_card.ordered", purchase=ids.show("purchase", purchase), price=str(offer.price))
    return claim


def _delivery(order: GiftCardOrder, at: datetime) -> datetime:
    if order.deliver_at is not None and order.deliver_at > at + LATEST:
        raise InvalidRequestError("a gift card can be sent a year from now at the latest")
    return order.deliver_at or at


def _issued(card: DueGiftCard, codes: Codes, seal: Seal, at: datetime) -> GiftCardIssued:
    return GiftCardIssued(
        account=card.account,
        user=card.user,
        gift_card=card.id,
        occurred_at=at,
        credits=card.credits,
        sender_name=card.sender_name,
        recipient_email=card.recipient_email,
        recipient_name=card.recipient_name,
        message=card.message,
        sealed_code=seal.close(codes.of(card.id)),
    )
