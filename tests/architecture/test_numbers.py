"""Money and credits are integers: no float comes near them. Seconds may have fractions."""

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.sources import ROOT, Source, sources

BUSINESS = sources("services", "libs/contracts")
NOT_MONEY = {
    "services/gateway/domain/rates.py": "requests a millisecond",
    "services/gateway/clients/rate_limits.py": "requests a millisecond",
}


def floats(source: Source) -> Iterator[ast.AST]:
    """Find names, numbers and divisions that make a float, but for times."""
    for node in ast.walk(source.tree):
        if makes_float(node):
            around = list(source.around(node))
            if not any(is_harmless(outer, inner) for inner, outer in zip([node, *around], around, strict=False)):
                yield node


def makes_float(node: ast.AST) -> bool:
    match node:
        case ast.Name(id="float" | "round") | ast.Attribute(attr="fsum" | "float64"):
            return True
        case ast.Constant(value=float()):
            return True
        case ast.BinOp(op=ast.Div(), left=left, right=right):
            return not any(is_path(side) for side in (left, right))
    return False


def is_path(node: ast.AST) -> bool:
    """Tell paths by what stands beside the slash: a name in quotes, or Path itself."""
    return "Path(" in ast.unparse(node) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def is_harmless(node: ast.AST, part: ast.AST) -> bool:
    """Tell whether a node makes a float in it harmless: it is a time, "never", or a check that refuses floats."""
    match node:
        case ast.Call(func=ast.Name(id="isinstance")):
            return True
        case ast.Call(func=ast.Name(id="float"), args=[ast.Constant(value="inf" | "-inf")]):
            return True
        case ast.arguments():
            return is_time(parameter_with(node, part))
        case ast.Assign(targets=[target]) | ast.AnnAssign(target=target):
            return is_time(ast.unparse(target))
        case ast.arg(arg=str(name)) | ast.keyword(arg=str(name)) | ast.FunctionDef(name=name):
            return is_time(name)
    return False


def parameter_with(arguments: ast.arguments, default: ast.AST) -> str:
    """Name the parameter that has a default."""
    last = [*arguments.posonlyargs, *arguments.args][-len(arguments.defaults) :] if arguments.defaults else []
    pairs = [
        *zip(last, arguments.defaults, strict=True),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]
    return next((argument.arg for argument, value in pairs if value is default), "")


def is_time(name: str) -> bool:
    return any(word in name.lower() for word in ("second", "timeout", "pause", "patience", "retry_after"))


def test_no_float_comes_near_money_or_credits() -> None:
    found = [source.where(node) for source in BUSINESS if source.name not in NOT_MONEY for node in floats(source)]
    assert found == []


@pytest.mark.parametrize("name", NOT_MONEY)
def test_an_exception_is_one_that_is_still_needed(name: str) -> None:
    assert list(floats(Source(ROOT / name)))


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("price = 9.99", 1),
        ("price = float(text)", 1),
        ("def price(credits: float) -> int: ...", 1),
        ("half = amount / 2", 1),
        ("half = round(amount)", 1),
        ("half = amount // 2", 0),
        ("_RETRY_SECONDS = (0.05, 0.2)", 0),
        ("Job('x', run, every_seconds=0.25)", 0),
        ("def wait(*, seconds: float = 1.5) -> None: ...", 0),
        ("def buy(*, seconds: int = 1, price: int = 1.5) -> None: ...", 1),
        ("if isinstance(quantity, float): refuse()", 0),
        ("SQL = Path(__file__).parent / 'sql'", 0),
    ],
)
def test_the_lint_sees_what_it_should(code: str, found: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("lint") / "code.py"
    file.write_text(code)
    assert len(list(floats(Source(file)))) == found
