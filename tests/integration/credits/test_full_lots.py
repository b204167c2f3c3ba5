"""Lots that are full: what comes back to one whose debt other lots have repaid is a lot beside it.

Credits are few here: single micro-credits.
"""

from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import permutations
from uuid import UUID

import pytest

from libs.contracts import ids
from libs.contracts.credits import MICRO
from libs.contracts.http.credits_v1 import Lot
from libs.contracts.http.history_v1 import LotQuery, PageQuery, TransactionQuery
from services.credits.domain.postings import Charge, Grant, Hold, Posting
from services.credits.operations import history
from services.credits.operations.expiry import settle_due
from tests.integration.credits.serving import Api
from tests.integration.credits.summing import sum_up
from tests.support.books import assert_books_balance
from tests.support.desk import Desk
from tests.support.ledger import Credits, paid, refunded, used
from tests.support.oracle.scripts import START
from tests.support.postings import charging, granting, holding, refunding, releasing, taking_back

HOUR = timedelta(hours=1)


@pytest.fixture
async def desk(desk: Desk) -> AsyncIterator[Desk]:
    """What became of its lots is summed before its books are audited."""
    yield desk
    await sum_up(desk)


async def repaid(desk: Desk, *spent: Charge | Hold, account: UUID, until: timedelta | None = None) -> Grant:
    """Have a lot of a hundred used, taken back and owed, and another of fifty repay forty of it."""
    grant = granting(account, 100, until=START + until if until else None)
    outcomes = await desk.outcomes(grant, *spent, taking_back(grant, 100, revision=2), granting(account, 50))
    assert outcomes == ["accepted"] * len(outcomes)
    return grant


async def lots(desk: Desk, account: UUID) -> list[Lot]:
    """Read an account's lots, oldest first."""
    found = (await history.lots(desk.pool, account, LotQuery())).data
    return sorted(found, key=lambda lot: (lot.granted_at, lot.kind))


async def assert_beside(desk: Desk, account: UUID, *, available: int = 150) -> None:
    """Look for a full lot, what repaid its debt, and what that brought back, beside it."""
    assert await desk.has(account) == (available, 0, 0, 0)
    assert await desk.kinds(account) == {"purchased": 110, "refunded": 40}
    beside = [lot for lot in await lots(desk, account) if lot.kind == "refunded"]
    assert sum(lot.granted for lot in beside) == 40
    assert {lot.reason for lot in beside} == {"repaid_debt"}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["the dispute is won last", "the charge is given back last"])
async def test_a_charge_given_back_and_a_dispute_won_fit_into_their_lot_in_any_order(
    desk: Desk, order: tuple[int, ...]
) -> None:
    account = ids.new_id()
    charge = charging(account, 40)
    grant = await repaid(desk, charge, account=account)
    assert await desk.has(account) == (10, 0, 0, 0)
    last = [taking_back(grant, 0, revision=3), refunding(charge)]
    for number in order:
        assert await desk.outcomes(last[number]) == ["accepted"]
    await assert_beside(desk, account)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["the dispute is won last", "the hold is released last"])
async def test_a_hold_released_and_a_dispute_won_fit_into_their_lot_in_any_order(
    desk: Desk, order: tuple[int, ...]
) -> None:
    account = ids.new_id()
    hold = holding(account, 40, until=START + HOUR)
    grant = await repaid(desk, hold, account=account)
    last = [taking_back(grant, 0, revision=3), releasing(hold)]
    for number in order:
        assert await desk.outcomes(last[number]) == ["accepted"]
    await assert_beside(desk, account)


async def test_a_hold_that_frees_itself_after_a_dispute_was_won_spoils_nothing(desk: Desk) -> None:
    account = ids.new_id()
    grant = await repaid(desk, holding(account, 40, until=START + HOUR), account=account)
    await desk.apply(taking_back(grant, 0, revision=3))
    assert await desk.has(account) == (110, 40, 0, 0)
    desk.travel(HOUR)
    assert await settle_due(desk.pool, desk.ledger, desk.clock) == 1
    await assert_beside(desk, account)
    assert await desk.outcomes(charging(account, 150)) == ["accepted"]


async def test_while_a_hold_stands_its_full_lot_may_be_burnt_and_taken_back_again(desk: Desk) -> None:
    account = ids.new_id()
    hold = holding(account, 40, until=START + HOUR)
    grant = await repaid(desk, hold, account=account)
    await desk.apply(taking_back(grant, 0, revision=3))
    await sum_up(desk)
    await assert_books_balance(desk.pool)
    await desk.apply(taking_back(grant, 100, revision=4), releasing(hold), taking_back(grant, 0, revision=5))
    await assert_beside(desk, account)


