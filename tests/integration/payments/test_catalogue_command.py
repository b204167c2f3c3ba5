"""`scrip catalogue` beside running services: what it says, what it does, that it can be interrupted."""

import asyncio
import io
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from stripe import StripeClient

from deploy.cli import __main__ as cli
from deploy.cli import catalogue, catalogue_prices
from deploy.cli.catalogue import BusyError, RefusedByStripeError, applied, planned
from deploy.cli.grants import UnusableFileError
from deploy.cli.service_apis import credits_api
from deploy.cli.state import State
from deploy.cli.yaml_files import read_catalogue
from deploy.embedded.infrastructure import Infrastructure
from deploy.embedded.ports import free_ports
from deploy.embedded.stack import Addresses
from libs.chassis import migrations
from libs.chassis.leading import leading
from libs.chassis.runner import Part
from libs.chassis.service import lay
from libs.contracts.catalogue import Catalogue
from libs.contracts.http.prices_v1 import PriceBookDocument, PriceBookVersions
from services.payments.app import compose
from services.payments.settings import Settings
from services.payments.store import catalogue as store
from tests.integration.credits.serving import GATEWAYS_KEY, PAYMENTS_KEY, serving
from tests.integration.payments.shop import Object, Shop
from tests.integration.payments.window import PRO, QUARTER_OFF, SOLD, STARTER, Window
from tests.support.books import assert_books_balance
from tests.support.databases import ServicePool
from tests.support.stripe_sandbox import KEY, PUBLISHABLE_KEY

PROJECT = Path(__file__).parents[3]
CATALOGUES = sorted((PROJECT / "deploy" / "catalogues").glob("*.yaml"))
SCHEMA = migrations.read("chassis", migrations.PLUMBING) + migrations.read(
    "payments", PROJECT / "services" / "payments" / "migrations"
)
CHEAP: Object = {"version": "v1", "meters": {"minutes": {"unit": "minute", "prices": [{"credits": "1"}]}}}
DEAR: Object = {"version": "v2", "meters": {"minutes": {"unit": "minute", "prices": [{"credits": "2"}]}}}


@asynccontextmanager
async def payments(settings: dict[str, Any]) -> AsyncIterator[None]:
    """Run the payments service's API in this process."""
    made = Settings(**settings)
    started: list[Part] = []
    try:
        for part in await compose(made, await lay("payments", "api", made, SCHEMA)):
            await part.start()
            started.append(part)
        yield
    finally:
        for part in reversed(started):
            await part.stop()


