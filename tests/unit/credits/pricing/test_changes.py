"""The difference between two versions of the price book, in words."""

import json
from typing import Any

import pytest

from libs.contracts.price_book import PriceBook
from services.credits.domain.pricing import changes

VIDEO: dict[str, Any] = {
    "unit": "minute",
    "properties": {"resolution": {"type": "text", "values": ["720p", "1080p"]}},
    "billing": {"rounding": "up"},
    "prices": [{"when": 'resolution == "720p"', "credits": "5"}, {"credits": "8"}],
    "add_ons": [{"name": "Music", "credits": "2"}],
    "outcomes": [{"name": "Failed", "when": 'resolution == ""', "percent": 0}],
}
TIERS = {"mode": "volume", "steps": [{"upto": "100", "credits": "8"}, {"credits": "6"}]}


def book(meters: dict[str, Any], **more: Any) -> PriceBook:
    return PriceBook.model_validate_json(json.dumps({"version": "1", "meters": meters} | more))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, []),
        ({"unit": "second"}, ["its unit is second, not minute", "a billed unit is 1 second, not 1 minute"]),
        ({"billing": {"rounding": "exact"}}, ["parts of a billed unit are rounded exact, not up"]),
        ({"allowance": "10"}, ["free units 10 a month, not 0 a month"]),
        ({"minimum": "0.5"}, ["a usage costs at least 0.5, not 0"]),
        (
            {"prices": [{"when": 'resolution == "720p"', "credits": "5.5"}, {"tiers": TIERS}]},
            [
                'price resolution == "720p": 5.5 a unit, not 5 a unit',
                "price of all else: by volume tiers: 8 up to 100, 6 beyond, not 8 a unit",
            ],
        ),
        ({"prices": [{"credits": "8"}]}, ['price resolution == "720p": gone, it was 5 a unit']),
        (
            {"add_ons": [{"name": "Speech", "credits": "1", "each": "unit"}]},
            ["add-on Music: gone, it was +2 for each event", "add-on Speech: new, +1 for each unit"],
        ),
        (
            {"surcharges": [{"name": "HD", "when": 'resolution == "1080p"', "percent": 50}]},
            ['surcharge HD: new, +50 % where resolution == "1080p"'],
        ),
        (
            {"outcomes": [{"name": "Failed", "when": 'resolution == ""', "percent": 5}]},
            ['outcome Failed: 5 % is charged where resolution == "", not 0 % is charged where resolution == ""'],
        ),
        (
            {"properties": {"resolution": {"type": "text", "values": ["720p", "1080p", "4k"]}}},
            ["property resolution: type text values 720p, 1080p, 4k, not type text values 720p, 1080p"],
        ),
    ],
)
def test_what_a_meter_has_otherwise_is_said(change: dict[str, Any], said: list[str]) -> None:
    assert changes(book({"video": VIDEO}), book({"video": VIDEO | change})) == [f"video: {line}" for line in said]


def test_meters_that_come_and_go_are_named_and_so_is_the_books_own_rounding() -> None:
    assert changes(book({"video": VIDEO}), book({"audio": VIDEO}, rounding="down")) == [
        "parts of a micro-credit are rounded down, not up",
        "audio: new",
        "video: gone; its usage will be refused",
    ]


def test_another_order_of_prices_is_a_change() -> None:
    first, second = {"when": "true", "credits": "1"}, {"when": "1 > 0", "credits": "2"}
    before, after = (VIDEO | {"prices": [*prices, {"credits": "3"}]} for prices in ([first, second], [second, first]))
    assert changes(book({"video": before}), book({"video": after})) == ["video: its prices are tried in another order"]
