"""Saved cards: one setup intent for a wish, our list as Stripe has it, one default, and none of anybody else."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import permutations

import pytest
from stripe import StripeClient

from libs.chassis.errors import DomainError, IdempotencyKeyReusedError, NotFoundError, UnavailableError
from libs.contracts import ids
from libs.contracts.http.payment_methods_v1 import PaymentMethod
from libs.contracts.http.payments_v1 import Buyer
from services.payments.clients import stripe_cards
from services.payments.domain.cards import MOST_CARDS, SETUP_LIFE
from services.payments.domain.errors import NoSuchCardError, TooManyCardsError
from services.payments.operations.seeing_to_cards import PATIENCE
from tests.integration.payments.shop import Shop, a_buyer
from tests.integration.payments.wallets import (
    ASKS_ALWAYS,
    MASTERCARD,
    answer_bank,
    begin,
    cards_at_stripe,
    come_round,
    confirm,
    customer_of,
    default_at_stripe,
    digits,
    events_of,
    give,
    intent_of,
    make_default,
    method_of,
    remove,
    save,
    saved,
    setups_at_stripe,
)


async def test_a_card_is_saved_and_the_first_is_the_default(shop: Shop, dashboard: StripeClient) -> None:
    buyer = a_buyer()
    setup = await begin(shop, buyer)
    assert (setup.state, setup.payment_method) == ("created", None)
    assert await give(shop, setup) == "succeeded"
    done = await confirm(shop, setup)
    [card] = await saved(shop, buyer)
    assert (done.state, done.client_secret, done.payment_method) == ("succeeded", None, card.id)
    assert (card.brand, card.last4, card.exp_month, card.wallet, card.default) == ("visa", "4242", 8, None, True)
    assert await default_at_stripe(dashboard, shop, buyer) == await method_of(shop, card)


async def test_nothing_but_what_may_be_shown_of_a_card_is_kept(shop: Shop) -> None:
    card = await save(shop, a_buyer())
    shown = {"id", "type", "brand", "last4", "exp_month", "exp_year", "wallet", "default", "saved_at"}
    assert set(card.model_dump()) == shown
    async with shop.pool.connection() as conn:
        row = await conn.fetchrow("SELECT saved_card::text AS kept FROM saved_card")
    assert row is not None
    assert "4242424242424242" not in row["kept"]


async def test_the_newest_card_comes_first_and_another_may_be_the_default(shop: Shop, dashboard: StripeClient) -> None:
    buyer = a_buyer()
    await save(shop, buyer)
    second = await save(shop, buyer, MASTERCARD)
    assert sorted(await digits(shop, buyer)) == [("4242", True), ("4444", False)]
    for _ in range(2):
        assert (await make_default(shop, second, buyer.account)).default
    assert sorted(await digits(shop, buyer)) == [("4242", False), ("4444", True)]
    assert await default_at_stripe(dashboard, shop, buyer) == await method_of(shop, second)


async def test_a_removed_card_is_gone_here_and_at_stripe_and_another_becomes_the_default(
    shop: Shop, dashboard: StripeClient
) -> None:
    buyer = a_buyer()
    first, second = await save(shop, buyer), await save(shop, buyer, MASTERCARD)
    for _ in range(2):
        await remove(shop, first, buyer.account)
    assert await digits(shop, buyer) == [("4444", True)]
    assert await cards_at_stripe(dashboard, shop, buyer) == [await method_of(shop, second)]
    with pytest.raises(NoSuchCardError):
        await make_default(shop, first, buyer.account)
    await remove(shop, second, buyer.account)
    assert await digits(shop, buyer) == []
    assert await come_round(shop) == (0, 0)


async def test_a_card_is_its_accounts_alone(shop: Shop) -> None:
    buyer, stranger = a_buyer(), a_buyer()
    card, setup = await save(shop, buyer), await begin(shop, buyer)
    await save(shop, stranger)
    for attempt in (make_default, remove):
        with pytest.raises(NoSuchCardError) as refused:
            await attempt(shop, card, stranger.account)
        assert refused.value.code.status == 404
    with pytest.raises(NotFoundError):
        await confirm(shop, setup, account=stranger.account)
    nobodys = card.model_copy(update={"id": ids.new_id()})
    with pytest.raises(NoSuchCardError):
        await remove(shop, nobodys, buyer.account)
    assert await digits(shop, buyer) == [("4242", True)]
    assert await saved(shop, a_buyer()) == []


async def test_a_bank_that_asks_is_answered_before_a_card_is_saved(shop: Shop) -> None:
    buyer = a_buyer()
    setup = await begin(shop, buyer)
    assert await give(shop, setup, ASKS_ALWAYS) == "requires_action"
    assert (await confirm(shop, setup)).state == "requires_action"
    await answer_bank(shop, intent_of(setup), setup.client_secret, "fail")
    failed = await confirm(shop, setup)
    assert (failed.state, "authentication failed" in (failed.failure or "")) == ("failed", True)
    assert await give(shop, setup) == "succeeded"
    done = await confirm(shop, setup)
    assert (done.state, done.failure) == ("succeeded", None)
    assert await digits(shop, buyer) == [("4242", True)]


async def test_a_declined_card_is_not_saved_and_the_reason_is_told(shop: Shop) -> None:
    buyer = a_buyer()
    setup = await begin(shop, buyer)
    assert await give(shop, setup, "pm_card_chargeDeclined") == "declined"
    failed = await confirm(shop, setup)
    assert (failed.state, failed.failure) == ("failed", "Your card was declined.")
    assert failed.client_secret == setup.client_secret
    assert await saved(shop, buyer) == []


async def test_a_card_that_is_saved_again_replaces_itself(shop: Shop, dashboard: StripeClient) -> None:
    buyer = a_buyer()
    first = await save(shop, buyer)
    await save(shop, buyer, MASTERCARD)
    again = await save(shop, buyer)
    assert again.id != first.id
    assert sorted(await digits(shop, buyer)) == [("4242", True), ("4444", False)]
    assert len(await cards_at_stripe(dashboard, shop, buyer)) == 2
    assert await default_at_stripe(dashboard, shop, buyer) == await method_of(shop, again)


async def test_the_same_key_begins_one_setup_and_another_account_is_refused(
    shop: Shop, dashboard: StripeClient
) -> None:
    buyer = a_buyer()
    first = await begin(shop, buyer, key="k")
    assert await begin(shop, buyer, key="k") == first
    with pytest.raises(IdempotencyKeyReusedError):
        await begin(shop, buyer.model_copy(update={"account": ids.new_id()}), key="k")
    assert len(await setups_at_stripe(dashboard, shop, buyer)) == 1


async def test_two_tabs_save_cards_at_once(shop: Shop, dashboard: StripeClient) -> None:
    buyer = a_buyer()

    async def insist(key: str) -> object:
        while True:
            try:
                return await begin(shop, buyer, key=key)
            except UnavailableError:
                await asyncio.sleep(0.01)

    setups = await asyncio.gather(*(insist(key) for key in ("a", "a", "b", "b")))
    assert (setups[0], setups[2]) == (setups[1], setups[3])
    assert len(await setups_at_stripe(dashboard, shop, buyer)) == 2
    one, other = await begin(shop, buyer, key="a"), await begin(shop, buyer, key="b")
    await asyncio.gather(give(shop, one), give(shop, other, MASTERCARD))
    await asyncio.gather(confirm(shop, one), confirm(shop, other))
    assert sorted(default for _, default in await digits(shop, buyer)) == [False, True]


async def test_two_tabs_remove_and_choose_at_once_and_one_default_is_left(shop: Shop) -> None:
    buyer = a_buyer()
    first, second = await save(shop, buyer), await save(shop, buyer, MASTERCARD)
    await asyncio.gather(
        remove(shop, first, buyer.account),
        remove(shop, first, buyer.account),
        make_default(shop, second, buyer.account),
        return_exceptions=True,
    )
    shop.travel(PATIENCE * 2)
    await come_round(shop)
    assert await digits(shop, buyer) == [("4444", True)]


async def test_an_account_saves_so_many_cards_and_no_more(shop: Shop) -> None:
    buyer = a_buyer()
    for _ in range(MOST_CARDS):
        await begin(shop, buyer)
    with pytest.raises(TooManyCardsError):
        await begin(shop, buyer)
    await begin(shop, a_buyer())


async def test_who_has_as_many_cards_as_he_may_have_removes_one_first(shop: Shop) -> None:
    buyer = a_buyer()
    card = await save(shop, buyer)
    async with shop.pool.transaction() as conn:
        await conn.execute(
            """INSERT INTO saved_card SELECT gen_random_uuid(), account, livemode, 'pm_' || n, 'saved', brand, last4,
                      exp_month, exp_year, wallet, 'number ' || n, saved_at
                 FROM saved_card CROSS JOIN generate_series(2, $1) AS n""",
            MOST_CARDS,
        )
    with pytest.raises(TooManyCardsError):
        await begin(shop, buyer)
    with pytest.raises(TooManyCardsError):
        await shop.start(buyer, pack="pro", save_card=True)
    await remove(shop, card, buyer.account)
    assert (await begin(shop, buyer)).state == "created"


async def nothing(shop: Shop, dashboard: StripeClient, buyer: Buyer, card: PaymentMethod) -> list[tuple[str, bool]]:
    return [("4242", True)]


async def removed(shop: Shop, dashboard: StripeClient, buyer: Buyer, card: PaymentMethod) -> list[tuple[str, bool]]:
    await dashboard.v1.payment_methods.detach_async(await method_of(shop, card))
    return []


async def another_default(
    shop: Shop, dashboard: StripeClient, buyer: Buyer, card: PaymentMethod
) -> list[tuple[str, bool]]:
    customer = await customer_of(shop, buyer)
    added = await dashboard.v1.payment_methods.attach_async(MASTERCARD, {"customer": customer})
    await dashboard.v1.customers.update_async(customer, {"invoice_settings": {"default_payment_method": added.id}})
    return [("4242", False), ("4444", True)]


@pytest.mark.parametrize("done", [nothing, removed, another_default])
async def test_what_is_done_at_the_dashboard_is_followed_by_its_events_in_any_order_and_again(
    shop: Shop,
    dashboard: StripeClient,
    done: Callable[[Shop, StripeClient, Buyer, PaymentMethod], Awaitable[list[tuple[str, bool]]]],
) -> None:
    buyer = a_buyer()
    wanted = await done(shop, dashboard, buyer, await save(shop, buyer))
    events = await events_of(shop, buyer)
    told = [event for event in events if event["type"] in ("payment_method.detached", "customer.updated")][-2:]
    for order in permutations([*told, *events[:2]]):
        for event in order:
            await shop.tell(event)
    for event in [*events, *events]:
        await shop.tell(event)
    assert sorted(await digits(shop, buyer)) == wanted


async def test_a_card_that_was_detached_is_forgotten_by_that_event_alone(shop: Shop, dashboard: StripeClient) -> None:
    buyer = a_buyer()
    await removed(shop, dashboard, buyer, await save(shop, buyer))
    [event] = await events_of(shop, buyer, "payment_method.detached")
    assert await shop.tell(event) == "applied"
    assert await saved(shop, buyer) == []


@pytest.mark.parametrize("said", ["payment_method.updated", "payment_method.automatically_updated"])
async def test_a_renewed_card_shows_its_new_expiry(shop: Shop, dashboard: StripeClient, said: str) -> None:
    buyer = a_buyer()
    card = await save(shop, buyer)
    await dashboard.v1.payment_methods.update_async(
        await method_of(shop, card), {"card": {"exp_month": 1, "exp_year": 2040}}
    )
    [event] = await events_of(shop, buyer, "payment_method.updated")
    assert await shop.tell({**event, "type": said}) == "applied"
    [renewed] = await saved(shop, buyer)
    assert (renewed.id, renewed.exp_month, renewed.exp_year) == (card.id, 1, 2040)


@pytest.mark.parametrize("named", ["setup_intent.succeeded", "payment_method.attached"])
async def test_a_card_is_known_by_either_event_alone(shop: Shop, named: str) -> None:
    buyer = a_buyer()
    await give(shop, await begin(shop, buyer))
    [event] = await events_of(shop, buyer, named)
    assert await shop.tell(event) == "applied"
    assert await digits(shop, buyer) == [("4242", True)]


async def test_what_is_about_nobody_we_know_is_ignored(shop: Shop, dashboard: StripeClient) -> None:
    buyer = a_buyer()
    await give(shop, await begin(shop, buyer))
    [event] = await events_of(shop, buyer, "payment_method.attached")
    stranger = await dashboard.v1.customers.create_async({})
    of_a_stranger = {**event["data"]["object"], "customer": stranger.id}
    for foreign in (
        {**event, "account": "acct_1"},
        {**event, "livemode": True},
        {**event, "data": {"object": of_a_stranger}},
        {**event, "data": {"object": {**of_a_stranger, "customer": None, "id": "pm_unknown"}}},
    ):
        assert await shop.tell(foreign) == "ignored"
    assert await saved(shop, buyer) == []


async def test_a_card_that_nobody_gives_is_waited_for_no_longer(shop: Shop, dashboard: StripeClient) -> None:
    buyer = a_buyer()
    setup, given = await begin(shop, buyer), await begin(shop, buyer)
    await give(shop, given)
    shop.travel(SETUP_LIFE - timedelta(minutes=1))
    assert (await come_round(shop))[0] == 0
    shop.travel(SETUP_LIFE + timedelta(seconds=1))
    assert (await come_round(shop))[0] == 2
    assert sorted(await setups_at_stripe(dashboard, shop, buyer)) == ["canceled", "succeeded"]
    assert (await confirm(shop, setup)).state == "canceled"
    assert (await confirm(shop, given)).state == "succeeded"
    shop.travel(SETUP_LIFE * 2)
    assert (await come_round(shop))[0] == 0


async def test_an_older_view_of_the_cards_never_overwrites_a_newer_one(
    shop: Shop, dashboard: StripeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    buyer = a_buyer()
    card = await save(shop, buyer)
    read = stripe_cards.wallet_of
    meanwhile = True

    async def read_slowly(stripe: object, customer: str) -> object:
        nonlocal meanwhile
        seen = await read(stripe, customer)  # type: ignore[arg-type] # as it was given
        if meanwhile:
            meanwhile = False
            await remove(shop, card, buyer.account)
        return seen

    [event] = await events_of(shop, buyer, "payment_method.attached")
    monkeypatch.setattr(stripe_cards, "wallet_of", read_slowly)
    await shop.tell(event)
    assert await saved(shop, buyer) == []
    with pytest.raises(DomainError):
        await make_default(shop, card, buyer.account)
