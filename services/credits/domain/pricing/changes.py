"""The difference between two versions of the price book, in words."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from libs.contracts.credits import format_credits
from libs.contracts.price_book import AddOn, Meter, Outcome, Price, PriceBook, Surcharge, Tiers


def changes(old: PriceBook, new: PriceBook) -> list[str]:
    """Say what of `new` is otherwise than in `old`, meter by meter; nothing if only the version is."""
    said = _otherwise("parts of a micro-credit are rounded", old.rounding, new.rounding)
    for name in sorted(old.meters.keys() | new.meters.keys()):
        before, after = old.meters.get(name), new.meters.get(name)
        if before is None:
            said.append(f"{name}: new")
        elif after is None:
            said.append(f"{name}: gone; its usage will be refused")
        else:
            said += [f"{name}: {change}" for change in _of_meter(before, after)]
    return said


def _of_meter(old: Meter, new: Meter) -> Iterator[str]:
    yield from _otherwise("its unit is", old.unit, new.unit)
    yield from _otherwise("a billed unit is", f"{old.billing.per} {old.unit}", f"{new.billing.per} {new.unit}")
    yield from _otherwise("parts of a billed unit are rounded", old.billing.rounding, new.billing.rounding)
    yield from _otherwise("free units", f"{old.allowance} a {old.period}", f"{new.allowance} a {new.period}")
    yield from _otherwise("a usage costs at least", format_credits(old.minimum), format_credits(new.minimum))
    yield from _of_named("property", old.properties, new.properties, _property)
    before, after = ({price.when or "": price for price in meter.prices} for meter in (old, new))
    yield from _of_named("price", before, after, _price)
    if _order(old.prices) != _order(new.prices) and set(_order(old.prices)) == set(_order(new.prices)):
        yield "its prices are tried in another order"
    yield from _of_named("surcharge", _by_name(old.surcharges), _by_name(new.surcharges), _surcharge)
    yield from _of_named("add-on", _by_name(old.add_ons), _by_name(new.add_ons), _add_on)
    yield from _of_named("outcome", _by_name(old.outcomes), _by_name(new.outcomes), _outcome)


def _by_name(rules: Sequence[Any]) -> dict[str, Any]:
    return {rule.name: rule for rule in rules}


def _otherwise(what: str, old: str, new: str) -> list[str]:
    return [] if old == new else [f"{what} {new}, not {old}"]


def _order(prices: Sequence[Price]) -> list[str]:
    return [price.when or "" for price in prices]


def _of_named(what: str, old: Mapping[str, Any], new: Mapping[str, Any], say: Any) -> Iterator[str]:
    for name in [*old, *(name for name in new if name not in old)]:
        called = f"{what} {name}" if name else f"{what} of all else"
        if name not in new:
            yield f"{called}: gone, it was {say(old[name])}"
        elif name not in old:
            yield f"{called}: new, {say(new[name])}"
        elif old[name] != new[name]:
            yield f"{called}: {say(new[name])}, not {say(old[name])}"


def _property(kind: Any) -> str:
    facts = {"type": kind.type} | kind.model_dump(exclude_defaults=True)
    said = [", ".join(value) if isinstance(value, list) else str(value) for value in facts.values()]
    return " ".join(f"{name} {value}" for name, value in zip(facts, said, strict=True))


def _price(price: Price) -> str:
    return _tiers(price.tiers) if price.tiers else f"{format_credits(price.credits or 0)} a unit"


def _tiers(tiers: Tiers) -> str:
    steps = [
        f"{format_credits(tier.credits)} {f'up to {tier.upto}' if tier.upto else 'beyond'}" for tier in tiers.steps
    ]
    return f"by {tiers.mode} tiers: {', '.join(steps)}"


def _surcharge(rule: Surcharge) -> str:
    return f"{rule.percent:+d} %{_when(rule.when)}"


def _add_on(rule: AddOn) -> str:
    return f"+{format_credits(rule.credits)} for each {rule.each}{_when(rule.when)}"


def _outcome(rule: Outcome) -> str:
    return f"{rule.percent} % is charged{_when(rule.when)}"


def _when(condition: str | None) -> str:
    return f" where {condition}" if condition else ""
