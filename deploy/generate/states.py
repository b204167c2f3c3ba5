"""The diagram of a purchase's states in `docs/architecture/payments.md`, drawn from the table of allowed edges."""

from collections.abc import Collection, Iterator

from deploy.generate.documents import PROJECT, Documents
from services.payments.domain.purchases import EDGES, PAID

PAGE = PROJECT / "docs" / "architecture" / "payments.md"

_BEGIN = "<!-- states: drawn by `make generate` from services/payments/domain/purchases.py -->"
_END = "<!-- end of states -->"


def documents() -> Documents:
    """Write the page anew, the diagram alone changed. Raises ValueError if the page has no place for it."""
    before, _, rest = PAGE.read_text("utf-8").partition(_BEGIN)
    _, found, after = rest.partition(_END)
    if not found:
        raise ValueError(f"{PAGE.name} has no diagram between {_BEGIN} and {_END}")
    diagram = "\n".join(["```mermaid", *_diagram(), "```"])
    return {PAGE: f"{before}{_BEGIN}\n\n{diagram}\n\n{_END}{after}"}


def _diagram() -> Iterator[str]:
    """Draw what is not paid and what is as two boxes, since mermaid draws no edge from inside one into another."""
    unpaid = [state for state in EDGES if state not in PAID]
    yield "stateDiagram-v2"
    yield "    [*] --> unpaid"
    yield from _box("unpaid", "not paid", unpaid, first="created")
    yield from _box("paid", "paid", [state for state in EDGES if state in PAID], first="succeeded")
    for target in sorted(PAID):
        sources = [state for state in unpaid if target in EDGES[state]]
        if sources:
            yield f"    unpaid --> paid : {target}" + ("" if sources == unpaid else f" (from {', '.join(sources)})")


def _box(name: str, title: str, states: Collection[str], *, first: str) -> Iterator[str]:
    yield f'    state "{title}" as {name} {{'
    yield f"        [*] --> {first}"
    for source, targets in EDGES.items():
        for target in EDGES:
            if source in states and target in targets and target in states:
                yield f"        {source} --> {target}"
    yield "    }"
