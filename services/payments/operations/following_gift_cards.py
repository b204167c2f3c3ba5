"""What becomes of a gift card when its price goes back, in the caller's transaction, under the lock of its purchase."""

from datetime import datetime

from libs.chassis import outbox
from libs.chassis.pool import Connection
from libs.chassis.telemetry import log
from libs.contracts import ids
from libs.contracts.events import GiftCardTakenBack
from services.payments.domain.disputes import gone_minor, taken_from_redeemer
from services.payments.domain.purchases import Purchase
from services.payments.store import gift_cards, purchases


async def follow_gift_card(
    conn: Connection, purchase: Purchase, *, refunded_minor: int, withdrawn_minor: int, at: datetime
) -> None:
    """Make the gift card of a purchase void or, where it is redeemed, tell what of its credits goes back by now.

    `purchase` is as it was before so much of it was refunded and withdrawn. What is no gift card has none.
    """
    if purchase.gift_card is None:
        return
    await gift_cards.follow_money(conn, purchase.id, at=at)
    redeemer = await gift_cards.redeemer(conn, purchase.gift_card)
    before = gone_minor(purchase, refunded_minor=purchase.refunded_minor, withdrawn_minor=purchase.withdrawn_minor)
    gone = gone_minor(purchase, refunded_minor=refunded_minor, withdrawn_minor=withdrawn_minor)
    if redeemer is None or gone == before:
        return
    account, user = redeemer
    told = GiftCardTakenBack(
        account=account,
        user=user,
        voucher=purchase.gift_card,
        revision=await purchases.count_telling(conn, purchase.id),
        occurred_at=at,
        credits=taken_from_redeemer(purchase, gone_minor=gone),
        description=purchase.quote.description,
    )
    await gift_cards.note_taken_back(conn, told)
    await outbox.append(conn, told, at=at)
    log.warning("gift_card.taken_back", gift_card=ids.show("gift_card", told.voucher), credits=str(told.credits))
