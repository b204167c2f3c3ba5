"""What a catalogue cannot say of volume discounts, loyalty tiers, expiry and prices."""

from typing import Any

import pytest

from libs.contracts.catalogue import Catalogue

USD = {"amount_minor": 1000, "currency": "usd"}
PACK = {"id": "pro", "name": "Pro", "credits": "10", "prices": [USD]}


def silver(**more: Any) -> dict[str, Any]:
    return {"id": "silver", "name": "Silver", "from_spend": [USD], "percent_off": 5, **more}


def custom(*volume: dict[str, Any], **more: Any) -> dict[str, Any]:
    rule = {"per_credit": [USD], "minimum": "1", "maximum": "1000", "volume": volume, **more}
    return {"custom_amount": rule}


def loyalty(*tiers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"loyalty": {"tiers": tiers, **more}}


@pytest.mark.parametrize(
    ("written", "why"),
    [
        (custom({"from_credits": "5"}), "either percent_off or bonus_percent"),
        (custom({"from_credits": "5", "percent_off": 5, "bonus_percent": 5}), "either percent_off or bonus_percent"),
        (custom({"from_credits": "5", "percent_off": 100}), "less than or equal to 99"),
        (custom({"from_credits": "5", "percent_off": 0}), "greater than or equal to 1"),
        (custom({"from_credits": "5", "percent_off": 1.5}), "valid integer"),
        (custom({"from_credits": "0", "percent_off": 5}), "greater than 0"),
        (custom({"from_credits": "1001", "percent_off": 5}), "begins above the maximum"),
        (
            custom({"from_credits": "5", "percent_off": 5}, {"from_credits": "5", "percent_off": 6}),
            "does not begin above the one before",
        ),
        (
            custom({"from_credits": "5", "percent_off": 5}, {"from_credits": "6", "percent_off": 5}),
            "does not give more of the same",
        ),
        (
            custom({"from_credits": "5", "percent_off": 5}, {"from_credits": "6", "bonus_percent": 6}),
            "does not give more of the same",
        ),
        (loyalty(), "at least 1 item"),
        (loyalty(silver(), silver(from_spend=[{**USD, "amount_minor": 2000}])), "the same id"),
        (loyalty(silver(), silver(id="gold")), "is not above the tier before"),
        (loyalty(silver(from_spend=[{**USD, "amount_minor": 0}])), "more than nothing"),
        (loyalty(silver(from_spend=[USD, USD])), "one amount per currency"),
        (loyalty(silver(), bonus_kind="purchased", bonus_expires_after_days=5), "expire as what is bought"),
        ({"packs": [{**PACK, "expires_after_days": 0}]}, "greater than or equal to 1"),
        ({"packs": [{**PACK, "bonus": "1", "bonus_expires_after_days": 5}]}, "only a bonus of another kind"),
        ({"packs": [{**PACK, "bonus_kind": "promotional", "bonus_expires_after_days": 5}]}, "only a bonus"),
        ({"packs": [{**PACK, "prices": [{"amount_minor": 49, "currency": "usd"}]}]}, r"the least is 0\.50 USD"),
        ({"packs": [{**PACK, "prices": [{"amount_minor": 1005, "currency": "kwd"}]}]}, "Stripe cannot charge"),
        ({"gift_cards": [{**PACK, "prices": [{"amount_minor": 49, "currency": "jpy"}]}]}, "the least is 50 JPY"),
        ({"policies": {"customer_refund_days": 0}}, "greater than or equal to 1"),
    ],
)
def test_a_catalogue_that_makes_no_sense_is_refused_with_the_reason(written: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Catalogue.of({"name": "shop", "price_book": {"version": "v1"}, **written})


def test_all_of_it_together_is_taken() -> None:
    volume = [{"from_credits": "5", "percent_off": 5}, {"from_credits": "50", "percent_off": 10}]
    gold = {"id": "gold", "name": "Gold", "from_spend": [{**USD, "amount_minor": 5000}], "bonus_percent": 10}
    pack = {
        **PACK,
        "bonus": "1",
        "bonus_kind": "promotional",
        "expires_after_days": 365,
        "bonus_expires_after_days": 30,
    }
    written = {**custom(*volume, expires_after_days=365), **loyalty(silver(), gold), "packs": [pack]}
    catalogue = Catalogue.of({"name": "shop", "price_book": {"version": "v1"}, **written})
    assert catalogue.loyalty is not None
    assert [tier.id for tier in catalogue.loyalty.tiers] == ["silver", "gold"]
