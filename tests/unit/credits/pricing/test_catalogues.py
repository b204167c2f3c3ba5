"""What the example catalogues say a use costs."""

from decimal import Decimal
from functools import cache
from typing import Any

import pytest
import yaml

from deploy.embedded.settings import PROJECT
from libs.contracts.catalogue import Catalogue
from libs.contracts.credits import parse_credits
from services.credits.domain.pricing import Prices

HD, FULL_HD = {"resolution": "720p"}, {"resolution": "1080p"}


@cache
def prices(name: str) -> Prices:
    document = yaml.safe_load((PROJECT / "deploy" / "catalogues" / f"{name}.yaml").read_text())
    return Prices(Catalogue.of(document).price_book)


@pytest.mark.parametrize(
    ("minutes", "properties", "credits"),
    [
        ("3", HD, "15"),
        ("5", FULL_HD | {"custom_music": True}, "42"),
        ("10", HD | {"premium_tts": True}, "53"),
        ("2.1", FULL_HD | {"ai_enhancement": True}, "28"),
        ("1", HD | {"custom_music": True, "premium_tts": True, "ai_enhancement": True}, "14"),
        ("5", FULL_HD, "40"),
        ("0.1", HD, "5"),
        ("3.000001", HD, "20"),
        ("0", HD, "0"),
    ],
)
def test_a_video_costs_what_its_started_minutes_do_and_its_add_ons(
    minutes: str, properties: dict[str, Any], credits: str
) -> None:
    rating = prices("video").rate("video.generation", Decimal(minutes), properties)
    assert rating.credits == parse_credits(credits)


@pytest.mark.parametrize(
    ("meter", "quantity", "properties", "credits"),
    [
        ("image.generation", 1, {}, "1"),
        ("image.generation", 1, {"quality": "hd"}, "1.5"),
        ("image.generation", 1, {"quality": "4k"}, "2"),
        ("video.generation", 1, {"seconds": 5}, "5"),
        ("video.generation", 1, {"seconds": 6}, "10"),
        ("audio.generation", 30, {}, "0.5"),
        ("audio.generation", 31, {}, "1"),
        ("audio.generation", Decimal("60.5"), {}, "1.5"),
        ("storage", Decimal("2.5"), {}, "0.025"),
    ],
)
def test_generated_media_cost_what_their_quality_and_length_do(
    meter: str, quantity: int | Decimal, properties: dict[str, Any], credits: str
) -> None:
    assert prices("ai-generation").rate(meter, quantity, properties).credits == parse_credits(credits)


def test_a_price_says_by_which_rules_it_came_about() -> None:
    rating = prices("video").rate("video.generation", Decimal("4.5"), FULL_HD | {"custom_music": True})
    assert rating.rules_after(0) == ['5 minute at 8 (resolution == "1080p")', "Custom music: +2"]
    assert prices("ai-generation").rate("image.generation", 3, {"quality": "hd"}).rules_after(0) == [
        "3 image at 1",
        "HD: +50 %",
    ]
