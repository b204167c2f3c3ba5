"""Redeeming promo codes: reserved with the purchase that is recorded, kept when it is paid.

Whatever the reason for which an account cannot use a code, the answer is the same, and so is the work.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from libs.chassis.pool import Connection
from libs.chassis.telemetry import log
from libs.contracts import ids
from libs.contracts.catalogue import Catalogue
from libs.contracts.http.payments_v1 import PurchaseOrder, Quote
from services.payments.domain.discounts import with_tier
from services.payments.domain.errors import PromoCodeRefusedError
from services.payments.domain.promo_codes import with_code
from services.payments.domain.purchases import Purchase
from services.payments.domain.quotes import quote
from services.payments.store import loyalty, promo_codes
from services.payments.store.promo_codes import Usable


@dataclass(frozen=True, slots=True)
class Offer:
    """A quote for an account, and the code that it was made with, if there is one."""

    account: UUID
    quote: Quote
    code: Usable | None


async def make_offer(
    conn: Connection, catalogue: Catalogue, order: PurchaseOrder, *, account: UUID, livemode: bool, at: datetime
) -> Offer:
    """Tell what an order costs and brings, with the account's tier and the promo code if it names one.

    Nothing is recorded. The tier is that of the account's lifetime spend in this mode now: what is quoted stays with
    the purchase.

    Raises what `quote` and `with_code` raise, PromoCodeRefusedError if the account cannot use the code.
    """
    listed = quote(catalogue, order)
    if catalogue.loyalty is not None:
        listed = with_tier(listed, catalogue.loyalty, await loyalty.spend_of(conn, account, livemode=livemode))
    if order.promo_code is None:
        return Offer(account, listed, None)
    code = await promo_codes.find_usable(conn, order.promo_code, account=account, livemode=livemode, at=at)
    if code is None:
        raise _refused(account)
    return Offer(account, with_code(listed, code.code, code.terms), code)


async def redeem(conn: Connection, offer: Offer, purchase: UUID) -> None:
    """Redeem the code of an offer for the purchase that was recorded just now. Raises PromoCodeRefusedError."""
    if offer.code is None:
        return
    if not await promo_codes.redeem(conn, offer.code, purchase, offer.quote, account=offer.account):
        raise _refused(offer.account)


async def keep(conn: Connection, purchase: Purchase) -> None:
    """Keep the code of a purchase that is paid; one that had been freed is redeemed again, beyond its limit if need be.

    The money was taken at this price, so there is nothing to refuse.
    """
    if purchase.quote.promo_code is None or await promo_codes.keep(conn, purchase.id):
        return
    beyond = await promo_codes.redeem_again(conn, purchase.id)
    if beyond is not None:
        named = ids.show("purchase", purchase.id)
        log.warning("promo_code.redeemed_again", purchase=named, code=purchase.quote.promo_code, beyond_limit=beyond)


def _refused(account: UUID) -> PromoCodeRefusedError:
    log.info("promo_code.refused", account=ids.show("account", account))
    return PromoCodeRefusedError()