@dataclass
class Desk:
    """Where somebody types the command."""

    state: State
    window: Window
    folder: Path

    def file(self, **written: Any) -> Catalogue:
        """Write a file, and read it as the command does."""
        document = self.window.file(**{"price_book": CHEAP, **written}).model_dump(mode="json", exclude_none=True)
        (self.folder / "shop.yaml").write_text(yaml.safe_dump(document))
        return read_catalogue(self.folder / "shop.yaml")

    async def plan(self, file: Catalogue) -> str:
        """Print a plan."""
        written = io.StringIO()
        catalogue.show(Console(file=written, width=300), await planned(self.state, file))
        return self.window.plain(written.getvalue())

    async def apply(self, file: Catalogue) -> str:
        """Apply a file, and tell what was printed."""
        written = io.StringIO()
        await applied(self.state, Console(file=written, width=300), file, by="ada")
        return self.window.plain(written.getvalue())

    async def type(self, *words: str) -> tuple[int, str]:
        """Type the command with the file, on a stack that is known by its state."""
        (self.folder / "stack.json").write_text(
            json.dumps({"addresses": vars_of(self.state.addresses), "environments": self.state.environments})
        )
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "deploy.cli", "catalogue", *words),
            cwd=PROJECT,
            env={**os.environ, "SCRIP_DATA": str(self.folder)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        printed, _ = await process.communicate()
        return process.returncode or 0, self.window.plain(printed.decode())

    async def versions(self) -> list[tuple[str, str]]:
        """Read the versions of the price book, and their states."""
        async with credits_api(self.state) as client:
            found = await client.get("/price-books", PriceBookVersions)
        return [(each.version, each.state) for each in found.data]


def vars_of(addresses: Addresses) -> dict[str, str | None]:
    return {name: getattr(addresses, name) for name in Addresses.__dataclass_fields__}


@pytest.fixture
async def desk(
    shop: Shop, dashboard: StripeClient, service_pool: ServicePool, infrastructure: Infrastructure, tmp_path: Path
) -> AsyncIterator[Desk]:
    ledger = await service_pool("credits")
    window = Window(shop, dashboard)
    running = window.file(packs=[STARTER], price_book=CHEAP)
    (port,) = free_ports(1)
    async with serving(service_pool.urls("credits"), infrastructure, catalogue=running, folder=tmp_path) as credits:
        settings = {
            "database_url": service_pool.urls("payments").app_url,
            "catalogue": tmp_path / "catalogue.yaml",
            "kafka": infrastructure.kafka,
            "port": port,
            "service_keys_file": tmp_path / "services.json",
            "service_key_file": tmp_path / PAYMENTS_KEY,
            "credits_url": str(credits.http.base_url),
            "stripe_secret_key": KEY,
            "stripe_publishable_key": PUBLISHABLE_KEY,
            "stripe_api_base": shop.sandbox.url,
            "stripe_retries": 0,
            "stripe_timeout_seconds": 0.5,
        }
        async with payments(settings):
            addresses = Addresses(
                gateway="",
                payments=f"http://127.0.0.1:{port}",
                credits=str(credits.http.base_url),
                notifications="",
                stripe=None,
                mailbox=None,
            )
            keys = {"SCRIP_GATEWAY_SERVICE_KEY_FILE": str(tmp_path / GATEWAYS_KEY)}
            yield Desk(State(addresses, {"gateway": keys}), window, tmp_path)
    await assert_books_balance(ledger)


async def test_a_plan_says_what_changes_in_the_database_at_stripe_in_prices_and_by_a_restart(desk: Desk) -> None:
    file = desk.file(packs=[STARTER, PRO], promo_codes=[QUARTER_OFF], price_book=DEAR, limits={"staff_grant": "100"})
    said = (await desk.plan(file)).splitlines()
    assert said == [
        "In the database:",
        "  pack starter: new: name Starter, credits 50, prices 9.99 USD",
        "  pack pro: new: name Pro, credits 150, bonus 10, prices 24.99 USD, 22.99 EUR",
        "  promo code SPRING: new: gives kind percent percent 25, total_limit 500",
        "At Stripe:",
        "  pack starter: product: new",
        "  pack starter: price 9.99 USD: new",
        "  pack pro: product: new",
        "  pack pro: price 24.99 USD: new",
        "  pack pro: price 22.99 EUR: new",
        "  promo code SPRING: coupon: new",
        "  promo code SPRING: promotion code: new",
        "Prices of usage:",
        "  price book v2: new; it becomes active a minute after it is applied",
        "  price book v2: minutes: price of all else: 2 a unit, not 1 a unit",
        "Only once the services are started with this file, which they read when they start:",
        "  services: packs: otherwise than what they sell by",
        "  services: limits.staff_grant: 100, not nothing",
    ]
    assert await desk.window.items() == {}
    assert await desk.versions() == [("v1", "active")]


async def test_what_is_applied_is_so_and_then_there_is_nothing_to_do(desk: Desk) -> None:
    file = desk.file(**SOLD, price_book=DEAR)
    said = await desk.apply(file)
    assert "pack pro: price 22.99 EUR: made" in said
    assert "price book v2: becomes active at " in said
    assert await desk.versions() == [("v2", "scheduled"), ("v1", "active")]
    assert await desk.apply(file) == ""
    again = await planned(desk.state, file)
    assert (again.to_apply, {line.place for line in again.lines}) == (False, {"restart"})
    assert len(await desk.window.at_stripe("price")) == 4


async def test_the_exit_code_of_a_plan_tells_whether_there_is_something_to_do(desk: Desk) -> None:
    desk.file(packs=[STARTER])
    code, said = await desk.type("plan", str(desk.folder / "shop.yaml"), "--json")
    assert code == 2
    assert json.loads(said)["changes"][0] == {
        "place": "database",
        "what": "pack starter",
        "change": "new: name Starter, credits 50, prices 9.99 USD",
    }
    code, said = await desk.type("apply", str(desk.folder / "shop.yaml"))
    assert code == 1  # nobody said yes
    assert await desk.window.items() == {}
    code, said = await desk.type("apply", str(desk.folder / "shop.yaml"), "--yes")
    assert code == 0
    assert said.endswith("Done.\n")
    assert await desk.type("plan", str(desk.folder / "shop.yaml")) == (0, "Everything is as the file says.\n")
    assert await desk.type("apply", str(desk.folder / "shop.yaml")) == (0, "Everything is as the file says.\n")


async def test_three_who_type_it_at_once_make_everything_once(desk: Desk) -> None:
    file = desk.file(**SOLD, price_book=DEAR)
    said = await asyncio.gather(*(desk.apply(file) for _ in range(3)))
    assert sum("pack pro: product: made" in each for each in said) == 1
    assert sum("price book v2: becomes active" in each for each in said) >= 1
    assert len(await desk.window.at_stripe("product")) == 3
    assert len(await desk.window.at_stripe("price")) == 4
    assert await desk.versions() == [("v2", "scheduled"), ("v1", "active")]


async def test_what_stripe_lost_or_slows_is_asked_for_again(desk: Desk) -> None:
    await desk.window.shop.faults(
        {"kind": "hang_after", "method": "POST", "path": "/v1/prices"},
        {"kind": "429", "method": "POST", "path": "/v1/promotion_codes"},
    )
    await desk.apply(desk.file(**SOLD))
    assert len(await desk.window.at_stripe("price")) == 4
    assert len(await desk.window.at_stripe("promotion_code")) == 2


async def test_a_drafted_price_book_is_replaced_and_activated(desk: Desk) -> None:
    """As after an apply that ended between the two."""
    async with credits_api(desk.state) as client:
        book = desk.file(price_book={**DEAR, "rounding": "down"}).price_book
        await client.put("/price-books/v2", book, PriceBookDocument, caller="staff:ada")
    file = desk.file(price_book=DEAR)
    assert "price book v2: a draft; it becomes active a minute after it is applied" in await desk.plan(file)
    await desk.apply(file)
    assert await desk.versions() == [("v2", "scheduled"), ("v1", "active")]


async def test_a_price_book_that_somebody_else_applies_meanwhile_is_applied(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = desk.file(price_book=DEAR).price_book
    async with credits_api(desk.state) as client:
        put = client.put

        async def overtaken(*given: Any, **more: Any) -> Any:
            monkeypatch.setattr(client, "put", put)
            assert len(await catalogue_prices.apply(client, book, by="bob")) == 1
            return await put(*given, **more)

        monkeypatch.setattr(client, "put", overtaken)
        assert await catalogue_prices.apply(client, book, by="ada") == []
    assert await desk.versions() == [("v2", "scheduled"), ("v1", "active")]


async def test_a_price_book_that_says_something_else_under_a_name_in_use_is_refused(desk: Desk) -> None:
    file = desk.file(price_book={**DEAR, "version": "v1"})
    with pytest.raises(UnusableFileError, match=r'"v1" is in use.*2 a unit, not 1 a unit\. Give it a new version'):
        await desk.plan(file)


async def test_a_price_book_that_was_superseded_is_remarked(desk: Desk) -> None:
    await desk.apply(desk.file(price_book=DEAR))
    (desk.folder / "clock").write_text("3600")
    await asyncio.sleep(0.2)
    assert "The price book v1 was superseded by v2." in await desk.plan(desk.file(price_book=CHEAP))


async def test_a_step_that_stripe_refuses_is_named_with_stripes_reason(desk: Desk) -> None:
    dashboard = desk.window.dashboard
    coupon = await dashboard.v1.coupons.create_async({"percent_off": 5, "duration": "once"})
    code: Any = {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": f"SPRING{desk.window.mark}"}
    await dashboard.v1.promotion_codes.create_async(code)
    with pytest.raises(RefusedByStripeError, match=r"promo code SPRING\d+: promotion code: .* already exists"):
        await desk.apply(desk.file(promo_codes=[QUARTER_OFF]))


async def test_who_comes_while_somebody_applies_waits_and_then_says_so(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "PATIENCE_SECONDS", 0.6)
    async with desk.window.shop.pool.connection() as conn, leading(conn, store.LOCK):
        with pytest.raises(BusyError):
            await desk.apply(desk.file(packs=[STARTER]))
    assert await desk.window.items() == {}


@pytest.mark.parametrize("example", CATALOGUES, ids=lambda file: file.stem)
async def test_every_example_can_be_applied(desk: Desk, example: Path) -> None:
    """All tests share one Stripe: what another example sells under the same name is found there, and brought along."""
    file = read_catalogue(example)
    await desk.apply(file)
    assert not (await planned(desk.state, file)).to_apply
    assert {item.id for item in (await desk.window.items()).values() if item.kind == "pack"} == {
        pack.id for pack in file.packs
    }


WRITTEN = """\
name: shop
packs:
  - {id: starter, name: Starter, credits: "50", prices: [{amount_minor: 999, currency: usd}]}
  - id: pro
    name: Pro
    credits: "150"
    prices: [{amount_minor: 2499, currency: usd}]
promo_codes:
  - {code: SPRING, gives: {kind: percent, percent: 25}}
price_book:
  version: v1
  meters:
    minutes:
      unit: minute
      prices:
        - credits: "1"
"""


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ('credits: "150"', "credits: 150", r"line 6: packs\.1\.credits: .*decimal string"),
        ("name: Pro", "nome: Pro", r"line 4: packs\.1\.name: Field required\n.*line 5: packs\.1\.nome: Extra"),
        ("percent: 25", "percent: 100", r"line 9: promo_codes\.0\.gives\.percent\.percent"),
        ('- credits: "1"', '- {when: "a >", credits: "1"}', "line 16: "),
        ("packs:", "packs: [", r"line \d+: cannot be read"),
        ("name: Pro", 'name: ""', r"line 5: packs\.1\.name: String should have at least 1"),
        ("amount_minor: 2499", "amount_minor: 249.9", r"line 7: packs\.1\.prices\.0\.amount_minor"),
    ],
)
def test_a_wrong_file_is_refused_with_the_lines(tmp_path: Path, right: str, wrong: str, complaint: str) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(WRITTEN)
    read_catalogue(file)
    file.write_text(WRITTEN.replace(right, wrong))
    with pytest.raises(UnusableFileError, match=rf"shop\.yaml, {complaint}"):
        read_catalogue(file)


def test_a_wrong_file_is_told_in_words_before_a_stack_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop.yaml").write_text("name: shop")
    monkeypatch.setattr(sys, "argv", ["scrip", "catalogue", "plan", str(tmp_path / "shop.yaml")])
    monkeypatch.setenv("SCRIP_DATA", str(tmp_path))
    with pytest.raises(SystemExit, match="line 1: price_book: Field required"):
        cli.main()
