"""Tokens: bought in packages, and granted by staff, to one or to many, with a note."""

from pathlib import Path

import pytest

from deploy.cli.customer import Customer, Refused
from deploy.embedded.stack import Stack
from libs.contracts import ids
from tests.e2e.catalogues.story import available, bought, by_kind, history, refunded_by_staff, usd
from tests.e2e.conftest import SignUp
from tests.e2e.test_commands import run
from tests.e2e.test_path import mail_to
from tests.e2e.test_spending import Worker

CATALOGUE = "tokens"
PACKAGES = [("t10", "9.99 USD", "10"), ("t50", "39.99 USD", "60"), ("t150", "99.99 USD", "210")]


async def test_tokens_come_in_packages_and_in_no_other_amount(customer: Customer, stack: Stack) -> None:
    assert (await available(customer), await history(customer)) == ("0", [])
    for package, price, after in PACKAGES:
        purchase = await bought(customer, package)
        assert str(purchase.quote.price) == price
        assert await available(customer) == after
        await mail_to(stack, customer, f"your receipt: {purchase.quote.description}, {price}".lower())
    for own in ({"amount_credits": "20"}, {"amount_money": usd(2000)}):
        with pytest.raises(Refused, match="PAY017"):
            await customer.buy(**own)
    assert await history(customer) == [("purchase", "10"), ("purchase", "50"), ("purchase", "150")]


async def test_a_spent_token_comes_back_and_staff_refund_the_package(
    customer: Customer, worker: Worker, stack: Stack
) -> None:
    package = await bought(customer, "t10")
    charge = await worker.done("/v1/charges", {"amount": "4", "reference": {"type": "lesson", "id": "1"}})
    assert await available(customer) == "6"
    await worker.done(f"/v1/charges/{charge['id']}/refunds", {})
    assert await available(customer) == "10"
    with pytest.raises(Refused, match="PAY012"):
        await customer.refund(package)
    await refunded_by_staff(stack, customer, package, credits=10)
    assert await available(customer) == "0"
    assert "9.99 USD" in await mail_to(stack, customer, "refund")


async def test_staff_grant_tokens_by_hand_and_by_a_list_of_addresses_with_a_note(
    stack: Stack, sign_up: SignUp, tmp_path: Path
) -> None:
    ada, bob = await sign_up(), await sign_up()
    accounts = [ids.show("account", customer.account) for customer in (ada, bob)]
    code, said = await run(stack.home, "grant", "one", accounts[0], "5", "--note", "Sorry", "--by", "eve")
    assert (code, "completed, 5 credits" in said) == (0, True), said
    file = tmp_path / "grants.csv"
    emails = [customer.session.user.email for customer in (ada, bob)]
    rows = [f"{account},{email},25\n" for account, email in zip(accounts, emails, strict=True)]
    file.write_text("".join(["account,email,credits\n", *rows, ",nobody@example.com,25\n"]))
    code, said = await run(stack.home, "grant", "bulk", str(file), "--note", "Spring", "--by", "eve")
    assert (code, "2 granted, 1 failed" in said, "nobody@example.com: PAY028" in said) == (1, True, True), said
    assert [(t.credits, t.note) for t in await ada.transactions()] == [(25_000_000, "Spring"), (5_000_000, "Sorry")]
    assert (await by_kind(ada), await by_kind(bob)) == ({"granted": "30"}, {"granted": "25"})
    await bought(bob, "t10")
    assert await by_kind(bob) == {"granted": "25", "purchased": "10"}
