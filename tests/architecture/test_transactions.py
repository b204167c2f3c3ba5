"""No network call inside a transaction: neither written in one, nor made by a function that is called in one."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property

import pytest

from deploy.embedded.databases import SERVICES
from tests.architecture.sources import Source, sources

Function = ast.FunctionDef | ast.AsyncFunctionDef
OUTWARD = {"ServiceClient"}
"""What makes network calls and is not of a service's own."""


@dataclass(frozen=True)
class Service:
    """The code of a service: what it calls by which names, and which of that goes over the network."""

    files: list[Source]

    def is_client(self, source: Source) -> bool:
        """Tell whether a file is one of those that make network calls."""
        return source.path.parent.name == "clients" or source.path.name == "clients.py"

    @cached_property
    def functions(self) -> list[tuple[Source, Function]]:
        """Every function and method that is neither a client's nor SQL."""
        ours = (source for source in self.files if not self.is_client(source) and "/store" not in source.name)
        return [(source, node) for source in ours for node in ast.walk(source.tree) if isinstance(node, Function)]

    def meant(self, call: ast.Call, source: Source) -> list[tuple[Source, Function]]:
        """Give the functions that a call may mean: of this file, of the module that it names, or methods so called."""
        name, imported = ast.unparse(call.func), _imports(source)
        first, _, rest = name.partition(".")
        called = imported[first].rpartition(".")[2] if first in imported and not rest else name.rpartition(".")[2]
        alike = [(where, function) for where, function in self.functions if function.name == called]
        if first in imported:
            module = imported[first] if rest else imported[first].rpartition(".")[0]
            return [(where, function) for where, function in alike if _module(where) == module]
        if not rest or first == "self":
            return [(where, function) for where, function in alike if where == source]
        return [(where, function) for where, function in alike if isinstance(where.parents[function], ast.ClassDef)]

    @cached_property
    def clients(self) -> set[str]:
        """The classes that make network calls."""
        made = (node for source in self.files if self.is_client(source) for node in ast.walk(source.tree))
        classes = (node for node in made if isinstance(node, ast.ClassDef))
        return OUTWARD | {each.name for each in classes if any(isinstance(n, ast.AsyncFunctionDef) for n in each.body)}

    @cached_property
    def calls_out(self) -> set[str]:
        """The names of the coroutines of clients, be they methods or functions."""
        made = (node for source in self.files if self.is_client(source) for node in ast.walk(source.tree))
        return {node.name for node in made if isinstance(node, ast.AsyncFunctionDef)}

    @cached_property
    def holders(self) -> set[str]:
        """The names under which the code holds a client: parameters, fields and variables."""
        found: set[str] = set()
        for source in self.files:
            for node in ast.walk(source.tree):
                match node:
                    case ast.arg(arg=str(name), annotation=ast.expr() as kind) if self._names_client(kind):
                        found |= {name, f"_{name}"}
                    case ast.AnnAssign(target=target, annotation=kind) if self._names_client(kind):
                        found.add(ast.unparse(target).rpartition(".")[2])
        return found

    def _names_client(self, annotation: ast.expr) -> bool:
        return any(isinstance(node, ast.Name) and node.id in self.clients for node in ast.walk(annotation))

    def goes_out(self, call: ast.Call, source: Source) -> bool:
        """Tell whether a call goes over the network by itself."""
        match call.func:
            case ast.Attribute(value=holder, attr=name):
                return name in self.calls_out and ast.unparse(holder).rpartition(".")[2] in self.holders
            case ast.Name(id=name):
                return name in self.calls_out and "clients" in _imports(source).get(name, "")
        return False

    def way_out(self, within: ast.AST, source: Source, been: set[ast.AST]) -> list[str] | None:
        """Give the calls that lead from some code to the network, if any do; what has `been` looked at does not."""
        for call in (node for node in ast.walk(within) if isinstance(node, ast.Call)):
            if self.goes_out(call, source):
                return [source.where(call)]
            for where, function in self.meant(call, source):
                if function not in been:
                    been.add(function)
                    if (further := self.way_out(function, where, been)) is not None:
                        return [source.where(call), *further]
        return None

    def transactions(self) -> Iterator[tuple[Source, ast.AsyncWith]]:
        """Find every block that is a transaction."""
        for source in self.files:
            for node in ast.walk(source.tree):
                if isinstance(node, ast.AsyncWith) and any(_opens(item.context_expr) for item in node.items):
                    yield source, node

    def offences(self) -> list[str]:
        """Say which transactions lead to the network, and how."""
        blocks = ((source, ast.Module(block.body, [])) for source, block in self.transactions())
        ways = (self.way_out(body, source, set()) for source, body in blocks)
        return [" -> ".join(way) for way in ways if way is not None]


def _opens(context: ast.expr) -> bool:
    return isinstance(context, ast.Call) and ast.unparse(context.func).endswith(".transaction")


@cache
def _imports(source: Source) -> dict[str, str]:
    """Tell what each imported name stands for."""
    return {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def _module(source: Source) -> str:
    return source.name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@pytest.mark.parametrize("service", SERVICES)
def test_no_transaction_leads_to_the_network(service: str) -> None:
    found = Service(sources(f"services/{service}"))
    assert len(list(found.transactions())) > 3
    assert found.clients - OUTWARD or service == "credits"
    assert found.offences() == []


CLIENTS = """
class Stripe:
    async def refund(self) -> None: ...
    def livemode(self) -> bool: ...
async def balance(stripe: Stripe) -> None: ...
"""
SIDES = """
from clients import balance
from clients import Stripe
class Sides:
    pool: Pool
    stripe: Stripe
async def give_back(sides: Sides) -> None:
    await sides.stripe.refund()
"""


@pytest.mark.parametrize(
    ("body", "offends"),
    [
        ("async with pool.transaction() as conn:\n        await stripe.refund()", True),
        ("async with pool.connection() as conn, conn.transaction():\n        await stripe.refund()", True),
        ("async with pool.transaction() as conn:\n        await gather(stripe.refund(), other())", True),
        ("async with pool.transaction() as conn:\n        await balance(stripe)", True),
        ("async with pool.transaction() as conn:\n        if paid:\n            await give_back(sides)", True),
        ("async with pool.transaction() as conn:\n        await sides.stripe.refund()", True),
        ("async with pool.transaction() as conn:\n        stripe.livemode()", False),
        ("async with pool.transaction() as conn:\n        await refunds.refund(conn)", False),
        ("async with pool.connection() as conn:\n        await stripe.refund()", False),
        ("async with pool.transaction() as conn:\n        await store.put(conn)\n    await stripe.refund()", False),
    ],
)
def test_the_lint_sees_what_it_should(body: str, offends: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("service")
    code = f"async def pay(pool: Pool, stripe: Stripe, sides: Sides) -> None:\n    {body}\n"
    for name, text in {"clients.py": CLIENTS, "operations.py": SIDES + code}.items():
        (folder / name).write_text(text)
    offences = Service([Written(folder / name) for name in ("clients.py", "operations.py")]).offences()
    assert bool(offences) == offends


class Written(Source):
    """A file that is not of the project."""

    @property
    def name(self) -> str:
        """What it is called."""
        return self.path.name
