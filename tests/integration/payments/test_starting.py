"""Starting purchases: what is sold, to whom, and once."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from libs.chassis.errors import DomainError, IdempotencyKeyReusedError, NotFoundError, RemoteError
from libs.contracts import ids
from libs.contracts.credits import MICRO
from libs.contracts.http.payments_v1 import PurchaseOrder
from services.payments.domain.errors import (
    AmountOutOfLimitsError,
    CurrencyNotOfferedError,
    PurchaseStateError,
    ReturnAddressRefusedError,
    UnknownPackError,
)
from services.payments.operations import purchases
from tests.integration.payments.shop import RETURN_URL, Shop, a_buyer, usd


async def test_a_pack_is_bought_with_a_payment_intent(shop: Shop) -> None:
    buyer = a_buyer()
    purchase = await shop.start(buyer, pack="pro")
    assert (purchase.state, purchase.quote.price, purchase.quote.credits) == ("created", usd(2499), 150 * MICRO)
    assert purchase.client_secret is not None
    [payment] = await shop.at_stripe(buyer)
    assert (payment["amount"], payment["currency"], payment["status"]) == (2499, "usd", "requires_payment_method")
    assert payment["metadata"] == {
        "account": ids.show("account", buyer.account),
        "user": ids.show("user", buyer.user),
        "purchase": ids.show("purchase", purchase.id or ids.new_id()),
    }


async def test_a_pack_is_bought_on_stripes_own_page(shop: Shop) -> None:
    purchase = await shop.start_checkout(pack="starter", cancel_url="https://shop.example/changed-my-mind")
    assert purchase.client_secret is None
    assert purchase.checkout_url is not None
    page = await shop.sandbox.http.get(purchase.checkout_url)
    assert page.status_code == 200
    assert "Starter: 50 credits" in page.text


async def test_a_custom_amount_is_bought(shop: Shop) -> None:
    buyer = a_buyer()
    purchase = await shop.start(buyer, amount_credits="12.5")
    assert (purchase.quote.pack, purchase.quote.price) == (None, usd(250))
    by_money = await shop.start(buyer, amount_money=usd(300))
    assert by_money.quote.credits == 15 * MICRO
    assert sorted(payment["amount"] for payment in await shop.at_stripe(buyer)) == [250, 300]


@pytest.mark.parametrize(
    ("order", "error"),
    [
        ({"pack": "giant"}, UnknownPackError),
        ({"pack": "pro", "currency": "eur"}, CurrencyNotOfferedError),
        ({"amount_credits": "1"}, AmountOutOfLimitsError),
        ({"return_url": "https://evil.example/"}, ReturnAddressRefusedError),
        ({"return_url": RETURN_URL, "cancel_url": "http://shop.example/"}, ReturnAddressRefusedError),
    ],
)
async def test_what_is_not_sold_leaves_no_trace(shop: Shop, order: dict[str, Any], error: type[DomainError]) -> None:
    buyer = a_buyer()
    with pytest.raises(error):
        await shop.start(buyer, key="k", **order)
    assert await shop.at_stripe(buyer) == []
    async with shop.pool.connection() as conn:
        left = await conn.fetchval("SELECT (SELECT count(*) FROM purchase) + (SELECT count(*) FROM idempotency_key)")
    assert left == 0
    assert (await shop.start(buyer, key="k")).state == "created"


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"pack": "pro", "amount_credits": "5"},
        {"amount_credits": "0"},
        {"amount_credits": "-5"},
        {"amount_credits": 5},
        {"amount_money": {"amount_minor": 0, "currency": "usd"}},
        {"amount_money": {"amount_minor": -100, "currency": "usd"}},
        {"pack": "pro", "method": "checkout"},
        {"pack": "pro", "price": 1},
    ],
)
def test_an_order_that_makes_no_sense_cannot_be_written(order: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PurchaseOrder.model_validate(order)


async def test_a_quote_says_the_price_and_records_nothing(shop: Shop) -> None:
    buyer = a_buyer()
    order = PurchaseOrder(pack="enterprise", quote_only=True)
    quoted = await purchases.quote_order(shop.pool, shop.terms, buyer.account, order, livemode=False, clock=shop.clock)
    assert (quoted.id, quoted.state, quoted.quote.price, quoted.refunded) == (None, "quoted", usd(29999), usd(0))
    async with shop.pool.connection() as conn:
        assert await conn.fetchval("SELECT count(*) FROM purchase") == 0


async def test_the_same_key_gives_the_same_answer_and_one_payment(shop: Shop) -> None:
    buyer = a_buyer()
    first = await shop.start(buyer, key="k")
    await shop.pay(first)
    assert await shop.start(buyer, key="k") == first
    assert len(await shop.at_stripe(buyer)) == 1


async def test_another_order_under_the_same_key_is_refused(shop: Shop) -> None:
    buyer = a_buyer()
    await shop.start(buyer, key="k")
    with pytest.raises(IdempotencyKeyReusedError):
        await shop.start(buyer, key="k", pack="starter")
    assert len(await shop.at_stripe(buyer)) == 1


async def test_keys_belong_to_their_callers(shop: Shop) -> None:
    ours, theirs = await shop.start(a_buyer(), key="k"), await shop.start(a_buyer(), key="k")
    assert ours.id != theirs.id


async def test_concurrent_twins_make_one_payment_and_get_one_answer(shop: Shop) -> None:
    buyer = a_buyer()
    first, *others = await asyncio.gather(*(shop.start_insisting(buyer, key="k") for _ in range(8)))
    assert all(other == first for other in others)
    assert len(await shop.at_stripe(buyer)) == 1


async def test_an_account_has_one_customer_however_many_purchases_start_at_once(shop: Shop) -> None:
    buyer = a_buyer()
    await asyncio.gather(*(shop.start_insisting(buyer) for _ in range(6)))
    payments = await shop.at_stripe(buyer)
    assert len(payments) == 6
    assert len({payment["customer"] for payment in payments}) == 1


async def test_what_stripe_refuses_has_failed_and_is_refused_again_under_the_same_key(shop: Shop) -> None:
    buyer = a_buyer()
    cheap = shop.catalogue.model_copy(
        update={"packs": [shop.catalogue.packs[0].model_copy(update={"prices": [usd(1)]})]}  # Stripe wants 50 cents
    )
    dear = replace(shop, catalogue=cheap)
    for _ in range(2):
        with pytest.raises(DomainError) as refused:
            await dear.start(buyer, key="k", pack="starter")
        assert refused.value.code.code == "PAY002"
    with pytest.raises(RemoteError):  # replayed, without asking Stripe again
        await dear.start(buyer, key="k", pack="starter")
    async with shop.pool.connection() as conn:
        assert await conn.fetchval("SELECT array_agg(state) FROM purchase") == ["failed"]


async def test_a_purchase_is_its_accounts_alone(shop: Shop) -> None:
    purchase = await shop.paid()
    stranger = purchase.model_copy(update={"account": ids.new_id()})
    for attempt in (shop.show, shop.confirm, shop.cancel, shop.refund):
        with pytest.raises(NotFoundError):
            await attempt(stranger)
    nobodys = purchase.model_copy(update={"id": ids.new_id()})
    with pytest.raises(NotFoundError):
        await shop.show(nobodys)


async def test_an_accounts_purchases_are_listed_newest_first_page_by_page(shop: Shop) -> None:
    buyer = a_buyer()
    started = [(await shop.start(buyer)).id for _ in range(5)]
    await shop.start(a_buyer())
    seen, cursor = [], None
    while True:
        page = await purchases.list_purchases(shop.pool, buyer.account, limit=2, cursor=cursor)
        seen += [purchase.id for purchase in page.data]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == started[::-1]
    with pytest.raises(DomainError, match="cursor"):
        await purchases.list_purchases(shop.pool, buyer.account, limit=2, cursor="pur_garbage")


async def test_an_unpaid_purchase_can_be_canceled(shop: Shop) -> None:
    buyer = a_buyer()
    purchase = await shop.start(buyer)
    canceled = await shop.cancel(purchase)
    assert (canceled.state, canceled.client_secret) == ("canceled", None)
    assert [payment["status"] for payment in await shop.at_stripe(buyer)] == ["canceled"]
    assert await shop.cancel(purchase) == canceled


async def test_a_payment_page_can_be_closed(shop: Shop) -> None:
    purchase = await shop.start_checkout()
    canceled = await shop.cancel(purchase)
    assert (canceled.state, canceled.checkout_url) == ("canceled", None)
    await shop.pay_page(purchase)
    assert (await shop.confirm(purchase)).state == "canceled"


async def test_what_is_paid_is_not_canceled_even_if_we_do_not_know_yet(shop: Shop) -> None:
    purchase = await shop.start()
    await shop.pay(purchase)
    with pytest.raises(PurchaseStateError):
        await shop.cancel(purchase)
    assert (await shop.show(purchase)).state == "succeeded"
    assert len(await shop.successes(purchase)) == 1
