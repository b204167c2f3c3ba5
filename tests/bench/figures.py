"""Figures of a benchmark: collected, shown as a table, written as JSON in one shape."""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

Part = Callable[["Figures"], Awaitable[None]]
"""A part of a benchmark, which adds its figures."""

BUILD = Path(__file__).parents[2] / "build" / "bench"


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value; `goal` is what it should not pass, in words ("<= 120"), or None if it is only reported."""

    value: float
    unit: str
    goal: str | None = None

    @property
    def met(self) -> bool | None:
        """Tell whether the goal is met; None without one."""
        if self.goal is None:
            return None
        how, bound = self.goal.split()
        return self.value <= float(bound) if how == "<=" else self.value >= float(bound)


@dataclass
class Figures:
    """All figures of one benchmark, kept in `build/bench/<name>.json`; a partial run adds to what is there."""

    name: str
    console: Console
    found: dict[str, Figure] = field(default_factory=dict)

    def add(self, name: str, value: float, unit: str, goal: str | None = None) -> None:
        """Take a figure, show it, and write all down, so that an interrupted run leaves what it had."""
        figure = Figure(round(value, 3), unit, goal)
        self.found[name] = figure
        self.console.print(f"  {name} = {figure.value:g} {unit}" + (f" (goal {goal})" if goal else ""))
        self._write()

    async def measure(self, parts: Mapping[str, Part], names: Iterable[str]) -> None:
        """Measure the parts that are named, saying what each is about, and show all figures."""
        for name in names:
            self.console.print(f"{name}: {(parts[name].__doc__ or '').splitlines()[0]}")
            await parts[name](self)
        self.show()

    def show(self) -> None:
        """Print the table."""
        table = Table("figure", "value", "unit", "goal", "met")
        for name, figure in self.found.items():
            met = {True: "yes", False: "[red]no[/red]", None: ""}[figure.met]
            table.add_row(name, f"{figure.value:g}", figure.unit, figure.goal or "", met)
        self.console.print(table)

    def _write(self) -> None:
        BUILD.mkdir(parents=True, exist_ok=True)
        file = BUILD / f"{self.name}.json"
        figures = json.loads(file.read_text())["figures"] if file.exists() else {}
        for name, figure in self.found.items():
            figures[name] = {"value": figure.value, "unit": figure.unit, "goal": figure.goal}
        file.write_text(json.dumps({"figures": figures}, indent=2) + "\n")
