"""What the example catalogues say a use costs."""

from decimal import Decimal
from functools import cache
from typing import Any

import pytest
import yaml

from deploy.embedded.settings import PROJECT
from libs.contracts.catalogue import Catalogue
from libs.contracts.credits import parse_credits
from libs.contracts.http.payments_v1 import PurchaseOrder
from libs.contracts.money import Money
from services.credits.domain.pricing import Prices
from services.payments.domain.promo_codes import with_code
from services.payments.domain.quotes import quote

HD, FULL_HD = {"resolution": "720p"}, {"resolution": "1080p"}


@cache
def catalogue(name: str) -> Catalogue:
    return Catalogue.of(yaml.safe_load((PROJECT / "deploy" / "catalogues" / f"{name}.yaml").read_text()))


@cache
def prices(name: str) -> Prices:
    return Prices(catalogue(name).price_book)


@pytest.mark.parametrize(
    ("name", "pack", "credits", "minor"),
    [
        ("video", "starter", "50", 999),
        ("video", "pro", "160", 2499),
        ("video", "business", "550", 7999),
        ("video", "enterprise", "2200", 29999),
        ("ai-generation", "c50", "50", 500),
        ("ai-generation", "c100", "105", 900),
        ("ai-generation", "c250", "265", 2000),
        ("ai-generation", "c500", "540", 3500),
        ("ai-generation", "c1000", "1100", 6000),
        ("ai-generation", "c5000", "5750", 25000),
        ("tokens", "t10", "10", 999),
        ("tokens", "t50", "50", 3999),
        ("tokens", "t150", "150", 9999),
    ],
)
def test_a_pack_brings_its_credits_and_its_bonus_for_its_price(name: str, pack: str, credits: str, minor: int) -> None:
    found = catalogue(name).pack(pack)
    assert found is not None
    assert found.credits + found.bonus == parse_credits(credits)
    assert found.prices == [Money(amount_minor=minor, currency="usd")]


@pytest.mark.parametrize(
    ("name", "bonus"),
    [("points", "25"), ("video", "10"), ("ai-generation", None), ("booking", None), ("tokens", None)],
)
def test_who_signs_up_is_welcomed_as_the_catalogue_says(name: str, bonus: str | None) -> None:
    welcome = catalogue(name).welcome_bonus
    assert (welcome.credits if welcome else None) == (parse_credits(bonus) if bonus else None)


@pytest.mark.parametrize(
    ("name", "minor", "credits"), [("points", 1000, "1000"), ("points", 500, "500"), ("booking", 9_900, "99")]
)
def test_any_amount_of_money_buys_what_the_catalogue_says(name: str, minor: int, credits: str) -> None:
    order = PurchaseOrder(amount_money=Money(amount_minor=minor, currency="usd"))
    assert quote(catalogue(name), order).credits == parse_credits(credits)


def test_a_booking_burns_the_oldest_credits_and_keeps_to_its_limits() -> None:
    found = catalogue("booking")
    assert found.burn_order == "fifo"
    assert found.limits.minimum_purchase == parse_credits("10")
    assert found.limits.maximum_balance == parse_credits("10000")
    assert found.limits.maximum_per_transaction == parse_credits("5000")
    assert found.limits.transactions_per_day == 100
    assert (found.policies.charge_refund.comes_back, found.policies.charge_refund.expires_after_days) == (
        "as_new_lot",
        365,
    )


@pytest.mark.parametrize(
    ("code", "pack", "minor", "bonus"),
    [
        ("WELCOME10", "small", 2250, None),
        ("SPRING25", "medium", 7500, None),
        ("HALF50", "large", 25000, None),
        ("TAKE5", "small", 2000, None),
        ("TAKE50", "large", 45000, None),
        ("BONUS20", "medium", 10000, "20"),
    ],
)
def test_a_booking_costs_less_or_brings_more_with_a_promo_code(
    code: str, pack: str, minor: int, bonus: str | None
) -> None:
    found = catalogue("booking")
    [promo] = [promo for promo in found.promo_codes if promo.code == code]
    offer = with_code(quote(found, PurchaseOrder(pack=pack)), code, promo)
    assert offer.price.amount_minor == minor
    assert (offer.promo_bonus.credits if offer.promo_bonus else None) == (parse_credits(bonus) if bonus else None)


def test_a_booking_has_promo_codes_of_all_four_kinds() -> None:
    kinds = {promo.gives.kind for promo in catalogue("booking").promo_codes}
    assert kinds == {"percent", "amount", "bonus_credits", "free_trial"}


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
