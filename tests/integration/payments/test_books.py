"""The books can be seen to be wrong: an audit that nothing fails proves nothing."""

import pytest

from tests.integration.payments.shop import Shop, a_buyer
from tests.support.books import breaches

REFUND = """INSERT INTO refund (id, purchase, amount_minor, requested_by, state, stripe_refund, created_at, resolved_at)
            SELECT gen_random_uuid(), id, {amount}, 'nobody', 'succeeded', 're_' || gen_random_uuid(), now(), now()
              FROM purchase"""


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (REFUND.format(amount=100), "what went back of a purchase is the sum"),
        ("UPDATE purchase SET refunded_minor = 1, state = 'partially_refunded', revision = 2", "what went back"),
        (REFUND.format(amount=5000), "refunds never exceed the payment"),
        (
            f"{REFUND.format(amount=100)}; UPDATE purchase SET state = 'created', paid_at = NULL",
            "only what was paid is refunded",
        ),
        ("UPDATE customer SET stripe_customer = NULL", "every payment at Stripe belongs to a customer"),
        (
            "INSERT INTO failed_attempt SELECT id, 'ch_1', 'declined', now() FROM purchase",
            "every failed attempt, every payment and what went back was told",
        ),
        ("UPDATE idempotency_key SET subject = gen_random_uuid()", "every answer that was given is about"),
    ],
)
async def test_books_that_are_wrong_are_found_out(unaudited_shop: Shop, spoil: str, sentence: str) -> None:
    await unaudited_shop.paid(a_buyer(), pack="starter")
    assert await breaches(unaudited_shop.pool, "payments") == []
    async with unaudited_shop.pool.transaction() as conn:
        await conn.execute(spoil)
    found = await breaches(unaudited_shop.pool, "payments")
    assert any(breach.startswith(sentence) for breach in found), found
