"""What a catalogue file sells, what is to stand for it at Stripe, and what of that is otherwise now."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias
from uuid import UUID

from pydantic import BaseModel

from libs.contracts.catalogue import Catalogue
from libs.contracts.promo_codes import AmountOff, PercentOff, PromoCode, PromoTerms

ItemKind = Literal["pack", "gift_card", "promo_code"]
CounterpartKind = Literal["product", "price", "coupon", "promotion_code"]
Said: TypeAlias = Mapping[str, Any]

_IN_THIS_ORDER = ["product", "coupon", "price", "promotion_code"]


@dataclass(frozen=True, slots=True)
class Item:
    """Something that is sold, or a promo code, on its terms as a catalogue writes them."""

    kind: ItemKind
    id: str
    terms: Said
    active: bool = True


@dataclass(frozen=True, slots=True)
class Wanted:
    """An object that is to be at Stripe. `fixed` is what of it never changes, `said` what can be said of it anew."""

    kind: CounterpartKind
    name: str
    fixed: Said
    said: Said

    @property
    def fingerprint(self) -> str:
        """Tell it from all others, in few characters."""
        written = json.dumps([self.kind, self.name, self.fixed], sort_keys=True)
        return hashlib.sha256(written.encode()).hexdigest()[:32]

    @property
    def active(self) -> bool:
        """Tell whether it is to be of use; a coupon always is, it takes a promotion code to use it."""
        return self.said.get("active") is not False

    @property
    def owner(self) -> str | None:
        """Fingerprint the object that Stripe wants named in this one: a price's product, a promotion code's coupon."""
        if self.kind == "price":
            return Wanted("product", self.name, {}, {}).fingerprint
        if self.kind == "promotion_code":
            return Wanted("coupon", self.name, self.fixed["coupon"], {}).fingerprint
        return None

    @property
    def turn(self) -> tuple[int, bool]:
        """Say when its turn is: owners first; a price passes its lookup key on before it ends, a code ends before."""
        return _IN_THIS_ORDER.index(self.kind), self.active == (self.kind == "promotion_code")


@dataclass(frozen=True, slots=True)
class Counterpart(Wanted):
    """Such an object as we have recorded it: Stripe has it, or is to have it."""

    id: UUID
    revision: int
    told: int
    stripe_id: str | None

    @property
    def due(self) -> bool:
        """Tell whether Stripe has not answered yet to what is to be said of it."""
        return self.told < self.revision


@dataclass(frozen=True, slots=True)
class Difference:
    """An object that is to be otherwise at Stripe than what we recorded last, if anything."""

    wanted: Wanted
    before: Counterpart | None


def items(catalogue: Catalogue) -> list[Item]:
    """List what a file sells, and its promo codes."""
    return [
        *(Item("pack", pack.id, terms(pack)) for pack in catalogue.packs),
        *(Item("gift_card", card.id, terms(card)) for card in catalogue.gift_cards),
        *(Item("promo_code", promo.code, terms(promo)) for promo in catalogue.promo_codes),
    ]


def terms(written: BaseModel) -> dict[str, Any]:
    """Write terms without their name, without what is as it is by default, and with times in UTC."""
    times = {name: value.astimezone(UTC) for name, value in written if isinstance(value, datetime)}
    written = written.model_copy(update=times)
    return written.model_dump(mode="json", exclude={"id", "code"}, exclude_defaults=True)


def promo_terms(promo: PromoCode) -> PromoTerms:
    """Take a code's terms without the code."""
    return PromoTerms.model_validate(promo.model_dump(exclude={"code"}, mode="json"))


def otherwise(wanted: Iterable[Item], there: Iterable[Item]) -> list[tuple[Item, Item | None]]:
    """Pair what is to be otherwise with what there is; what is there alone is to be retired."""
    known = {(item.kind, item.id): item for item in there}
    named = {(item.kind, item.id): item for item in wanted}
    changed = [(item, known.get(name)) for name, item in named.items() if known.get(name) != item]
    gone = [item for name, item in known.items() if name not in named and item.active]
    return [*changed, *((replace(item, active=False), item) for item in gone)]


def wanted_at_stripe(catalogue: Catalogue, *, at: datetime) -> list[Wanted]:
    """List what is to be at Stripe."""
    found: list[Wanted] = []
    for kind, sold in (("pack", catalogue.packs), ("gift_card", catalogue.gift_cards)):
        for item in sold:
            name = f"{kind}:{item.id}"
            called = item.id if kind == "pack" else name  # a pack's id has no colon
            found.append(Wanted("product", name, {}, {"name": item.name, "active": True}))
            for price in item.prices:
                fixed = {"currency": price.currency, "unit_amount": price.amount_minor}
                said = {"active": True, "lookup_key": f"scrip_{called}_{price.currency}"}
                found.append(Wanted("price", name, fixed, said))
    return [*found, *(each for promo in catalogue.promo_codes for each in _discount(promo, at))]


def _discount(promo: PromoCode, at: datetime) -> Iterator[Wanted]:
    """Make a coupon and its code, if Stripe can keep what the code's terms say about what is bought, when, by whom."""
    began = promo.starts_at is None or promo.starts_at <= at
    over = promo.ends_at is not None and promo.ends_at <= at
    everybodys = promo.accounts is None and promo.packs is None and promo.custom_amounts
    if "_" in promo.code or not began or over or not everybodys or len(promo.minimum) > 1:
        return
    if isinstance(promo.gives, PercentOff):
        coupon: dict[str, Any] = {"percent_off": promo.gives.percent}
    elif isinstance(promo.gives, AmountOff) and len(promo.gives.amounts) == 1:
        amount = promo.gives.amounts[0]
        coupon = {"amount_off": amount.amount_minor, "currency": amount.currency}
    else:
        return
    name = f"promo_code:{promo.code}"
    yield Wanted("coupon", name, coupon, {"name": promo.code})
    yield Wanted("promotion_code", name, {"code": promo.code, "coupon": coupon, **_limits(promo)}, {"active": True})


def _limits(promo: PromoCode) -> dict[str, Any]:
    restrictions: dict[str, Any] = {}
    if promo.new_customers_only:
        restrictions["first_time_transaction"] = True
    for least in promo.minimum:
        restrictions |= {"minimum_amount": least.amount_minor, "minimum_amount_currency": least.currency}
    said = {
        "max_redemptions": promo.total_limit,
        "expires_at": int(promo.ends_at.timestamp()) if promo.ends_at else None,
        "restrictions": restrictions,
    }
    return {name: value for name, value in said.items() if value}


def differences(wanted: Iterable[Wanted], known: Iterable[Counterpart], *, at: datetime) -> list[Difference]:
    """Say what is to be otherwise at Stripe. What is there and not wanted ends, unless it has ended by itself."""
    there = {each.fingerprint: each for each in known}
    named = {each.fingerprint: each for each in wanted}
    said = [
        Difference(each, there.get(name))
        for name, each in named.items()
        if name not in there or there[name].said != each.said
    ]
    ending = [each for name, each in there.items() if name not in named and _goes_on(each, at)]
    return said + [Difference(_ended(each), each) for each in ending]


def _goes_on(each: Counterpart, at: datetime) -> bool:
    ends = each.fixed.get("expires_at")
    return bool(each.said.get("active")) and (ends is None or ends > at.timestamp())


def _ended(each: Counterpart) -> Wanted:
    kept = {word: value for word, value in each.said.items() if word != "lookup_key"}
    return Wanted(each.kind, each.name, each.fixed, {**kept, "active": False})
