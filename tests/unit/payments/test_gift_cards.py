"""Gift cards in the catalogue, and what they cost."""

from typing import Any

import pytest
from pydantic import ValidationError

from libs.contracts.catalogue import Catalogue
from libs.contracts.credits import MICRO
from libs.contracts.money import Money
from services.payments.domain.errors import CurrencyNotOfferedError, UnknownGiftCardError
from services.payments.domain.quotes import currencies, quote_gift_card

CARD = {
    "id": "gift-50",
    "name": "Gift card",
    "credits": "50",
    "prices": [{"amount_minor": 999, "currency": "usd"}, {"amount_minor": 1500, "currency": "jpy"}],
}


def a_catalogue(*cards: dict[str, Any]) -> Catalogue:
    return Catalogue.of({"name": "test", "price_book": {"version": "1"}, "gift_cards": list(cards)})


def test_a_gift_card_costs_what_the_catalogue_says_and_brings_no_bonus() -> None:
    quote = quote_gift_card(a_catalogue(CARD), "gift-50", "jpy")
    assert (quote.price, quote.credits, quote.bonus) == (Money(amount_minor=1500, currency="jpy"), 50 * MICRO, 0)
    assert (quote.pack, quote.description) == (None, "Gift card: 50 credits")
    assert currencies(a_catalogue(CARD)) == ["jpy", "usd"]


def test_what_is_not_on_sale_has_no_price() -> None:
    with pytest.raises(UnknownGiftCardError):
        quote_gift_card(a_catalogue(CARD), "gift-60", "usd")
    with pytest.raises(CurrencyNotOfferedError):
        quote_gift_card(a_catalogue(CARD), "gift-50", "eur")


@pytest.mark.parametrize(
    "wrong",
    [
        {"credits": "0"},
        {"prices": []},
        {"prices": [{"amount_minor": 0, "currency": "usd"}]},
        {"prices": [{"amount_minor": 1, "currency": "usd"}, {"amount_minor": 2, "currency": "usd"}]},
        {"bonus": "5"},
    ],
)
def test_a_gift_card_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        a_catalogue(CARD | wrong)


def test_two_gift_cards_have_ids_of_their_own() -> None:
    with pytest.raises(ValidationError, match="same id"):
        a_catalogue(CARD, CARD)
