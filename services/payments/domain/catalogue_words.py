"""What applying a catalogue changes, in words."""

from collections.abc import Iterator, Mapping
from typing import Any

from libs.contracts.catalogue import Catalogue
from libs.contracts.http.catalogue_v1 import CatalogueChange
from libs.contracts.money import Money
from services.payments.domain.catalogue import Counterpart, Difference, Item, Wanted

_MOST_NAMED = 10
_LISTED = {"packs", "gift_cards"}
_APPLIED = {"price_book", "promo_codes"}


def of_item(now: Item, before: Item | None) -> list[CatalogueChange]:
    """Say what becomes otherwise of something that is sold, in the database."""
    if not now.active:
        sold = now.kind != "promo_code"
        changes = ["retired: out of sale once services run without it" if sold else "retired: it gives nothing"]
    elif before is None:
        changes = [f"new: {', '.join(f'{name} {told(value)}' for name, value in now.terms.items())}"]
    else:
        changes = [] if before.active else ["back again"]
        changes += fields(before.terms, now.terms)
    return [CatalogueChange(place="database", what=_named(now.kind, now.id), change=change) for change in changes]


def of_difference(difference: Difference) -> CatalogueChange:
    """Say what becomes otherwise of an object at Stripe."""
    now, before = difference.wanted, difference.before
    if before is None:
        change = "new"
    elif not now.active:
        change = "ends"
    elif not before.active:
        change = "active again"
    else:
        change = "; ".join(fields(before.said, now.said))
    return _at_stripe(now, change)


def of_due(due: Counterpart) -> CatalogueChange:
    """Say what Stripe has still to be told, since it was to be told before."""
    said = ", ".join(f"{name} {told(value)}" for name, value in due.said.items())
    return _at_stripe(due, f"is to be told: {said}")


def of_step(step: Counterpart) -> CatalogueChange:
    """Say what Stripe was told."""
    if not step.active:
        return _at_stripe(step, "ended")
    return _at_stripe(step, "made" if step.told == 0 else "changed")


def of_restart(running: Catalogue, file: Catalogue) -> list[CatalogueChange]:
    """Say what services do otherwise once they are started with the file."""
    before, now = (each.model_dump(mode="json", exclude=_APPLIED) for each in (running, file))
    said = [
        f"{name}: otherwise than what they sell by" for name in sorted(_LISTED) if before.pop(name) != now.pop(name)
    ]
    said += fields(before, now)
    return [CatalogueChange(place="restart", what="services", change=change) for change in said]


def fields(before: Mapping[str, Any], now: Mapping[str, Any], within: str = "") -> list[str]:
    """Say field by field what is otherwise."""
    return list(_fields(before, now, within))


def _fields(before: Mapping[str, Any], now: Mapping[str, Any], within: str) -> Iterator[str]:
    for name in [*now, *(name for name in before if name not in now)]:
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict) and not _is_money(new):
            yield from _fields(old, new, f"{within}{name}.")
        elif old != new:
            yield f"{within}{name}: {told(new)}, not {told(old)}"


def told(value: Any) -> str:
    """Write a value as people do."""
    if value is None or value in ([], {}):
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        named = value if len(value) <= _MOST_NAMED else [*value[:_MOST_NAMED], f"{len(value) - _MOST_NAMED} more"]
        return ", ".join(told(each) for each in named)
    if _is_money(value):
        return str(Money.model_validate(value))
    if isinstance(value, dict):
        return " ".join(f"{name} {told(each)}" for name, each in value.items())
    return str(value)


def _is_money(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"amount_minor", "currency"}


def _named(kind: str, id: str) -> str:
    return f"{kind.replace('_', ' ')} {id}"


def _at_stripe(each: Wanted, change: str) -> CatalogueChange:
    kind, _, id = each.name.partition(":")
    called = each.kind.replace("_", " ")
    if each.kind == "price":
        called += f" {Money(amount_minor=each.fixed['unit_amount'], currency=each.fixed['currency'])}"
    return CatalogueChange(place="stripe", what=_named(kind, id), change=f"{called}: {change}")
