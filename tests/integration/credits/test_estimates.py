"""Estimates: what a charge would cost, by the very rules, and nothing happens."""

import random
from decimal import Decimal
from typing import Any

import pytest
import yaml

from deploy.embedded.settings import PROJECT
from libs.contracts import ids
from libs.contracts.catalogue import Catalogue
from libs.contracts.price_book import BooleanProperty, IntegerProperty, Meter, Property
from tests.integration.credits.serving import Api, problem
from tests.integration.credits.test_metered_prices import METER
from tests.support.ledger import Credits, used

TIERS = {"version": "tiers-1", "meters": {"calls": METER, "daily": METER | {"period": "day"}}}
BOOKS = ("points", "video", "ai-generation", "booking", "tokens", "tiers")


@pytest.fixture
def catalogue(request: pytest.FixtureRequest) -> Catalogue:
    """A catalogue that sells by its own price book, welcomes with some credits, and limits nothing."""
    name = getattr(request, "param", "tiers")
    book, credits = TIERS, "300"
    if name != "tiers":
        credits = "2000"
        book = yaml.safe_load((PROJECT / "deploy" / "catalogues" / f"{name}.yaml").read_text())["price_book"]
    return Catalogue.of({"name": name, "welcome_bonus": {"credits": credits}, "price_book": book})


def a_value(chance: random.Random, kind: Property) -> Any:
    if isinstance(kind, BooleanProperty):
        return chance.random() < 0.5
    if isinstance(kind, IntegerProperty):
        return chance.randint(kind.minimum, min(kind.maximum, kind.minimum + 20))
    return chance.choice(kind.values or ["anything"])


def an_order(chance: random.Random, meters: dict[str, Meter]) -> dict[str, Any]:
    if not meters or chance.random() < 0.1:
        return {"amount": str(Decimal(chance.randint(1, 30_000_000)) / 1_000_000)}
    name = chance.choice(sorted(meters))
    properties = {
        name: a_value(chance, kind)
        for name, kind in meters[name].properties.items()
        if kind.default is None or chance.random() < 0.7
    }
    quantity = str(Decimal(chance.randint(0, 40_000_000)) / 1_000_000)
    return {"meter": name, "quantity": quantity, "properties": properties}


@pytest.mark.parametrize("catalogue", BOOKS, indirect=True)
async def test_an_estimate_says_what_the_charge_then_costs(credits: Credits, api: Api, catalogue: Catalogue) -> None:
    chance, account = random.Random(catalogue.name), await credits.open()
    affordable = 0
    for _ in range(60):
        order = {"account": ids.show("account", account), **an_order(chance, catalogue.price_book.meters)}
        estimate = (await api.post("/estimates", order)).json()
        charged = await api.post("/charges", order)
        assert (charged.status_code == 201) == estimate["affordable"], (order, estimate)
        if estimate["affordable"]:
            affordable += 1
            assert charged.json()["credits"] == estimate["credits"], order
        else:
            told = charged.json()
            assert (told["code"], told["required"]) == (estimate["code"], estimate["credits"])
        assert Decimal(estimate["available"]) >= Decimal(estimate["credits"]) or not estimate["affordable"]
    assert affordable > 10


async def test_an_estimate_changes_nothing_and_says_which_rules_make_the_price(credits: Credits, api: Api) -> None:
    account = await credits.open()
    await credits.use(used(account, "calls", 95))
    before = await credits.balance(account)
    order = {"account": ids.show("account", account), "meter": "calls", "quantity": "10"}
    answers = [(await api.post("/estimates", order)).json() for _ in range(3)]
    assert (
        answers
        == [
            {
                "credits": "2",
                "rules": ["5 call at 0.3", "5 call at 0.1"],
                "price_version": "tiers-1",
                "affordable": True,
                "available": "274.5",
                "enforcement": "events",
                "code": None,
                "detail": None,
            }
        ]
        * 3
    )
    assert await credits.balance(account) == before
    free = (await api.post("/estimates", order | {"properties": {"outcome": "failed"}})).json()
    assert (free["credits"], free["rules"][-1]) == ("0", "Failed: 0 % is charged")


async def test_what_cannot_be_paid_is_said_with_the_reason(credits: Credits, api: Api) -> None:
    account = await credits.open()
    dear = (await api.post("/estimates", {"account": ids.show("account", account), "amount": "301"})).json()
    assert (dear["affordable"], dear["code"], dear["credits"], dear["available"]) == (False, "PAY001", "301", "300")
    assert dear["rules"] == []
    await api.post(f"/accounts/{ids.show('account', account)}/freeze", {"reason": "Looked into"}, caller="staff:ada")
    frozen = (await api.post("/estimates", {"account": ids.show("account", account), "amount": "1"})).json()
    assert (frozen["affordable"], frozen["code"]) == (False, "PAY023")
    nobody = {"account": ids.show("account", ids.new_id()), "amount": "1"}
    assert problem(await api.post("/estimates", nobody)) == (404, "PAY028")
