"""Every figure of every report adds up to Stripe's books and to the ledger's; CSV says what JSON says."""

import asyncio
import csv
import io
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from itertools import groupby
from math import floor
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pydantic import BaseModel
from rich.console import Console
from typer.testing import CliRunner, Result

from deploy.cli.reports import commands
from deploy.cli.service_apis import credits_api, payments_api
from deploy.cli.state import State
from deploy.embedded.databases import ServiceDatabase
from deploy.embedded.infrastructure import Infrastructure
from deploy.embedded.ports import free_ports
from deploy.embedded.stack import Addresses
from libs.chassis.errors import DomainError
from libs.chassis.service_client import ServiceClient
from libs.contracts.credits import format_credits
from libs.contracts.http.base import Page
from libs.contracts.http.reports_v1 import DeferredRow, MovementRow, Report, RevenueRow
from tests.integration.credits.serving import GATEWAYS_KEY, PAYMENTS_KEY
from tests.integration.payments.finance import CATALOGUE, Books, Company, Entry, deferred, read_books, tell_story
from tests.integration.payments.reconciled import accounting
from tests.integration.payments.test_catalogue_command import payments
from tests.support.databases import ServicePool
from tests.support.stripe_sandbox import KEY, PUBLISHABLE_KEY

Row = dict[str, Any]
By = Callable[[Entry], tuple[Any, ...]]
MONEY = (
    "gross_minor", "discount_minor", "refunded_minor", "refund_failed_minor", "withdrawn_minor", "reinstated_minor",
    "kept_minor",
)  # fmt: skip
MONTH = {"day": slice(10), "month": slice(7)}
CURRENCIES = ("jpy", "kwd", "usd")
REPORTS = ("revenue", "sales", "promo-codes", "payment-tries", "gift-cards", "deferred")


@dataclass
class Desk:
    """Where somebody of finance types the command, after a company's forty days."""

    state: State
    company: Company
    books: Books
    first: date
    last: date

    async def type(self, *words: str) -> tuple[Result, str]:
        """Type `scrip report`; gives what was printed as a table, too."""
        console = Console(file=io.StringIO(), width=60)
        typed = await asyncio.to_thread(CliRunner().invoke, commands(lambda: self.state, console), [*words])
        assert isinstance(console.file, io.StringIO)
        return typed, console.file.getvalue()

    async def written(self, report: str, form: str, *words: str) -> str:
        """Have a report on all days written, or on others."""
        days = ("--since", str(self.first), "--until", str(self.last))
        typed, _ = await self.type(report, *days, "--format", form, *words)
        assert typed.exit_code == 0, typed.output
        return typed.stdout

    async def report(self, name: str, by: str) -> dict[str, Any]:
        """Ask for a report on all days."""
        found: dict[str, Any] = json.loads(await self.written(name, "json", "--by", by))
        return found


@pytest.fixture(scope="module")
async def desk(
    server: asyncpg.Connection,
    templates: dict[str, ServiceDatabase],
    infrastructure: Infrastructure,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Desk]:
    made, folder = ServicePool(server, templates), tmp_path_factory.mktemp("finance")
    async with accounting(made, infrastructure, folder, catalogue=CATALOGUE) as accountant:
        company, (port,) = Company(accountant), free_ports(1)
        first = company.shop.clock.now().date()
        await tell_story(company)
        settings = {
            "database_url": made.urls("payments").app_url,
            "catalogue": folder / "catalogue.yaml",
            "kafka": infrastructure.kafka,
            "port": port,
            "service_keys_file": folder / "services.json",
            "service_key_file": folder / PAYMENTS_KEY,
            "credits_url": company.shop.bank.url,
            "stripe_secret_key": KEY,
            "stripe_publishable_key": PUBLISHABLE_KEY,
            "stripe_api_base": company.shop.sandbox.url,
        }
        async with payments(settings):
            url = f"http://127.0.0.1:{port}"
            addresses = Addresses("", url, company.shop.bank.url, "", None, None)
            keys = {"SCRIP_GATEWAY_SERVICE_KEY_FILE": str(folder / GATEWAYS_KEY)}
            last = company.shop.clock.now().date()
            yield Desk(State(addresses, {"gateway": keys}), company, await read_books(company), first, last)


def half_up(amount: int, among: int) -> int | None:
    return floor(Fraction(amount, among) + Fraction(1, 2)) if among else None


def rows_of(
    sums: Mapping[tuple[Any, ...], "Counter[str]"], keys: tuple[str, ...], figures: tuple[str, ...]
) -> list[Row]:
    """Write sums as rows."""
    return [
        dict(zip(keys, key, strict=True)) | {name: counted[name] for name in figures}
        for key, counted in sorted(sums.items(), key=str)
    ]


