"""A price book that cannot be used is refused when it is loaded, and says where it is wrong."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from libs.contracts.catalogue import Catalogue
from libs.contracts.price_book import MOST_RULES, PriceBook
from services.credits.app import check_prices
from services.credits.domain.pricing import PriceBookError, Prices, line_of

DOCUMENT = """\
name: test
price_book:
  version: v1
  meters:
    video:
      unit: minute
      properties:
        resolution: {type: text}
        seconds: {type: integer}
      prices:
        - credits: "1"
          when: seconds > 5
        - credits: "2"
          when: CONDITION
"""


def broken(condition: str) -> PriceBookError:
    document = yaml.safe_load(DOCUMENT)
    document["price_book"]["meters"]["video"]["prices"][1]["when"] = condition
    with pytest.raises(PriceBookError) as raised:
        Prices(Catalogue.of(document).price_book)
    return raised.value


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ("resolution > 5", "at character 12: found no matching overload for '_>_' applied to '(string, int)'"),
        ("sixe > 5", "at character 1: undeclared reference to 'sixe'"),
        ("seconds >", "at character 10: Syntax error"),
        ("seconds + 1", "a condition is true or false, this one is int"),
        ("[1, 2].exists(x, x == seconds)", "may not go through lists"),
        ("[1, 2] . all (x, x == seconds)", "may not go through lists"),
    ],
)
def test_a_condition_that_is_wrong_is_found_when_the_book_is_loaded(condition: str, why: str) -> None:
    error = broken(condition)
    assert error.why.startswith(why) or why in error.why
    assert error.where == ("meters", "video", "prices", 1)
    assert line_of(DOCUMENT, ("price_book", *error.where)) == 13


def test_a_service_does_not_start_with_a_wrong_book_and_says_where_it_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "catalogue.yaml"
    file.write_text(DOCUMENT.replace("CONDITION", "resolution > 5"))
    with pytest.raises(ValueError, match=r"catalogue\.yaml, line 13: at character 12: found no matching overload"):
        check_prices(file, Catalogue.of(yaml.safe_load(file.read_text())))


def test_a_place_that_is_not_there_is_as_near_as_can_be() -> None:
    assert line_of(DOCUMENT, ("price_book", "meters", "audio", 3)) == 4
    assert line_of(DOCUMENT, ("nothing",)) == 1
    assert line_of('{"a": [1,\n2]}', ("a", 1)) == 2


@pytest.mark.parametrize(
    "meter",
    [
        {"prices": []},
        {"prices": [{"credits": -1}]},
        {"prices": [{"credits": 1, "when": ""}]},
        {"prices": [{"credits": 1, "when": "x" * 501}]},
        {"prices": [{"credits": 1, "unless": "x"}]},
        {"prices": [{"credits": 1}] * (MOST_RULES + 1)},
        {"billing": {"per": "0"}},
        {"billing": {"per": "0.0000001"}},
        {"billing": {"rounding": "sideways"}},
        {"properties": {"Size": {"type": "text"}}},
        {"properties": {"size": {"type": "float"}}},
        {"properties": {"size": {"type": "integer", "minimum": 5, "maximum": 4}}},
        {"properties": {"size": {"type": "integer", "maximum": 4, "default": 5}}},
        {"properties": {"size": {"type": "text", "values": ["a"], "default": "b"}}},
        {"surcharges": [{"name": "x", "percent": -101}]},
        {"outcomes": [{"name": "x", "percent": 10}]},
        {"outcomes": [{"name": "x", "when": "true", "percent": 101}]},
        {"minimum": -1},
        {"allowance": "-1"},
        {"allowance": "5", "period": "year"},
        {"prices": [{"when": "true"}]},
        {"prices": [{"credits": 1, "tiers": {"mode": "volume", "steps": [{"credits": 1}]}}]},
    ],
)
def test_a_meter_that_makes_no_sense_is_refused(meter: dict[str, Any]) -> None:
    whole = {"unit": "unit", "prices": [{"credits": 1}]} | meter
    with pytest.raises(ValueError, match=r"meters\.m"):
        PriceBook.model_validate({"version": "1", "meters": {"m": whole}})


@pytest.mark.parametrize(
    ("bounds", "why"),
    [
        ([], "at least 1 item"),
        (["10"], "what lies above 10 has no price"),
        (["10", "5", None], "tier 2 overlaps with the one before: 5 is not above 10"),
        (["10", "10", None], "tier 2 overlaps"),
        ([None, "10", None], "tier 1 has no `upto`, and overlaps"),
        (["0", None], "greater than 0"),
    ],
)
def test_tiers_that_overlap_or_leave_a_gap_are_refused(bounds: list[str | None], why: str) -> None:
    steps = [{"upto": bound, "credits": 1} for bound in bounds]
    meter = {"unit": "unit", "prices": [{"tiers": {"mode": "graduated", "steps": steps}}]}
    with pytest.raises(ValueError, match=why):
        PriceBook.model_validate({"version": "1", "meters": {"m": meter}})


SIZES = {"size": {"type": "text", "values": ["s", "m", "l"]}, "fast": {"type": "boolean"}, "id": {"type": "text"}}


@pytest.mark.parametrize(
    ("conditions", "where", "why"),
    [
        (['size == "s"', 'size == "m"'], 1, "no price holds for size: l"),
        (['size == "s"', 'size != "s" && fast'], 1, "no price holds for size: m, fast: False"),
        (['id == "a"'], 0, "what fits no condition has no price"),
        ([None, "fast"], 1, "the price before always holds"),
    ],
)
def test_a_book_that_leaves_a_case_without_a_price_is_refused(
    conditions: list[str | None], where: int, why: str
) -> None:
    given = [{"when": condition, "credits": 1} for condition in conditions]
    meter = {"unit": "unit", "properties": SIZES, "prices": given}
    with pytest.raises(PriceBookError, match=why) as caught:
        Prices(PriceBook.model_validate({"version": "1", "meters": {"m": meter}}))
    assert caught.value.where == ("meters", "m", "prices", where)


def test_prices_that_hold_for_every_case_need_none_that_always_does() -> None:
    given = [{"when": 'size in ["s", "m"]', "credits": 1}, {"when": 'size == "l"', "credits": 2}]
    meter = {"unit": "unit", "properties": SIZES, "prices": given}
    found = Prices(PriceBook.model_validate({"version": "1", "meters": {"m": meter}}))
    assert found.rate("m", 1, {"size": "l", "fast": True, "id": "x"}).credits == 2


def test_a_thousand_meters_are_compiled_once_and_found() -> None:
    meters = {f"m{number}": {"unit": "unit", "prices": [{"credits": number}]} for number in range(1000)}
    found = Prices(PriceBook.model_validate({"version": "1", "meters": meters}))
    assert [found.rate(f"m{number}", 1, {}).credits for number in (0, 7, 999)] == [0, 7, 999]
