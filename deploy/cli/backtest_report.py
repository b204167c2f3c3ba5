"""What a backtest found: tables on the console, every account in CSV and JSON."""

import csv
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self, TextIO

import orjson
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from libs.contracts import ids
from libs.contracts.credits import format_credits
from services.credits.domain.backtests import BANDS, Bill, Summary, Sums
from services.credits.operations.backtests import Asked

_SHOWN = 20
_COLUMNS = ("usages", "charged", "draft", "difference", "percent", "refused")


class Results:
    """Files that take each account's bill when it is complete: none is kept in memory."""

    def __init__(self, version: str, asked: Asked, *, csv_file: Path | None, json_file: Path | None) -> None:
        self._version = version
        self._asked = asked
        self._names = (csv_file, json_file)
        self._open = ExitStack()
        self._csv: TextIO | None = None
        self._json: TextIO | None = None
        self._comma = ""

    def __enter__(self) -> Self:
        self._csv, self._json = (
            None if name is None else self._open.enter_context(name.open("w", encoding="utf-8", newline=""))
            for name in self._names
        )
        if self._csv is not None:
            csv.writer(self._csv).writerow(("account", "meter", *_COLUMNS))
        if self._json is not None:
            self._json.write(f'{_json(_question(self._version, self._asked))[:-1]},\n"accounts":[')
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def add(self, bill: Bill) -> None:
        """Write an account's bill."""
        account = ids.show("account", bill.account)
        if self._csv is not None:
            rows = ([account, meter, *facts(sums).values()] for meter, sums in sorted(bill.meters.items()))
            csv.writer(self._csv).writerows(rows)
        if self._json is not None:
            meters = {meter: facts(sums) for meter, sums in bill.meters.items()}
            self._json.write(f"{self._comma}\n{_json({'account': account, **facts(bill.total), 'meters': meters})}")
            self._comma = ","

    def finish(self, summary: Summary) -> None:
        """Write the rest."""
        if self._json is not None:
            self._json.write(f"\n],\n{_json(_answer(summary))[1:]}\n")


def facts(sums: Sums) -> dict[str, Any]:
    """Write sums as they are in files: credits as decimal strings."""
    return {
        "usages": sums.usages,
        "charged": format_credits(sums.charged),
        "draft": format_credits(sums.draft),
        "difference": format_credits(sums.difference),
        "percent": sums.percent,
        "refused": sums.refused,
    }


def _question(version: str, asked: Asked) -> dict[str, Any]:
    account = ids.show("account", asked.account) if asked.account else None
    return {"book": version, "since": asked.since, "until": asked.until, "account": account}


def _answer(summary: Summary) -> dict[str, Any]:
    return {
        "total": facts(summary.total),
        "meters": {meter: facts(sums) for meter, sums in summary.meters.items()},
        "bands": {band: summary.bands[band] for band in BANDS},
        "dearer": {
            "by_percent": summary.dearer_by,
            "accounts": summary.dearer_count,
            "largest": [{"account": ids.show("account", id), **facts(sums)} for id, sums in summary.dearer],
        },
        "refusals": [
            {**reason._asdict(), "usages": found.usages, "charged": format_credits(found.charged)}
            for reason, found in summary.refusals.items()
        ],
        "refused_before": [
            {"meter": meter, "code": code, "draft": reason and reason._asdict(), "usages": usages}
            for (meter, code, reason), usages in summary.refused_before.items()
        ],
    }


def _json(document: object) -> str:
    return orjson.dumps(document).decode()


def show(console: Console, summary: Summary, version: str, asked: Asked) -> None:
    """Print what was found: the sums, who pays much more, what is refused."""
    until = f" until before {asked.until:%Y-%m-%d %H:%M}" if asked.until else ""
    console.print(
        f"What was recorded since {asked.since:%Y-%m-%d %H:%M}{until} (UTC), by {version}. Usage before that, of the "
        "same day or month, counts for tiers and allowances and is not summed up.",
        markup=False,
    )
    rows = [(meter, sums) for meter, sums in sorted(summary.meters.items())]
    _table(console, "meter", [*rows, (f"all, of {summary.accounts} accounts", summary.total)])
    changes = "; ".join(f"{band}: {summary.bands[band]}" for band in BANDS if summary.bands[band])
    console.print(f"Accounts by the change of what they would pay: {changes or 'none'}", markup=False)
    if summary.dearer_count:
        console.print(f"{summary.dearer_count} accounts would pay at least {summary.dearer_by} % more; the largest:")
        _table(console, "account", [(ids.show("account", id), sums) for id, sums in summary.dearer[:_SHOWN]])
    _show_refusals(console, summary)


def _table(console: Console, first: str, rows: list[tuple[str, Sums]]) -> None:
    table = Table(first)
    for name in ("usages", "charged", "draft", "difference", "%", "refused"):
        table.add_column(name, justify="right")
    for name, sums in rows:
        table.add_row(escape(name), *("" if fact is None else str(fact) for fact in facts(sums).values()))
    console.print(table)


def _show_refusals(console: Console, summary: Summary) -> None:
    """Say what the draft refuses of what was charged, and what it says to what was refused."""
    said = [
        f"{found.usages} usages, charged {format_credits(found.charged)} then, would be refused: {reason.detail}"
        for reason, found in sorted(summary.refusals.items(), key=lambda item: -item[1].usages)
    ]
    said += [
        f"{usages} usages of {meter or 'other meters'} were refused ({code}); the draft "
        + (f"refuses them: {reason.detail}" if reason else "has a price for them")
        for (meter, code, reason), usages in summary.refused_before.most_common()
    ]
    for line in said[:_SHOWN]:
        console.print(f"  {line}", markup=False)
    if len(said) > _SHOWN:
        console.print(f"  and {len(said) - _SHOWN} reasons more, in the JSON file", markup=False)
