"""Our own source, read as syntax trees."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
OTHERS = ROOT / "tests" / "contract" / "stripe"
"""Stripe's material, kept as it came."""


@dataclass(frozen=True)
class Source:
    """A Python file of ours."""

    path: Path

    @property
    def name(self) -> str:
        """Its path in the project."""
        return str(self.path.relative_to(ROOT))

    @cached_property
    def text(self) -> str:
        """What is in it."""
        return self.path.read_text("utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        """Its syntax tree."""
        return ast.parse(self.text)

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """What each node is part of."""
        return {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    def around(self, node: ast.AST) -> Iterator[ast.AST]:
        """Walk from a node outwards, itself included."""
        while True:
            yield node
            if node not in self.parents:
                return
            node = self.parents[node]

    def module(self) -> ModuleType:
        """Import it."""
        parts = self.path.relative_to(ROOT).with_suffix("").parts
        return import_module(".".join(part for part in parts if part != "__init__"))

    def where(self, node: ast.AST) -> str:
        """Say where a node is."""
        return f"{self.name}:{getattr(node, 'lineno', 0)}: {ast.unparse(node)}"


def sources(*folders: str) -> list[Source]:
    """Read all files below some folders of the project."""
    files = (file for folder in folders for file in sorted((ROOT / folder).rglob("*.py")))
    return [Source(file) for file in files if not file.is_relative_to(OTHERS)]
