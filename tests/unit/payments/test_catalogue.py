"""What a catalogue file changes: what is to be at Stripe, what is otherwise, and how that is said."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts import ids
from libs.contracts.catalogue import Catalogue
from services.payments.domain import catalogue_words as words
from services.payments.domain.catalogue import (
    Counterpart,
    Difference,
    Item,
    Wanted,
    differences,
    items,
    otherwise,
    wanted_at_stripe,
)

NOW = datetime(2026, 11, 1, tzinfo=UTC)
Object = dict[str, Any]


def a_file(**sold: Any) -> Catalogue:
    return Catalogue.of({"name": "shop", "price_book": {"version": "v1"}, **sold})


def a_pack(id: str = "starter", **more: Any) -> Object:
    return {"id": id, "name": id.title(), "credits": "50", "prices": [money(999)], **more}


def money(amount_minor: int, currency: str = "usd") -> Object:
    return {"amount_minor": amount_minor, "currency": currency}


def recorded(known: list[Counterpart], differing: list[Difference]) -> list[Counterpart]:
    """Do what the store does with differences, and Stripe with what it is told."""
    there = {each.fingerprint: each for each in known}
    for each in differing:
        now = each.wanted
        id, revision = (each.before.id, each.before.revision + 1) if each.before else (ids.new_id(), 1)
        there[now.fingerprint] = Counterpart(now.kind, now.name, now.fixed, now.said, id, revision, revision, "x")
    return list(there.values())


packs = st.lists(
    st.builds(
        lambda id, name, amounts: a_pack(id, name=name, prices=[money(each, of) for of, each in amounts.items()]),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["A", "B"]),
        st.dictionaries(st.sampled_from(["usd", "eur"]), st.sampled_from([100, 200, 300]), min_size=1),
    ),
    unique_by=lambda pack: pack["id"],
)
codes = st.lists(
    st.builds(
        lambda code, percent, limit: {
            "code": code,
            "gives": {"kind": "percent", "percent": percent},
            "total_limit": limit,
        },
        st.sampled_from(["AAA", "BBB"]),
        st.sampled_from([10, 20]),
        st.sampled_from([None, 5]),
    ),
    unique_by=lambda promo: promo["code"],
)
files = st.builds(
    lambda packs, cards, codes: a_file(packs=packs, gift_cards=cards, promo_codes=codes), packs, packs, codes
)


@given(history=st.lists(files, min_size=1, max_size=5))
def test_whatever_was_applied_before_stripe_ends_with_what_the_last_file_says(history: list[Catalogue]) -> None:
    known: list[Counterpart] = []
    for file in history:
        wanted = wanted_at_stripe(file, at=NOW)
        known = recorded(known, differences(wanted, known, at=NOW))
        assert differences(wanted, known, at=NOW) == []
        used = [each for each in known if each.active and each.kind != "coupon"]
        assert {each.fingerprint for each in used} == {each.fingerprint for each in wanted if each.kind != "coupon"}
        keys = [each.said["lookup_key"] for each in used if each.kind == "price"]
        assert len(set(keys)) == len(keys)


def test_a_gift_card_and_a_pack_of_the_same_id_are_told_apart() -> None:
    file = a_file(packs=[a_pack()], gift_cards=[a_pack()])
    wanted = wanted_at_stripe(file, at=NOW)
    assert len({each.fingerprint for each in wanted}) == 4
    assert {each.said.get("lookup_key") for each in wanted} == {
        None,
        "scrip_starter_usd",
        "scrip_gift_card:starter_usd",
    }


def test_owners_have_their_turn_first_and_lookup_keys_and_codes_are_passed_on() -> None:
    def each(kind: Any, *, active: bool) -> Wanted:
        return Wanted(kind, "x", {}, {"active": active})

    in_order = [
        each("product", active=True),
        each("coupon", active=True),
        each("price", active=True),
        each("price", active=False),
        each("promotion_code", active=False),
        each("promotion_code", active=True),
    ]
    turns = [one.turn for one in in_order]
    assert turns == sorted(set(turns))


def test_a_price_belongs_to_its_product_and_a_code_to_its_coupon() -> None:
    code = {"code": "AAA", "gives": {"kind": "percent", "percent": 10}}
    product, price, coupon, promotion_code = wanted_at_stripe(a_file(packs=[a_pack()], promo_codes=[code]), at=NOW)
    assert (price.owner, promotion_code.owner) == (product.fingerprint, coupon.fingerprint)
    assert (product.owner, coupon.owner) == (None, None)


@pytest.mark.parametrize(
    ("begins", "ends", "there"),
    [(None, None, True), (0, None, True), (1, None, False), (None, 1, True), (None, 0, False), (-2, -1, False)],
)
def test_a_code_is_at_stripe_while_it_holds(begins: int | None, ends: int | None, *, there: bool) -> None:
    times = {
        name: (NOW + timedelta(days=days)).isoformat()
        for name, days in (("starts_at", begins), ("ends_at", ends))
        if days is not None
    }
    code = {"code": "AAA", "gives": {"kind": "percent", "percent": 10}, **times}
    assert bool(wanted_at_stripe(a_file(promo_codes=[code]), at=NOW)) == there


def said(before: Catalogue, now: Catalogue) -> list[str]:
    changed = otherwise(items(now), items(before))
    return [f"{each.what}: {each.change}" for pair in changed for each in words.of_item(*pair)]


@pytest.mark.parametrize(
    ("before", "now", "change"),
    [
        ({}, {"packs": [a_pack()]}, "pack starter: new: name Starter, credits 50, prices 9.99 USD"),
        (
            {"packs": [a_pack()]},
            {"packs": [a_pack(credits="60")]},
            "pack starter: credits: 60, not 50",
        ),
        (
            {"packs": [a_pack()]},
            {"packs": [a_pack(prices=[money(999), money(900, "jpy")])]},
            "pack starter: prices: 9.99 USD, 900 JPY, not 9.99 USD",
        ),
        ({"packs": [a_pack(bonus="5")]}, {"packs": [a_pack()]}, "pack starter: bonus: nothing, not 5"),
        ({"packs": [a_pack()]}, {}, "pack starter: retired: out of sale once services run without it"),
        ({"gift_cards": [a_pack()]}, {}, "gift card starter: retired: out of sale once services run without it"),
        (
            {"promo_codes": [{"code": "AAA", "gives": {"kind": "percent", "percent": 10}}]},
            {"promo_codes": [{"code": "AAA", "gives": {"kind": "amount", "amounts": [money(500)]}}]},
            "promo code AAA: gives.kind: amount, not percent",
        ),
    ],
)
def test_a_change_is_said_in_words(before: Object, now: Object, change: str) -> None:
    assert change in said(a_file(**before), a_file(**now))


def test_what_comes_back_is_said_to_and_what_was_retired_before_is_not_said_again() -> None:
    [item] = items(a_file(packs=[a_pack()]))
    gone = Item(item.kind, item.id, item.terms, active=False)
    assert otherwise([], [gone]) == []
    [(now, before)] = otherwise([item], [gone])
    assert [each.change for each in words.of_item(now, before)] == ["back again"]


def test_a_long_list_is_cut() -> None:
    assert words.told(list(range(12))) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 2 more"


def test_the_same_file_changes_nothing() -> None:
    file = a_file(packs=[a_pack(bonus="5")], promo_codes=[{"code": "AAA", "gives": {"kind": "free_trial", "days": 3}}])
    assert said(file, file) == []
    assert words.of_restart(file, file) == []


def test_what_is_applied_without_a_restart_needs_none() -> None:
    code = {"code": "AAA", "gives": {"kind": "percent", "percent": 10}}
    assert words.of_restart(a_file(), a_file(promo_codes=[code], price_book={"version": "v2"})) == []
    changed = words.of_restart(a_file(), a_file(unit={"singular": "point", "plural": "points"}))
    assert [each.change for each in changed] == [
        "unit.singular: point, not credit",
        "unit.plural: points, not credits",
    ]
