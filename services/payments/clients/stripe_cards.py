"""Cards at Stripe: setup intents, which save them, and what a customer has. Each POST carries a key of ours."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from libs.contracts import ids
from services.payments.clients.stripe import Stripe
from services.payments.clients.stripe_calls import call, once
from services.payments.domain.cards import CardSetup, SavedCard
from services.payments.domain.customers import Customer
from services.payments.domain.stripe_objects import SetupIntent, StripeCard, StripeCustomer

if TYPE_CHECKING:
    from stripe.params import SetupIntentCreateParams, SetupIntentListParams

_PAGE = 100


@dataclass(frozen=True, slots=True)
class Wallet:
    """What a customer has at Stripe: his cards, the newest first, and the default payment method."""

    cards: tuple[StripeCard, ...]
    default: str | None


async def create_setup_intent(stripe: Stripe, setup: CardSetup, *, customer: str) -> SetupIntent:
    """Make the intent to save a card, with which the customer may be charged later while he is away."""
    params: SetupIntentCreateParams = {
        "customer": customer,
        "usage": "off_session",
        "allowed_payment_method_types": ["card"],
        "metadata": {
            "account": ids.show("account", setup.account),
            "user": ids.show("user", setup.user),
            "card_setup": ids.show("card_setup", setup.id),
        },
    }
    async with call("setup_intents.create", changes=True):
        made = await stripe.api.setup_intents.create_async(params, once(_key(setup, "setup_intent")))
    return SetupIntent.model_validate(made.to_dict())


async def setup_intent(stripe: Stripe, intent: str) -> SetupIntent:
    """Read a setup intent."""
    async with call("setup_intents.retrieve", changes=False):
        found = await stripe.api.setup_intents.retrieve_async(intent)
    return SetupIntent.model_validate(found.to_dict())


async def find_setup_intent(stripe: Stripe, setup: CardSetup, *, customer: str) -> SetupIntent | None:
    """Find the setup intent that a lost answer was about."""
    since = int(setup.created_at.timestamp()) - 600  # clocks differ
    params: SetupIntentListParams = {"customer": customer, "created": {"gte": since}, "limit": _PAGE}
    async with call("setup_intents.list", changes=False):
        page = await stripe.api.setup_intents.list_async(params)
        async for found in page.auto_paging_iter():
            intent = SetupIntent.model_validate(found.to_dict())
            if intent.ours("card_setup") == setup.id:
                return intent
    return None


async def cancel_setup_intent(stripe: Stripe, setup: CardSetup, intent: str) -> None:
    """Cancel a setup intent. Raises StripeRefusedError if it has saved a card, or is canceled."""
    async with call("setup_intents.cancel", changes=True):
        await stripe.api.setup_intents.cancel_async(
            intent, {"cancellation_reason": "abandoned"}, once(_key(setup, f"cancel:{setup.state}"))
        )


async def wallet_of(stripe: Stripe, customer: str) -> Wallet:
    """Read which cards a customer has, and which payment method is his default."""
    async with call("customers.retrieve", changes=False):
        found = StripeCustomer.model_validate((await stripe.api.customers.retrieve_async(customer)).to_dict())
    if found.deleted:
        return Wallet((), None)
    async with call("customers.payment_methods.list", changes=False):
        page = await stripe.api.customers.payment_methods.list_async(customer, {"type": "card", "limit": _PAGE})
        cards = tuple([StripeCard.model_validate(one.to_dict()) async for one in page.auto_paging_iter()])
    return Wallet(cards, found.invoice_settings.default_payment_method)


async def make_default(stripe: Stripe, customer: Customer, card: SavedCard) -> None:
    """Make a card the one that a customer's invoices are paid with. Raises StripeRefusedError if it is gone."""
    key = f"customer:{ids.show('account', customer.account)}:default:{card.method}:{customer.looks}"
    async with call("customers.update", changes=True):
        await stripe.api.customers.update_async(
            customer.stripe_customer or "", {"invoice_settings": {"default_payment_method": card.method}}, once(key)
        )


async def detach(stripe: Stripe, customer: Customer, card: SavedCard) -> None:
    """Have Stripe forget a card. Raises StripeRefusedError if it has already."""
    key = f"payment_method:{ids.show('payment_method', card.id)}:detach:{customer.looks}"
    async with call("payment_methods.detach", changes=True):
        await stripe.api.payment_methods.detach_async(card.method, {}, once(key))


def _key(setup: CardSetup, step: str) -> str:
    return f"card_setup:{ids.show('card_setup', setup.id)}:{step}"
