"""The books can be seen to be wrong: an audit that nothing fails proves nothing."""

import asyncpg
import pytest

from tests.integration.payments.gifts import bought, issued, redeem, tell_due
from tests.integration.payments.shop import Shop, a_buyer
from tests.support.books import breaches
from tests.support.databases import ServicePool

REFUND = """INSERT INTO refund (id, purchase, amount_minor, requested_by, state, stripe_refund, created_at, resolved_at)
            SELECT gen_random_uuid(), id, {amount}, 'nobody', 'succeeded', 're_' || gen_random_uuid(), now(), now()
              FROM purchase"""
UNPAID = "UPDATE purchase SET state = 'created', paid_at = NULL, card_brand = NULL, card_last4 = NULL"
A_CARD = """INSERT INTO saved_card
            SELECT gen_random_uuid(), account, livemode, 'pm_1', 'saved', 'visa', '4242', 1, 2040, NULL, 'number', now()
              FROM customer"""
ANOTHER_REDEMPTION = """
    INSERT INTO promo_redemption
    SELECT p.id, r.code, r.account, r.state, r.discount_minor, r.bonus, r.bonus_kind, r.bonus_expires_after_days,
           r.total_limit, r.per_account, r.new_customers_only, r.after_end
      FROM promo_redemption AS r JOIN purchase AS p ON p.id <> r.purchase"""


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (REFUND.format(amount=100), "what went back of a purchase is the sum"),
        ("UPDATE purchase SET refunded_minor = 1, state = 'partially_refunded', revision = 2", "what went back"),
        (REFUND.format(amount=5000), "refunds never exceed the payment"),
        (
            f"{REFUND.format(amount=100)}; {UNPAID}",
            "only what was paid is refunded",
        ),
        ("UPDATE customer SET stripe_customer = NULL", "every payment at Stripe belongs to a customer"),
        (
            "INSERT INTO failed_attempt SELECT id, 'ch_1', 'declined', now() FROM purchase",
            "every failed attempt, every payment and what went back was told",
        ),
        ("UPDATE promo_code SET redeemed = 2", "a promo code counts its redemptions that"),
        ("UPDATE promo_code_account SET redeemed = 0", "a promo code counts the redemptions of each account"),
        ("UPDATE promo_redemption SET state = 'freed'", "a promo code is reserved while its purchase may be paid"),
        ("UPDATE promo_redemption SET state = 'reserved'", "a promo code is reserved while its purchase may be paid"),
        ("UPDATE promo_redemption SET account = gen_random_uuid()", "a promo code is reserved while its purchase"),
        (ANOTHER_REDEMPTION, "no promo code is redeemed beyond its limit"),
        (ANOTHER_REDEMPTION, "no account redeems a promo code beyond its limit"),
        ("UPDATE idempotency_key SET subject = gen_random_uuid()", "every answer that was given is about"),
        (f"{A_CARD}; UPDATE customer SET stripe_customer = NULL", "every card that Stripe keeps belongs to a customer"),
    ],
)
async def test_books_that_are_wrong_are_found_out(unaudited_shop: Shop, spoil: str, sentence: str) -> None:
    await unaudited_shop.put_code("SPRING", {"kind": "percent", "percent": 20}, total_limit=1)
    buyer = a_buyer()
    await unaudited_shop.paid(buyer, pack="starter", promo_code="SPRING")
    await unaudited_shop.paid(buyer, pack="starter")
    assert await breaches(unaudited_shop.pool, "payments") == []
    async with unaudited_shop.pool.transaction() as conn:
        await conn.execute(spoil)
    found = await breaches(unaudited_shop.pool, "payments")
    assert any(breach.startswith(sentence) for breach in found), found


TELL_OTHERWISE = """INSERT INTO outbox (topic, keys, payloads, recorded_at)
    SELECT topic, keys, ARRAY[convert_to(replace(convert_from(payloads[1], 'UTF8'), '"user":"', '"user":"x'), 'UTF8')],
           recorded_at
      FROM outbox WHERE position('voucher.redeemed'::bytea IN payloads[1]) > 0"""
TELL_AGAIN = """INSERT INTO outbox (topic, keys, payloads, recorded_at)
                SELECT topic, keys, payloads, recorded_at FROM outbox"""


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        ("DELETE FROM voucher WHERE purchase IS NOT NULL", "every gift card that is paid for is one voucher"),
        ("UPDATE voucher SET cost_minor = 1 WHERE purchase IS NOT NULL", "every gift card that is paid for is one"),
        ("UPDATE voucher SET id = gen_random_uuid() WHERE purchase IS NOT NULL", "no voucher is of a purchase"),
        (
            f"{UNPAID} WHERE pack IS NULL",
            "no voucher is of a purchase that is not paid",
        ),
        ("UPDATE gift_card SET due_at = NULL, told_at = NULL", "only a gift card that is paid for is due"),
        (
            "UPDATE purchase SET refunded_minor = amount_minor, state = 'refunded', revision = 2",
            "nobody can redeem a gift card whose price went back",
        ),
        ("DELETE FROM voucher WHERE redeemed_at IS NOT NULL", "a batch has as many vouchers as it says"),
        (
            "UPDATE voucher SET redeemed_at = now(), account = id, user_id = id WHERE batch IS NOT NULL",
            "what was redeemed was told",
        ),
        (
            "UPDATE voucher SET redeemed_at = NULL, account = NULL, user_id = NULL",
            "what was redeemed was told, again in the same words if at all, and nothing else was",
        ),
        ("UPDATE voucher SET code_hash = NULL WHERE purchase IS NOT NULL", "a gift card has a code once that is told"),
        (TELL_OTHERWISE, "what was redeemed was told, again in the same words"),
        (TELL_AGAIN, "a gift card whose code is told was told once"),
        ("UPDATE gift_card SET told_at = NULL", "a gift card whose code is told was told once"),
    ],
)  # fmt: skip
async def test_vouchers_that_are_wrong_are_found_out(
    unaudited_shop: Shop, service_pool: ServicePool, spoil: str, sentence: str
) -> None:
    shop = unaudited_shop
    await bought(shop)
    await tell_due(shop)
    made = await issued(shop, count=2)
    await redeem(shop, made.vouchers[0].code)
    assert await breaches(shop.pool, "payments") == []
    owner = await asyncpg.connect(service_pool.urls("payments").owner_url)
    await owner.execute(spoil)
    await owner.close()
    found = await breaches(shop.pool, "payments")
    assert any(breach.startswith(sentence) for breach in found), found