async def test_parts_of_charges_and_holds_come_back_in_every_order(desk: Desk) -> None:
    for order in permutations(range(4)):
        account = ids.new_id()
        charge, first, second = charging(account, 20), *(holding(account, 10, until=START + HOUR) for _ in range(2))
        grant = await repaid(desk, charge, first, second, account=account)
        last: list[Posting] = [
            taking_back(grant, 0, revision=3),
            refunding(charge),
            releasing(first),
            releasing(second),
        ]
        await desk.apply(*(last[number] for number in order))
        await assert_beside(desk, account)


async def test_each_of_a_holds_lots_has_its_own_beside_it(desk: Desk) -> None:
    account = ids.new_id()
    grants = [granting(account, 20, until=START + HOUR * hours) for hours in (3, 4)]
    hold = holding(account, 40, until=START + HOUR)
    await desk.apply(*grants, hold)
    await desk.apply(*(taking_back(grant, 20, revision=2) for grant in grants), granting(account, 50))
    await desk.apply(*(taking_back(grant, 0, revision=3) for grant in grants))
    assert await desk.has(account) == (50, 40, 0, 0)
    await desk.apply(releasing(hold))
    assert await desk.has(account) == (90, 0, 0, 0)
    beside = [lot for lot in await lots(desk, account) if lot.kind == "refunded"]
    assert sorted((lot.granted, lot.expires_at) for lot in beside) == [(20, grant.expires_at) for grant in grants]
    assert len({lot.reference for lot in beside}) == 2


async def test_what_lies_beside_a_lot_expires_when_the_lot_does(desk: Desk) -> None:
    account = ids.new_id()
    charge = charging(account, 40)
    grant = await repaid(desk, charge, account=account, until=HOUR)
    await desk.apply(refunding(charge), taking_back(grant, 0, revision=3))
    await assert_beside(desk, account)
    desk.travel(HOUR)
    assert await desk.kinds(account) == {"purchased": 10}
    assert (await desk.balance(account)).totals.expired == 140


async def test_what_comes_back_to_a_lot_that_expired_is_written_off_once(desk: Desk) -> None:
    account = ids.new_id()
    charge = charging(account, 40)
    grant = await repaid(desk, charge, account=account, until=HOUR)
    await desk.apply(refunding(charge))
    desk.travel(HOUR)
    await desk.apply(taking_back(grant, 0, revision=3))
    assert await desk.has(account) == (10, 0, 0, 0)
    assert (await desk.balance(account)).totals.expired == 140


async def test_what_lies_beside_a_lot_is_no_part_of_its_payment(desk: Desk) -> None:
    account = ids.new_id()
    charge = charging(account, 40)
    grant = await repaid(desk, charge, account=account)
    await desk.apply(refunding(charge), taking_back(grant, 0, revision=3))
    await desk.apply(taking_back(grant, 100, revision=4))
    assert await desk.has(account) == (50, 0, 0, 0)


async def test_history_says_what_came_back_and_why_it_lies_beside(credits: Credits, api: Api) -> None:
    account = await credits.open()
    await credits.use(used(account, quantity=10))
    payment = paid(account, "100")
    await credits.tell(payment)
    charge = (await api.charge(account, "40")).json()
    await credits.tell(refunded(payment, "100", revision=2))
    await credits.tell_payment(account, "50")
    await credits.tell(refunded(payment, "0", revision=3))
    answer = await api.post(f"/charges/{charge['id']}/refunds", {}, account=account)
    assert (answer.status_code, answer.json()["balance"]["available"]) == (201, "150")

    told = (await history.transactions(credits.pool, account, TransactionQuery(limit=100))).data
    assert (told[0].type, told[0].credits, told[0].balance_after) == ("charge_refund", 40 * MICRO, 150 * MICRO)
    assert sum(one.credits for one in told) == 150 * MICRO
    detail = await history.transaction(credits.pool, account, told[0].id)
    assert all(moved.debt_after >= 0 for moved in detail.movements)

    said = await history.explain(credits.pool, credits.ledger, credits.clock, account, PageQuery())
    beside, repaying, full, _ = said.data
    assert (beside.funded_by, beside.lot.granted, beside.lot.remaining) == (told[0].id, 40 * MICRO, 40 * MICRO)
    assert beside.lot.reference.startswith(ids.show("lot", full.lot.id))
    assert (beside.spent, beside.owed, beside.repaid, beside.paid) == (0, 0, 0, None)
    assert (repaying.repaid, full.owed, full.repaid, full.spent) == (40 * MICRO, 40 * MICRO, 40 * MICRO, 0)
    for each in said.data:
        went = each.held + each.spent + each.expired + each.taken_back + each.repaid + each.transferred - each.owed
        assert each.lot.granted == each.lot.remaining + went
