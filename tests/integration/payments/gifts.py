"""Vouchers and gift cards of a shop: issued, bought, redeemed as the API does it."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson

from libs.chassis.sealing import Seal
from libs.contracts import ids
from libs.contracts.envelope import CloudEvent
from libs.contracts.events import BY_TYPE, Event, GiftCardIssued, VoucherRedeemed
from libs.contracts.http.payments_v1 import Buyer, Purchase
from libs.contracts.http.vouchers_v1 import (
    GiftCard,
    GiftCardOrder,
    IssuedVouchers,
    IssueVouchers,
    RedeemVoucher,
    StartGiftCard,
)
from services.payments.domain.vouchers import Codes
from services.payments.operations import gift_cards, vouchers
from services.payments.operations.vouchers import Redeeming
from tests.integration.payments.shop import Shop, a_buyer

CODES = Codes(["the secret of these tests' codes"])
SEAL = Seal(["the secret of these tests' mails"])
ORDER = {"product": "gift-50", "recipient": {"email": "grace@example.com", "name": "Grace"}, "message": "For you"}
SOON = timedelta(seconds=1)


async def issued(
    shop: Shop, *, caller: str = "staff:eve", key: str | None = None, alone: int | None = None, **order: Any
) -> IssuedVouchers:
    """Issue vouchers, one of 50 credits if nothing else is said."""
    wanted = IssueVouchers.model_validate({"count": 1, "credits": "50", "note": "Spring", **order})
    key = key or str(ids.new_id())
    return await vouchers.issue(shop.pool, CODES, wanted, alone=alone, caller=caller, key=key, at=shop.clock.now())


async def a_code(shop: Shop, **order: Any) -> str:
    """Issue a voucher; gives its code."""
    return (await issued(shop, **order)).vouchers[0].code


async def redeem(
    shop: Shop, code: str, account: UUID | None = None, *, key: str | None = None, codes: Codes = CODES
) -> Redeeming:
    """Redeem a code, for somebody new if nobody is named."""
    account = account or ids.new_id()
    request = RedeemVoucher(code=code, account=account, user=account)
    caller = f"user:{ids.show('user', account)}"
    return await vouchers.redeem(
        shop.pool, codes, request, caller=caller, key=key or str(ids.new_id()), clock=shop.clock
    )


async def buy(shop: Shop, buyer: Buyer | None = None, *, key: str | None = None, **order: Any) -> Purchase:
    """Start the purchase of a gift card for Grace."""
    buyer = buyer or a_buyer()
    answered = await gift_cards.buy_gift_card(
        shop.pool,
        shop.stripe,
        clock=shop.clock,
        terms=shop.terms,
        caller=f"user:{ids.show('user', buyer.user)}",
        key=key or str(ids.new_id()),
        request=StartGiftCard(buyer=buyer, order=GiftCardOrder.model_validate({**ORDER, **order})),
    )
    return Purchase.model_validate_json(orjson.dumps(answered.body))


async def bought(shop: Shop, buyer: Buyer | None = None, **order: Any) -> Purchase:
    """Buy a gift card for Grace, and have its payment settled by its event."""
    purchase = await buy(shop, buyer, **order)
    assert await shop.pay(purchase) == "succeeded"
    for event in await shop.events(purchase, "payment_intent.succeeded"):
        await shop.tell(event)
    return await shop.show(purchase)


async def tell_due(shop: Shop, codes: Codes = CODES) -> int:
    """Make a pass of the job that tells codes."""
    return await gift_cards.tell_due(shop.pool, codes, SEAL, clock=shop.clock)


async def code_of(shop: Shop, purchase: Purchase) -> str:
    """Take the code of a gift card from what was told to whoever mails it."""
    (told,) = [event for event in await told_all(shop, GiftCardIssued) if event.gift_card == purchase.gift_card]
    return SEAL.open(told.sealed_code)


async def told_all(shop: Shop, kind: type[Event]) -> list[Any]:
    """Read all events of a kind that were told, in order."""
    async with shop.pool.connection() as conn:
        rows = await conn.fetch("SELECT unnest(payloads) AS payload FROM outbox ORDER BY id")
    envelopes = [CloudEvent.decode(row["payload"]) for row in rows]
    return [BY_TYPE[one.type].of(one) for one in envelopes if one.type == kind.type]


async def redemptions(shop: Shop) -> list[VoucherRedeemed]:
    """Read what was told to be redeemed."""
    return await told_all(shop, VoucherRedeemed)


async def cards_of(shop: Shop, account: UUID) -> list[GiftCard]:
    """List the gift cards that an account has paid for."""
    return (await gift_cards.list_gift_cards(shop.pool, account, limit=100, cursor=None)).data


async def everything_stored(shop: Shop) -> str:
    """Read every row of the database, as text."""
    async with shop.pool.connection() as conn:
        tables = await conn.fetch("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
        rows = [row[0] for t in tables for row in await conn.fetch(f"SELECT t::text FROM {t['tablename']} AS t")]
        payloads = await conn.fetch("SELECT convert_from(unnest(payloads), 'UTF8') FROM outbox")
    return "\n".join([*rows, *(row[0] for row in payloads)])
