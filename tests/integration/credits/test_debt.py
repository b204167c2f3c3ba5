"""Debt: what a refunded payment brought and is spent already. Credits are few here: single micro-credits."""

from datetime import timedelta
from uuid import UUID

import pytest

from libs.contracts import ids
from libs.contracts.catalogue import Catalogue
from services.credits.domain.postings import Grant, Posting
from tests.support.desk import Desk
from tests.support.ledger import CATALOGUE
from tests.support.oracle.scripts import START
from tests.support.postings import (
    capturing,
    charging,
    granting,
    holding,
    refunding,
    releasing,
    spending,
    taking_back,
    transferring,
    using,
)

HOUR = timedelta(hours=1)


@pytest.fixture
def catalogue() -> Catalogue:
    """Captures may be above the hold."""
    return Catalogue.of(CATALOGUE.model_dump(mode="json") | {"policies": {"capture_above_hold": True}})


async def owing(desk: Desk, *beside: Posting, account: UUID | None = None) -> tuple[UUID, Grant]:
    """Have an account bring ten, spend them, do what is wished beside, and then owe them; another four remain."""
    account = account or ids.new_id()
    grant = granting(account, 10)
    outcomes = await desk.outcomes(
        grant, spending(account, 10), granting(account, 4), *beside, taking_back(grant, 10, revision=2)
    )
    assert set(outcomes) == {"accepted"}
    return account, grant


async def test_what_other_payments_brought_stays_beside_a_debt_and_cannot_be_spent(desk: Desk) -> None:
    account, _ = await owing(desk)
    assert await desk.has(account) == (4, 0, 0, 10)
    other = await desk.account()
    refused = [
        spending(account, 1),
        using(account, 0, id="for nothing"),
        charging(account, 1),
        holding(account, 1, until=START + HOUR),
        transferring(account, other, 1),
    ]
    assert await desk.outcomes(*refused) == ["in_debt"] * 5
    assert await desk.has(account) == (4, 0, 0, 10)


async def test_whatever_comes_in_repays_a_debt(desk: Desk) -> None:
    account = ids.new_id()
    hold, charge = holding(account, 1, until=START + HOUR), charging(account, 1)
    _, grant = await owing(desk, hold, charge, account=account)
    giver = await desk.account(1)
    comes: list[tuple[Posting, int]] = [
        (releasing(hold), 9),
        (refunding(charge), 8),
        (granting(account, 1, kind="promotional"), 7),
        (transferring(giver, account, 1), 6),
        (taking_back(grant, 9, revision=3), 5),
    ]
    for posting, left in comes:
        assert await desk.outcomes(posting) == ["accepted"]
        assert await desk.has(account) == (2, 0, 0, left)
    await desk.apply(granting(account, 6))
    assert await desk.has(account) == (3, 0, 0, 0)
    assert await desk.outcomes(spending(account, 3)) == ["accepted"]


async def test_what_a_hold_frees_by_itself_repays_a_debt(desk: Desk) -> None:
    account = ids.new_id()
    await owing(desk, holding(account, 3, until=START + HOUR), account=account)
    desk.travel(HOUR)
    await desk.settle(account)
    assert await desk.has(account) == (1, 0, 0, 7)


async def test_who_owes_has_what_was_reserved_captured_and_nothing_beyond(desk: Desk) -> None:
    account = ids.new_id()
    hold = holding(account, 3, until=START + HOUR)
    await owing(desk, hold, account=account)
    assert await desk.outcomes(capturing(hold, 4), capturing(hold, 2, final=True)) == ["in_debt", "accepted"]
    assert await desk.has(account) == (1, 0, 0, 9)


async def test_who_is_frozen_has_what_was_reserved_captured_and_nothing_beyond(desk: Desk) -> None:
    account = await desk.account(10)
    hold = holding(account, 3, until=START + HOUR)
    await desk.apply(hold)
    await desk.set(account, "state", "frozen")
    assert await desk.outcomes(capturing(hold, 4), capturing(hold, 3)) == ["not_open", "accepted"]
    assert await desk.has(account) == (7, 0, 0, 0)


async def test_a_refund_of_more_than_was_granted_takes_back_what_was_granted(desk: Desk) -> None:
    account = await desk.account(5)
    grant = granting(account, 10)
    await desk.apply(grant)
    (taken,) = await desk.apply(taking_back(grant, 12, revision=2))
    assert (taken.outcome, taken.credits, taken.debt_made) == ("accepted", 10, 0)
    assert await desk.outcomes(taking_back(grant, 11, revision=3), taking_back(grant, 4, revision=4)) == [
        "unchanged",
        "accepted",
    ]
    assert await desk.kinds(account) == {"purchased": 11}
    assert (await desk.balance(account)).totals.refunded == 4
