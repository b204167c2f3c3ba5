"""Saved cards in a shop: what buyers do at their browser and at our API, and what Stripe has of them."""

from typing import Any
from uuid import UUID

import orjson
from stripe import CardError, StripeClient

from libs.contracts import ids
from libs.contracts.http.payment_methods_v1 import CardSetup, PaymentMethod
from libs.contracts.http.payments_v1 import Buyer
from services.payments.operations import card_setups, cards
from services.payments.operations.resolving import resolve_card_setups, see_to_due_cards
from tests.integration.payments.shop import RETURN_URL, Object, Shop

VISA, MASTERCARD = "pm_card_visa", "pm_card_mastercard"
ASKS_ALWAYS = "pm_card_authenticationRequired"
DECLINED_WHEN_CHARGED = "pm_card_chargeCustomerFail"


async def begin(shop: Shop, buyer: Buyer, *, key: str | None = None) -> CardSetup:
    """Begin to save a card, as the API does."""
    answered = await card_setups.start_card_setup(
        shop.pool,
        shop.stripe,
        buyer,
        caller=f"user:{ids.show('user', buyer.user)}",
        key=key or str(ids.new_id()),
        clock=shop.clock,
    )
    return CardSetup.model_validate_json(orjson.dumps(answered.body))


async def give(shop: Shop, setup: CardSetup, card: str = VISA) -> str:
    """Give a card as a browser does that has Stripe's Elements; tells the status."""
    assert setup.client_secret is not None
    params: Any = {"payment_method": card, "client_secret": setup.client_secret, "return_url": RETURN_URL}
    try:
        return str((await shop.browser.v1.setup_intents.confirm_async(intent_of(setup), params)).status)
    except CardError:
        return "declined"


def intent_of(setup: CardSetup) -> str:
    """Tell the setup intent that a client secret is of."""
    return (setup.client_secret or "").partition("_secret_")[0]


async def answer_bank(shop: Shop, intent: str, secret: str | None, outcome: str) -> None:
    """Pass or fail what the bank asks."""
    answer = await shop.sandbox.http.post(
        f"/c/authenticate/{intent}", params={"client_secret": secret or ""}, data={"outcome": outcome}
    )
    assert answer.status_code < 400, answer.text


async def confirm(shop: Shop, setup: CardSetup, *, account: UUID | None = None) -> CardSetup:
    """Have Stripe read again."""
    return await card_setups.confirm_card_setup(
        shop.pool, shop.stripe, setup.id, account=account or setup.account, clock=shop.clock
    )


async def save(shop: Shop, buyer: Buyer, card: str = VISA) -> PaymentMethod:
    """Save a card, all the way."""
    setup = await begin(shop, buyer)
    assert await give(shop, setup, card) in ("succeeded", "requires_action")
    if card == ASKS_ALWAYS:
        await answer_bank(shop, intent_of(setup), setup.client_secret, "pass")
    done = await confirm(shop, setup)
    assert done.state == "succeeded"
    return next(one for one in await saved(shop, buyer) if one.id == done.payment_method)


async def saved(shop: Shop, buyer: Buyer) -> list[PaymentMethod]:
    """List a buyer's cards, the newest first."""
    return (await cards.list_cards(shop.pool, buyer.account, livemode=False)).data


async def digits(shop: Shop, buyer: Buyer) -> list[tuple[str, bool]]:
    """List the last digits of a buyer's cards, and which is the default."""
    return [(card.last4, card.default) for card in await saved(shop, buyer)]


async def make_default(shop: Shop, card: PaymentMethod, account: UUID) -> PaymentMethod:
    """Make a card the default."""
    return await cards.make_default(shop.pool, shop.stripe, card.id, account=account, clock=shop.clock)


async def remove(shop: Shop, card: PaymentMethod, account: UUID) -> None:
    """Remove a card."""
    await cards.remove(shop.pool, shop.stripe, card.id, account=account, clock=shop.clock)


async def come_round(shop: Shop) -> tuple[int, int]:
    """Have the jobs come round; tells how many setups and customers they took up."""
    setups = await resolve_card_setups(shop.pool, shop.stripe, clock=shop.clock)
    return setups, await see_to_due_cards(shop.pool, shop.stripe, clock=shop.clock)


async def method_of(shop: Shop, card: PaymentMethod) -> str:
    """Tell a card's id at Stripe."""
    async with shop.pool.connection() as conn:
        found: str = await conn.fetchval("SELECT method FROM saved_card WHERE id = $1", card.id)
    return found


async def customer_of(shop: Shop, buyer: Buyer) -> str:
    """Tell a buyer's id at Stripe."""
    async with shop.pool.connection() as conn:
        found: str = await conn.fetchval("SELECT stripe_customer FROM customer WHERE account = $1", buyer.account)
    return found


async def events_of(shop: Shop, buyer: Buyer, *types: str) -> list[Object]:
    """Give Stripe's events about a buyer's cards, in the order in which they came to be, of all types or of some."""
    customer = await customer_of(shop, buyer)
    found = (await shop.sandbox.get("events"))["data"]
    return [event for event in found if customer in _customers(event) and (not types or event["type"] in types)]


def _customers(event: Object) -> set[str | None]:
    thing, before = event["data"]["object"], event["data"].get("previous_attributes") or {}
    return {thing["id"], thing.get("customer"), before.get("customer")}


async def setups_at_stripe(dashboard: StripeClient, shop: Shop, buyer: Buyer) -> list[str]:
    """Tell how a buyer's setup intents stand at Stripe."""
    customer = await customer_of(shop, buyer)
    found = await dashboard.v1.setup_intents.list_async({"customer": customer, "limit": 100})
    return [str(intent.status) for intent in found.data]


async def cards_at_stripe(dashboard: StripeClient, shop: Shop, buyer: Buyer) -> list[str]:
    """Name the cards that Stripe has of a buyer."""
    found = await dashboard.v1.customers.payment_methods.list_async(await customer_of(shop, buyer), {"limit": 100})
    return [method.id for method in found.data]


async def default_at_stripe(dashboard: StripeClient, shop: Shop, buyer: Buyer) -> object:
    """Name the card that Stripe has as a buyer's default."""
    customer = await dashboard.v1.customers.retrieve_async(await customer_of(shop, buyer))
    assert customer.invoice_settings is not None
    return customer.invoice_settings.default_payment_method