def only(rows: list[Row], keys: tuple[str, ...], figures: tuple[str, ...]) -> list[Row]:
    """Take columns of a report, in the order in which sums are written."""
    taken = [{name: row[name] for name in (*keys, *figures)} for row in rows]
    return sorted(taken, key=lambda row: str(tuple(row[name] for name in keys)))


def in_credits(rows: list[Row]) -> list[Row]:
    """Write credits as answers do."""
    return [{n: format_credits(v) if n.endswith("credits") else v for n, v in row.items()} for row in rows]


async def test_the_story_has_something_of_everything(desk: Desk) -> None:
    assert {entry.what for entry in desk.books.entries} == {
        "charge", "refund", "refund_failure", "dispute", "dispute_reversal"
    }  # fmt: skip
    for report in REPORTS:
        found = await desk.report(report, "day")
        names = {name for name in found["data"][0] if isinstance(found["data"][0][name], int)}
        nothing = {name for name in names if not any(row[name] for row in found["data"])}
        assert nothing <= {"transferred_minor"} | ({*MONEY[2:6]} if report == "promo-codes" else set()), report
        assert len({row["currency"] for row in found["data"]}) == (2 if report == "gift-cards" else 3), report
        assert len({row["period"] for row in found["data"]}) > 2, report


@pytest.mark.parametrize("by", ["day", "month"])
async def test_revenue_is_what_stripes_balance_says(desk: Desk, by: str) -> None:
    found, keys = await desk.report("revenue", by), ("period", "currency")
    figures = (*MONEY, "settled_minor", "fees_minor", "net_minor", "payments")

    def period(entry: Entry) -> tuple[Any, ...]:
        return entry.day[MONTH[by]], entry.currency

    assert only(found["data"], keys, figures) == rows_of(desk.books.sums(period), keys, figures)
    assert all(row["settled_in"] == row["currency"] for row in found["data"])
    accounts = desk.books.accounts(period) | desk.books.accounts(lambda entry: (None, entry.currency))
    for row in [*found["data"], *found["totals"]]:
        paying = accounts.get((row["period"], row["currency"]), 0)
        assert row["paying_accounts"] == paying
        assert row["average_minor"] == half_up(row["gross_minor"], row["payments"])
        assert row["arpu_minor"] == half_up(row["kept_minor"], paying)
        assert row["net_minor"] == row["kept_minor"] - row["fees_minor"]


async def test_revenue_is_what_the_sandbox_says_in_all(desk: Desk) -> None:
    totals = (await desk.company.shop.sandbox.get("books"))["totals"]
    for row in (await desk.report("revenue", "month"))["totals"]:
        said = totals[row["currency"]]
        assert row["gross_minor"] == said["gross"]
        assert row["refunded_minor"] - row["refund_failed_minor"] == said["refunded"]
        assert row["withdrawn_minor"] - row["reinstated_minor"] == said["disputed"]
        assert row["fees_minor"] == said["fees"] + said["dispute_fees"]
        assert row["net_minor"] == said["net"]
        assert row["payments"] == said["payments"]


@pytest.mark.parametrize("by", ["day", "month"])
async def test_sales_are_told_by_pack_gift_card_and_custom_amount(desk: Desk, by: str) -> None:
    found, keys = await desk.report("sales", by), ("period", "kind", "product", "currency")
    sums = desk.books.sums(lambda e: (e.day[MONTH[by]], e.sold.kind, e.sold.product, e.currency))
    figures = (*MONEY, "credits", "bonus_credits", "refunds")
    assert only(found["data"], keys, figures) == in_credits(rows_of(sums, keys, figures))
    assert only(found["data"], keys, ("sold",)) == [
        {("sold" if name == "payments" else name): value for name, value in row.items()}
        for row in rows_of(sums, keys, ("payments",))
    ]
    assert {row["kind"] for row in found["data"]} == {"pack", "gift_card", "custom_amount"}


@pytest.mark.parametrize("by", ["day", "month"])
async def test_promo_codes_are_told_with_what_was_paid_with_them(desk: Desk, by: str) -> None:
    found, keys = await desk.report("promo-codes", by), ("period", "code", "currency")
    sums = desk.books.sums(lambda e: (e.day[MONTH[by]], e.sold.code, e.currency))
    with_code = {key: counted for key, counted in sums.items() if key[1] is not None}
    figures = (*MONEY, "bonus_credits")
    assert only(found["data"], keys, figures) == in_credits(rows_of(with_code, keys, figures))
    assert sum(row["redemptions"] for row in found["totals"]) == 4
    assert {row["code"] for row in found["data"]} == {"TENTH", "EXTRA"}


