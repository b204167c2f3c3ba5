"""Whichever call to Stripe goes wrong, and however: it ends in one charge, one lot of each kind, each refund once."""

import ast
from collections.abc import AsyncIterator, Iterator
from fnmatch import fnmatchcase

import asyncpg
import pytest

from deploy.embedded.databases import ServiceDatabase
from deploy.embedded.infrastructure import Infrastructure
from tests.architecture.sources import sources
from tests.integration.payments.every_call import CALLS, KINDS, WAITS_S, Market
from tests.integration.payments.reconciled import accounting
from tests.support.databases import ServicePool


@pytest.fixture(scope="module")
async def market(
    server: asyncpg.Connection,
    templates: dict[str, ServiceDatabase],
    infrastructure: Infrastructure,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Market]:
    """One shop for all days, in whose books nothing is found to disagree in the end."""
    folder = tmp_path_factory.mktemp("market")
    async with accounting(
        ServicePool(server, templates), infrastructure, folder, timeout_seconds=WAITS_S, requests_kept=1000
    ) as accountant:
        yield Market(accountant)
        found = await accountant.go_through()
        assert (found.drift, found.findings) == (0, [])
        assert await accountant.shop.quarantined() == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CALLS)
async def test_a_call_that_goes_wrong_converges_to_one_charge_and_one_lot(market: Market, name: str, kind: str) -> None:
    await CALLS[name].go_wrong(market, kind)


def called(tree: ast.AST) -> Iterator[str]:
    """Name the calls of Stripe's library that some code makes: `checkout.sessions.create`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.endswith("_async"):
            path = ast.unparse(node).removesuffix("_async")
            if "api." in path:
                yield path.partition("api.")[2]


def test_every_call_that_our_code_makes_goes_wrong_here() -> None:
    made = {name for source in sources("services/payments/clients") for name in called(source.tree)}
    assert made == set(CALLS)


async def test_what_stripe_was_asked_is_in_the_list(market: Market) -> None:
    shop = market.accountant.shop
    await shop.paid()
    asked = (await shop.sandbox.get("requests"))["data"]
    ours = {(one["method"], one["path"]) for one in asked if not one["publishable"] and one["stripe_version"]}
    listed = [(call.method, call.path) for call in CALLS.values()]
    assert ours
    assert [one for one in ours if not any(one[0] == how and fnmatchcase(one[1], where) for how, where in listed)] == []
