"""What the code says inside pages that people write: each block stands between two marks, and is written anew."""

from collections.abc import Callable, Collection, Iterator, Mapping

from deploy.generate.documents import PROJECT, Documents
from deploy.generate.markdown import code, table
from services.credits.domain.postings import PRIORITY, REFUSALS
from services.payments.domain.purchases import EDGES, PAID

DOCS = PROJECT / "docs"


def documents() -> Documents:
    """Write the pages, the blocks alone changed. Raises ValueError if a page has no place for one of its blocks."""
    return {DOCS / page: _written((DOCS / page).read_text("utf-8"), blocks) for page, blocks in _BLOCKS.items()}


def _written(text: str, blocks: Mapping[str, Callable[[], str]]) -> str:
    for name, write in blocks.items():
        begin, end = f"<!-- {name}: written by `make generate` -->", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"the page has no place for its block: {begin} {end}")
        text = f"{before}{begin}\n\n{write()}\n\n{end}{after}"
    return text


def _purchase_states() -> str:
    return "\n".join(["```mermaid", *_purchase_diagram(), "```"])


def _purchase_diagram() -> Iterator[str]:
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


def _burn_order() -> str:
    return table(("kind", "priority"), [(code(kind), str(priority)) for kind, priority in PRIORITY.items()])


def _refusals() -> str:
    rows = [(code(outcome), code(reason.code), words) for outcome, (reason, words) in REFUSALS.items()]
    return table(("outcome", "code", "what is told"), rows)


_BLOCKS: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "architecture/payments.md": {"states": _purchase_states},
    "architecture/ledger.md": {"burn order": _burn_order, "refusals": _refusals},
}
