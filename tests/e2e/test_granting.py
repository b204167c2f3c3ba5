"""`scrip grant` as people type it, on the whole stack: the credits are there, live, and the books agree."""

from pathlib import Path

from deploy.embedded.stack import Stack
from libs.contracts import ids
from tests.e2e.conftest import SignUp
from tests.e2e.test_commands import run


async def test_staff_grant_credits_by_a_command(stack: Stack, sign_up: SignUp, tmp_path: Path) -> None:
    ada, bob = await sign_up(), await sign_up()
    names = [ids.show("account", customer.account) for customer in (ada, bob)]
    code, said = await run(stack.home, "grant", "one", names[0], "5", "--note", "Sorry", "--by", "eve")
    assert (code, "completed, 5 credits" in said) == (0, True), said
    file = tmp_path / "grants.csv"
    file.write_text(f"account,credits\n{names[0]},1\n{names[1]},2\n")
    for _ in range(2):
        code, said = await run(stack.home, "grant", "bulk", str(file), "--note", "Spring", "--by", "eve")
        assert (code, "2 granted, 0 failed" in said) == (0, True), said
    balances = [(await customer.balance()).available for customer in (ada, bob)]
    assert balances == [16_000_000, 12_000_000]
    code, said = await run(stack.home, "grant", "one", names[0], "five", "--note", "Sorry")
    assert (code, "credits" in said, "Traceback" in said) == (1, True, False), said
