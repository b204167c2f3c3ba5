"""Gift cards and vouchers on the whole stack: bought, mailed, redeemed by somebody else; also though a service dies."""

import csv
import re
from functools import partial
from io import StringIO
from pathlib import Path

import pytest

from deploy.cli.customer import Customer, Refused
from deploy.embedded.stack import Stack
from libs.contracts.http.payments_v1 import Purchase
from tests.e2e.conftest import SignUp
from tests.e2e.test_commands import run
from tests.e2e.test_crashes import killed_at, persistently
from tests.e2e.test_path import mail_to

CODE = re.compile(r"\b(?:[0-9A-Z]{4}-){3}[0-9A-Z]{4}\b")

GIVING = [
    "payments.settle.before_commit",
    "payments.settle.after_commit",
    "payments.gift_cards.before_commit",
    "payments.gift_cards.after_commit",
    "notifications.gift_card.before_commit",
]
REDEEMING = [
    "payments.redeem.before_commit",
    "payments.redeem.after_commit",
    "credits.settle.before_commit",
    "credits.settle.after_commit",
]


async def code_for(stack: Stack, friend: Customer) -> str:
    """Read the code in the mail that a friend got."""
    (code,) = set(CODE.findall(await mail_to(stack, friend, "gift card from")))
    return str(code)


async def given(customer: Customer, friend: Customer) -> Purchase:
    """Buy a gift card for a friend, and pay it."""
    email = friend.session.user.email
    purchase = await persistently(lambda: customer.give("gift-50", email=email, key="the-gift", message="Enjoy"))
    await customer.pay(purchase)
    return purchase


async def test_a_gift_card_is_bought_mailed_and_redeemed_by_somebody_else(sign_up: SignUp, stack: Stack) -> None:
    customer, friend = await sign_up(), await sign_up()
    purchase = await given(customer, friend)
    code = await code_for(stack, friend)
    assert "Gift card: 50 credits" in await mail_to(stack, customer, "receipt")
    await friend.redeem(code.lower())
    await friend.wait_until(lambda b: b.available == 60_000_000)
    assert (await friend.balance()).by_kind == {"promotional": 10_000_000, "purchased": 50_000_000}
    assert [t.type for t in await friend.transactions()] == ["purchase", "bonus"]
    with pytest.raises(Refused, match="PAY003"):
        await customer.redeem(code)
    with pytest.raises(Refused, match="PAY018"):
        await customer.refund(purchase)
    assert [card.state for card in await customer.gift_cards()] == ["redeemed"]
    assert (await customer.balance()).available == 10_000_000


async def test_a_gift_card_that_is_refunded_brings_nobody_anything(sign_up: SignUp, stack: Stack) -> None:
    customer, friend = await sign_up(), await sign_up()
    purchase = await given(customer, friend)
    code = await code_for(stack, friend)
    await customer.refund(purchase)
    with pytest.raises(Refused, match="PAY003"):
        await friend.redeem(code)
    assert "9.99 USD" in await mail_to(stack, customer, "refund")
    assert [card.state for card in await customer.gift_cards()] == ["void"]


@pytest.mark.parametrize("point", GIVING)
async def test_a_gift_card_arrives_once_though_a_service_dies(sign_up: SignUp, stack: Stack, point: str) -> None:
    customer, friend = await sign_up(), await sign_up()
    await killed_at(stack, point.partition(".")[0], point, partial(given, customer, friend))
    code = await code_for(stack, friend)
    await persistently(lambda: friend.redeem(code))
    balance = await persistently(lambda: friend.wait_until(lambda b: b.available > 10_000_000))
    assert balance.available == 60_000_000
    assert len(await customer.gift_cards()) == 1


@pytest.mark.parametrize("point", REDEEMING)
async def test_a_code_brings_its_credits_once_though_a_service_dies(sign_up: SignUp, stack: Stack, point: str) -> None:
    customer, friend = await sign_up(), await sign_up()
    await given(customer, friend)
    code = await code_for(stack, friend)
    redeem = partial(persistently, lambda: friend.redeem(code, key="the-code"))
    await killed_at(stack, point.partition(".")[0], point, redeem)
    balance = await persistently(lambda: friend.wait_until(lambda b: b.available > 10_000_000))
    assert balance.available == 60_000_000
    assert (await persistently(lambda: friend.redeem(code, key="the-code"))).credits == 50_000_000


async def test_staff_issue_vouchers_by_a_command_whose_codes_can_be_redeemed(
    stack: Stack, sign_up: SignUp, tmp_path: Path
) -> None:
    customer, other = await sign_up(), await sign_up()
    file = tmp_path / "codes.csv"
    asked = ("vouchers", "issue", "3", "12.5", "--note", "Spring", "--by", "eve", "--key", "spring")
    for _ in range(2):
        code, said = await run(stack.home, *asked, "--out", str(file))
        assert code == 0, said
        codes = [row["code"] for row in csv.DictReader(StringIO(file.read_text()))]
    assert len(set(codes)) == 3
    await customer.redeem(codes[0])
    await customer.wait_until(lambda b: b.available == 22_500_000)
    code, said = await run(stack.home, "vouchers", "list", "--by", "eve")
    (batch,) = re.findall(r"vbt_\w+", said)
    assert (code, "3 of 12.5 credits, 1 redeemed, 0 void; Spring (by staff:eve)" in said) == (0, True), said
    code, said = await run(stack.home, "vouchers", "void", batch, "--by", "eve")
    assert (code, "1 redeemed, 2 void" in said) == (0, True), said
    with pytest.raises(Refused, match="PAY003"):
        await other.redeem(codes[1])