async def test_tries_to_pay_are_stripes_charges(desk: Desk) -> None:
    tried: dict[tuple[str, str], list[int]] = {}
    for entry in desk.books.entries:
        tried.setdefault((entry.day, entry.currency), [0, 0])[0] += entry.what == "charge"
    for key in desk.books.failed:
        tried.setdefault(key, [0, 0])[1] += 1
    found = await desk.report("payment-tries", "day")
    assert {(row["period"], row["currency"]): [row["succeeded"], row["failed"]] for row in found["data"]} == {
        key: counts for key, counts in tried.items() if any(counts)
    }
    for row in [*found["data"], *found["totals"]]:
        assert row["success_permille"] == row["succeeded"] * 1000 // (row["succeeded"] + row["failed"])


@pytest.mark.parametrize("by", ["day", "month"])
async def test_what_is_deferred_is_what_the_ledgers_entries_say_period_by_period(desk: Desk, by: str) -> None:
    became: dict[tuple[str, str], Counter[str]] = {}
    for day, currency, ways in deferred(desk.books.ledger):
        became.setdefault((currency, day[MONTH[by]]), Counter()).update(ways)
    found = await desk.report("deferred", by)
    rows = sorted(found["data"], key=lambda row: (row["currency"], row["period"]))
    figures = [name for name in rows[0] if name.endswith("_minor") and name[:7] not in ("opening", "closing")]
    for _, of_currency in groupby(rows, key=lambda row: str(row["currency"])):
        before = 0
        for row in of_currency:
            expected = became.pop((row["currency"], row["period"]), Counter())
            assert {name: row[name] for name in figures} == {name: expected[name] for name in figures}
            assert row["opening_minor"] == before
            before = row["closing_minor"]
            assert before == row["opening_minor"] + 2 * row["sold_minor"] - sum(row[name] for name in figures)
    assert became == {}


async def test_what_is_deferred_at_the_end_is_what_remains_of_open_lots_and_was_sold_at_stripe(desk: Desk) -> None:
    async with desk.company.shop.bank.ledger.pool.connection() as conn:
        rows = await conn.fetch(
            "SELECT granted, remaining, cost_minor, currency FROM lot_now WHERE cost_minor > 0 AND open"
        )
    remaining: Counter[str] = Counter()
    for lot in rows:
        gone = lot["granted"] - lot["remaining"]
        remaining[lot["currency"]] += lot["cost_minor"] - lot["cost_minor"] * gone // lot["granted"]
    sold = desk.books.sums(lambda entry: (entry.currency, entry.sold.kind))
    cards = {row["currency"]: row for row in (await desk.report("gift-cards", "month"))["totals"]}
    never = {c: cards[c]["closing_minor"] + cards[c]["voided_minor"] if c in cards else 0 for c in CURRENCIES}
    assert never == {"usd": 5000, "jpy": 5100, "kwd": 0}
    totals = (await desk.report("deferred", "month"))["totals"]
    assert {row["currency"]: row["closing_minor"] for row in totals} == {c: remaining[c] for c in CURRENCIES}
    assert {row["currency"]: row["sold_minor"] + never[row["currency"]] for row in totals} == {
        currency: sum(counted["gross_minor"] for key, counted in sold.items() if key[0] == currency)
        for currency in CURRENCIES
    }


@pytest.mark.parametrize("by", ["day", "month"])
async def test_gift_cards_are_owed_until_they_are_redeemed_or_their_price_went_back(desk: Desk, by: str) -> None:
    first, second = (str(desk.first + timedelta(days=number))[MONTH[by]] for number in (0, 1))
    third = str(desk.first + timedelta(days=2))[MONTH[by]]
    moved = [
        (first, "jpy", 5100, 0, 0),
        (first, "usd", 10000, 0, 0),
        (second, "usd", 0, 5000, 0),
        (third, "usd", 0, 0, 5000),
    ]
    owed: dict[tuple[str, str], list[int]] = {}
    for period, currency, *amounts in moved:
        owed[period, currency] = [a + b for a, b in zip(owed.get((period, currency), [0, 0, 0]), amounts, strict=True)]
    found = (await desk.report("gift-cards", by))["data"]
    figures = ("sold_minor", "redeemed_minor", "voided_minor")
    assert {(row["period"], row["currency"]): [row[name] for name in figures] for row in found} == owed
    assert [row["closing_minor"] for row in found if row["currency"] == "usd"][-1] == 0
    for row in found:
        assert (
            row["closing_minor"]
            == row["opening_minor"] + row["sold_minor"] - row["redeemed_minor"] - row["voided_minor"]
        )


