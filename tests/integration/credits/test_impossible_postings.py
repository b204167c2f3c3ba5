"""What no route lets through, the ledger itself refuses: postings that can be none."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest

from libs.contracts.credits import LARGEST
from services.credits.domain.postings import Posting
from tests.support.desk import Desk
from tests.support.oracle.scripts import START
from tests.support.postings import (
    capturing,
    charging,
    granting,
    holding,
    refunding,
    spending,
    taking_back,
    transferring,
    using,
)

HOUR = timedelta(hours=1)


async def test_nothing_is_given_to_oneself(desk: Desk) -> None:
    account = await desk.account(10)
    assert await desk.outcomes(transferring(account, account, 3)) == ["invalid"]
    balance = await desk.balance(account)
    assert (balance.available, balance.sequence, balance.totals.spent) == (10, 1, 0)


async def test_nothing_of_a_hold_cannot_be_captured_whether_or_not_the_rest_is_freed(desk: Desk) -> None:
    account = await desk.account(10)
    hold = holding(account, 4, until=START + HOUR)
    await desk.apply(hold)
    assert await desk.outcomes(capturing(hold, 0), capturing(hold, 0, final=True)) == ["invalid"] * 2
    assert await desk.has(account) == (6, 4, 0, 0)
    assert (await desk.balance(account)).sequence == 2


@pytest.mark.parametrize("amount", [-1, LARGEST + 1, 2**63, -(2**63) - 1])
async def test_an_amount_that_can_be_none_moves_nothing_and_spoils_nothing(desk: Desk, amount: int) -> None:
    account, other = await desk.account(10), await desk.account()
    charge, grant = charging(account, 1), granting(account, 1)
    hold = holding(account, 1, until=START + HOUR)
    await desk.apply(charge, grant, hold)
    impossible: list[Posting] = [
        spending(account, amount),
        using(account, amount, id="one"),
        charging(account, amount),
        refunding(charge, amount),
        transferring(account, other, amount),
        holding(account, amount, until=START + HOUR),
        capturing(hold, amount),
        granting(account, amount),
        taking_back(grant, amount, revision=2),
    ]
    said = await desk.outcomes(*impossible, spending(account, 1))
    assert said == ["invalid"] * len(impossible) + ["accepted"]
    assert await desk.has(account) == (8, 1, 0, 0)


@pytest.mark.parametrize(
    "make",
    [
        lambda account, other: transferring(account, other, 0),
        lambda account, _: holding(account, 0, until=START + HOUR),
        lambda account, _: granting(account, 0),
    ],
    ids=["given", "held", "granted"],
)
async def test_nothing_cannot_be_given_held_or_granted(desk: Desk, make: Callable[[UUID, UUID], Posting]) -> None:
    account, other = await desk.account(10), await desk.account(10)
    assert await desk.outcomes(make(account, other)) == ["invalid"]
    assert [await desk.has(one) for one in (account, other)] == [(10, 0, 0, 0)] * 2
