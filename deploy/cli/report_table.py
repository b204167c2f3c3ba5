"""A report as a table for people: money as they write it, and no column of which nothing is to be said."""

from typing import TypeVar

from rich.table import Table

from libs.contracts.credits import format_credits
from libs.contracts.http.reports_v1 import Report, Row
from libs.contracts.money import Money

R = TypeVar("R", bound=Row)

_SETTLED = ("settled_minor", "fees_minor", "net_minor")
_CREDITS = ("credits", "bonus_credits")


def table(report: Report[R], row: type[R]) -> Table:
    """Draw it; the totals come last."""
    rows = [*report.data, *report.totals]
    names = [name for name in row.model_fields if name == "period" or any(getattr(one, name) for one in rows)]
    drawn = Table(title=f"{report.since} to {report.until}, by {report.by}")
    for name in names:
        figures = any(isinstance(getattr(one, name), int) for one in rows)
        drawn.add_column(name.removesuffix("_minor").replace("_", " "), justify="right" if figures else "left")
    for one in report.data:
        drawn.add_row(*(_cell(one, name) for name in names))
    drawn.add_section()
    for one in report.totals:
        drawn.add_row(*(_cell(one, name) or ("total" if name == "period" else "") for name in names), style="bold")
    return drawn


def _cell(row: Row, name: str) -> str:
    value = getattr(row, name)
    if value is None:
        return ""
    if name in _CREDITS:
        return format_credits(value)
    if name.endswith("_minor"):
        currency = getattr(row, "settled_in", row.currency) if name in _SETTLED else row.currency
        return str(Money(amount_minor=value, currency=currency)).partition(" ")[0]
    return str(value)