@pytest.mark.parametrize("report", REPORTS)
async def test_totals_are_the_sums_of_rows_and_csv_says_what_json_says(desk: Desk, report: str) -> None:
    found = await desk.report(report, "day")
    rows = list(csv.DictReader(io.StringIO(await desk.written(report, "csv", "--by", "day"))))
    assert rows == [{n: "" if v is None else str(v) for n, v in row.items()} for row in found["data"]]
    apart = {"paying_accounts", "average_minor", "arpu_minor", "success_permille", "opening_minor", "closing_minor"}
    for total in found["totals"]:
        summed = [row for row in found["data"] if row["currency"] == total["currency"]]
        for name in {name for name, value in total.items() if isinstance(value, int)} - apart:
            assert total[name] == sum(row[name] for row in summed), name
    typed, table = await desk.type(report, "--since", str(desk.first), "--until", str(desk.last))
    assert (typed.exit_code, "total" in table, "As of" in table, "…" in table) == (0, True, True, False)


async def test_every_movement_behind_the_figures_can_be_listed(desk: Desk, tmp_path: Path) -> None:
    listed = list(csv.DictReader(io.StringIO(await desk.written("movements", "csv"))))
    assert sorted(
        (row["moved_at"][:10], row["currency"], row["amount_minor"], row["fees_minor"]) for row in listed
    ) == [*sorted((entry.day, entry.currency, str(entry.amount), str(entry.fee)) for entry in desk.books.entries)]
    await desk.written("movements", "json", "--out", str(tmp_path / "all.json"))
    as_json = json.loads((tmp_path / "all.json").read_text())
    assert [{n: "" if v is None else str(v) for n, v in row.items()} for row in as_json] == listed
    assert [row["moved_at"] for row in as_json] == sorted(row["moved_at"] for row in as_json)
    assert sum(row["net_minor"] for row in as_json) == sum(entry.net for entry in desk.books.entries)


async def test_parts_of_the_time_are_parts_of_the_figures(desk: Desk) -> None:
    whole = await desk.report("revenue", "day")
    middle = desk.first + timedelta(days=1)
    days = ("--since", str(middle), "--until", str(middle))
    typed, _ = await desk.type("revenue", *days, "--format", "json")
    assert json.loads(typed.stdout)["data"] == [row for row in whole["data"] if row["period"] == str(middle)]
    typed, _ = await desk.type("deferred", *days, "--format", "json")
    every = await desk.report("deferred", "day")
    part = json.loads(typed.stdout)
    assert part["data"] == [row for row in every["data"] if row["period"] == str(middle)]
    assert [{**row, "period": None} for row in part["data"]] == part["totals"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["revenue", "--since", "2026-03-01", "--until", "2026-02-01"], "lies on or after `since`"),
        (["deferred", "--since", "2020-03-01", "--until", "2026-02-01"], "at most 399 days later"),
        (["sales", "--since", "yesterday"], "yesterday"),
        (["sales", "--by", "week"], "week"),
        (["movements", "--format", "table"], "table"),
    ],
)
async def test_what_cannot_be_reported_is_said_in_words(desk: Desk, words: list[str], said: str) -> None:
    typed, _ = await desk.type(*words)
    assert (typed.exit_code, said in " ".join(typed.output.split())) == (2, True), typed.output


async def test_a_file_that_cannot_be_written_is_said(desk: Desk, tmp_path: Path) -> None:
    typed, _ = await desk.type("revenue", "--out", str(tmp_path / "missing" / "file.csv"))
    assert "cannot be written" in str(typed.exception)


@pytest.mark.parametrize(
    ("path", "model"),
    [*((f"/reports/{name}", Report[RevenueRow]) for name in REPORTS[:5]), ("/reports/movements", Page[MovementRow])],
)
async def test_staff_alone_may_ask(desk: Desk, path: str, model: type[BaseModel]) -> None:
    days = {"since": str(desk.first), "until": str(desk.last)}
    async with payments_api(desk.state) as client:
        assert (await refused(client, path, model, days, caller="user:usr_1")).code.code == "PAY012"
        assert (await refused(client, path, model, days)).code.code == "PAY007"
        bad = await refused(client, path, model, {**days, "colour": "red"}, caller="staff:ada")
        assert (bad.code.code, bad.code.status) == ("PAY007", 422)


async def test_staff_alone_may_ask_the_ledger(desk: Desk) -> None:
    days = {"since": str(desk.first), "until": str(desk.last)}
    async with credits_api(desk.state) as client:
        answer = await refused(client, "/reports/deferred", Report[DeferredRow], days, caller="user:usr_1")
    assert answer.code.code == "PAY012"


async def refused(
    client: ServiceClient, path: str, model: type[BaseModel], params: dict[str, str], *, caller: str | None = None
) -> DomainError:
    with pytest.raises(DomainError) as caught:
        await client.get(path, model, params=params, caller=caller)
    return caught.value
