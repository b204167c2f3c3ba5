"""The ledger's rules, a sentence each, through its one write path. Credits are few here: single micro-credits."""

from datetime import timedelta

from libs.contracts import ids
from tests.support.desk import Desk
from tests.support.oracle.scripts import START
from tests.support.postings import (
    capturing,
    charging,
    extending,
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


async def test_a_hold_reserves_what_would_burn_first_and_no_more_than_there_is(desk: Desk) -> None:
    account = await desk.account(10)
    await desk.apply(granting(account, 3, kind="promotional"))
    hold = holding(account, 5, until=START + HOUR)
    assert await desk.outcomes(hold, holding(account, 9, until=START + HOUR)) == ["accepted", "insufficient"]
    assert await desk.kinds(account) == {"purchased": 8}
    assert await desk.outcomes(releasing(hold)) == ["accepted"]
    assert await desk.kinds(account) == {"promotional": 3, "purchased": 10}


async def test_what_a_hold_reserved_can_be_captured_after_its_lot_expired(desk: Desk) -> None:
    account = await desk.account()
    await desk.apply(granting(account, 10, until=START + HOUR))
    hold = holding(account, 6, until=START + 3 * HOUR)
    await desk.apply(hold)
    desk.travel(2 * HOUR)
    assert await desk.outcomes(capturing(hold, 4)) == ["accepted"]
    assert await desk.has(account) == (0, 2, 0, 0)


async def test_what_a_hold_frees_after_its_lot_expired_is_written_off_with_it(desk: Desk) -> None:
    account = await desk.account()
    await desk.apply(granting(account, 10, until=START + HOUR))
    hold = holding(account, 6, until=START + 3 * HOUR)
    await desk.apply(hold)
    desk.travel(2 * HOUR)
    assert await desk.outcomes(capturing(hold, 4, final=True)) == ["accepted"]
    assert await desk.moves(account) == [("held", "revenue", 4), ("held", "breakage", 2)]
    assert (await desk.balance(account)).totals.expired == 6


async def test_a_hold_is_captured_in_steps_and_its_rest_comes_back(desk: Desk) -> None:
    account = await desk.account(10)
    hold = holding(account, 8, until=START + HOUR)
    assert await desk.outcomes(hold, capturing(hold, 2)) == ["accepted"] * 2
    assert await desk.outcomes(capturing(hold, 7), capturing(hold, 3, final=True)) == ["above_hold", "accepted"]
    assert await desk.has(account) == (5, 0, 0, 0)
    assert (
        await desk.outcomes(capturing(hold, 1), releasing(hold), extending(hold, until=START + 2 * HOUR))
        == ["hold_settled"] * 3
    )


async def test_a_hold_placed_and_captured_in_one_batch_gives_back_its_rest(desk: Desk) -> None:
    account = await desk.account(100)
    hold = holding(account, 8, until=START + HOUR)
    assert await desk.outcomes(hold, capturing(hold, 3, final=True)) == ["accepted", "accepted"]
    assert await desk.has(account) == (97, 0, 0, 0)


async def test_a_hold_is_expired_from_its_instant_on_whether_or_not_the_job_came_round(desk: Desk) -> None:
    account = await desk.account(10)
    hold = holding(account, 8, until=START + HOUR)
    await desk.apply(hold)
    desk.travel(HOUR - timedelta(microseconds=1))
    assert await desk.outcomes(spending(account, 3)) == ["insufficient"]
    desk.travel(timedelta(microseconds=1))
    assert await desk.outcomes(capturing(hold, 1), spending(account, 10)) == ["hold_expired", "accepted"]


async def test_an_extended_hold_lives_on_but_never_beyond_its_end_and_never_shorter(desk: Desk) -> None:
    account = await desk.account(10)
    hold = holding(account, 8, until=START + HOUR)
    await desk.apply(hold)
    until = [hold.ends_by + timedelta(seconds=1), START + 3 * HOUR, START + 2 * HOUR]
    assert await desk.outcomes(*(extending(hold, until=instant) for instant in until)) == [
        "too_long",
        "accepted",
        "accepted",
    ]
    desk.travel(3 * HOUR - timedelta(seconds=1))
    assert await desk.outcomes(capturing(hold, 8)) == ["accepted"]


async def test_a_crashed_workers_hold_frees_itself_once(desk: Desk) -> None:
    account = await desk.account(10)
    hold = holding(account, 8, until=START + HOUR)
    await desk.apply(hold, capturing(hold, 3))
    desk.travel(HOUR)
    await desk.settle(account)
    await desk.settle(account)
    assert await desk.has(account) == (7, 0, 0, 0)
    assert (await desk.balance(account)).sequence == 4


async def test_a_hold_of_another_account_is_none(desk: Desk) -> None:
    account, other = await desk.account(10), await desk.account(10)
    hold = holding(other, 5, until=START + HOUR)
    await desk.apply(hold)
    wrong = holding(account, 5, until=hold.expires_at)
    wrong.id = hold.id
    wishes = [capturing(wrong, 1), releasing(wrong), extending(wrong, until=START + 2 * HOUR)]
    assert await desk.outcomes(*wishes) == ["no_hold"] * 3
    assert await desk.has(other) == (5, 5, 0, 0)


async def test_anothers_expired_hold_named_by_mistake_harms_nobody(desk: Desk) -> None:
    account, other = await desk.account(10), await desk.account(10)
    mine, theirs = holding(account, 5, until=START + HOUR), holding(other, 5, until=START + HOUR)
    await desk.apply(mine, theirs)
    desk.travel(HOUR)
    mistaken = holding(account, 5, until=theirs.expires_at)
    mistaken.id = theirs.id
    assert await desk.outcomes(capturing(mistaken, 1), spending(account, 10)) == ["no_hold", "accepted"]
    assert await desk.has(other) == (5, 5, 0, 0)


async def test_the_expiry_of_a_lot_that_was_wholly_reserved_is_not_forgotten(desk: Desk) -> None:
    account = await desk.account()
    hold = holding(account, 10, until=START + HOUR)
    await desk.apply(granting(account, 10, until=START + 2 * HOUR), hold)
    desk.travel(HOUR)
    await desk.settle(account)
    assert await desk.has(account) == (10, 0, 0, 0)
    desk.travel(HOUR)
    assert await desk.outcomes(spending(account, 1)) == ["insufficient"]


async def test_a_reference_is_charged_once_and_never_with_another_amount(desk: Desk) -> None:
    account, other = await desk.account(10), await desk.account(10)
    first = charging(account, 4, order="7")
    await desk.apply(first)
    again, changed = await desk.apply(charging(account, 4, order="7"), charging(account, 5, order="7"))
    assert (again.outcome, changed.outcome) == ("duplicate", "reference_reused")
    assert again.charge is not None
    assert again.charge.id == first.id
    assert await desk.outcomes(charging(other, 5, order="7")) == ["accepted"]
    assert await desk.has(account) == (6, 0, 0, 0)


async def test_a_refused_charge_leaves_its_reference_free(desk: Desk) -> None:
    account = await desk.account(1)
    assert await desk.outcomes(charging(account, 4, order="7")) == ["insufficient"]
    await desk.apply(granting(account, 10))
    assert await desk.outcomes(charging(account, 4, order="7")) == ["accepted"]


async def test_a_refund_restores_the_very_lots_the_last_burnt_first(desk: Desk) -> None:
    account = await desk.account(10)
    charge = charging(account, 8)
    await desk.apply(granting(account, 5, kind="promotional"), charge)
    assert await desk.kinds(account) == {"purchased": 7}
    assert await desk.outcomes(refunding(charge, 4)) == ["accepted"]
    assert await desk.kinds(account) == {"promotional": 1, "purchased": 10}
    assert await desk.outcomes(refunding(charge, 5), refunding(charge)) == ["above_charge", "accepted"]
    assert await desk.kinds(account) == {"promotional": 5, "purchased": 10}
    assert await desk.outcomes(refunding(charge, 1), refunding(charge)) == ["above_charge"] * 2


async def test_a_charge_and_its_refund_in_one_batch_leave_what_there_was(desk: Desk) -> None:
    account = await desk.account(10)
    charge = charging(account, 8)
    assert await desk.outcomes(charge, refunding(charge, 3), refunding(charge)) == ["accepted"] * 3
    assert await desk.has(account) == (10, 0, 0, 0)


async def test_what_was_charged_of_a_lot_that_expired_comes_back_as_a_refunded_lot(desk: Desk) -> None:
    account = await desk.account(10)
    charge = charging(account, 8)
    await desk.apply(granting(account, 5, kind="promotional", until=START + HOUR), charge)
    desk.travel(HOUR)
    await desk.apply(refunding(charge))
    assert await desk.kinds(account) == {"purchased": 10, "refunded": 5}


async def test_a_lot_that_a_refund_restores_still_expires(desk: Desk) -> None:
    account = await desk.account()
    charge = charging(account, 10)
    await desk.apply(granting(account, 10, until=START + 2 * HOUR), charge, granting(account, 1, until=START + HOUR))
    desk.travel(HOUR)
    await desk.settle(account)
    await desk.apply(refunding(charge))
    desk.travel(HOUR)
    assert await desk.outcomes(spending(account, 1)) == ["insufficient"]


async def test_the_refund_of_a_charge_that_overdrew_restores_its_lot(desk: Desk) -> None:
    account = await desk.account(10)
    await desk.set(account, "overdraft_limit", 5)
    charge = charging(account, 14)
    await desk.apply(charge)
    assert await desk.has(account) == (0, 0, 4, 0)
    await desk.apply(refunding(charge))
    assert await desk.kinds(account) == {"purchased": 10}


async def test_another_accounts_charge_cannot_be_refunded(desk: Desk) -> None:
    account, other = await desk.account(10), await desk.account(10)
    charge = charging(account, 5)
    await desk.apply(charge)
    mistaken = refunding(charge)
    mistaken.account = other
    assert await desk.outcomes(mistaken) == ["no_charge"]


async def test_a_transfer_arrives_as_one_lot_that_expires_with_the_first_it_came_from(desk: Desk) -> None:
    account, other = await desk.account(10), await desk.account()
    await desk.apply(granting(account, 5, kind="promotional", until=START + HOUR))
    assert await desk.outcomes(transferring(account, other, 7)) == ["accepted"]
    balance = await desk.balance(other)
    assert balance.by_kind == {"transferred": 7}
    assert balance.next_expiry is not None
    assert balance.next_expiry.at == START + HOUR
    assert await desk.kinds(account) == {"purchased": 8}


async def test_nobody_transfers_what_is_not_there_or_to_who_cannot_receive(desk: Desk) -> None:
    account, frozen = await desk.account(10), await desk.account()
    await desk.set(account, "overdraft_limit", 5)
    await desk.set(frozen, "state", "frozen")
    assert await desk.outcomes(
        transferring(account, frozen, 1), transferring(account, ids.new_id(), 1), transferring(account, frozen, 11)
    ) == ["not_open", "unknown_account", "insufficient"]
    assert await desk.has(account) == (10, 0, 0, 0)


async def test_a_lot_cannot_be_spent_from_its_instant_on_and_is_written_off_once(desk: Desk) -> None:
    account = await desk.account()
    await desk.apply(granting(account, 10, until=START + HOUR))
    desk.travel(HOUR - timedelta(microseconds=1))
    assert await desk.outcomes(spending(account, 1)) == ["accepted"]
    desk.travel(timedelta(microseconds=1))
    assert await desk.outcomes(spending(account, 1)) == ["insufficient"]
    await desk.settle(account)
    balance = await desk.balance(account)
    assert (balance.available, balance.totals.expired, balance.sequence) == (0, 9, 3)


async def test_credits_that_come_after_their_expiry_can_be_spent_by_nobody(desk: Desk) -> None:
    account = await desk.account(5)
    late = granting(account, 10, kind="promotional", until=START)
    assert await desk.outcomes(late, spending(account, 6), spending(account, 5)) == [
        "accepted",
        "insufficient",
        "accepted",
    ]
    assert (await desk.balance(account)).totals.expired == 10


async def test_what_a_failed_refund_gives_back_to_an_expired_lot_is_written_off_each_time(desk: Desk) -> None:
    account = ids.new_id()
    grant = granting(account, 10, until=START + HOUR)
    await desk.apply(grant, taking_back(grant, 4, revision=2))
    desk.travel(HOUR)
    await desk.settle(account)
    assert await desk.outcomes(taking_back(grant, 2, revision=3), spending(account, 1)) == ["accepted", "insufficient"]
    assert await desk.outcomes(taking_back(grant, 0, revision=4)) == ["accepted"]
    balance = await desk.balance(account)
    assert (balance.available, balance.totals.expired, balance.totals.refunded) == (0, 10, 0)


async def test_overdraft_goes_down_to_its_limit_and_reserves_nothing(desk: Desk) -> None:
    account = await desk.account(10)
    await desk.set(account, "overdraft_limit", 5)
    assert await desk.outcomes(
        spending(account, 12), holding(account, 1, until=START + HOUR), spending(account, 4), spending(account, 3)
    ) == ["accepted", "insufficient", "insufficient", "accepted"]
    assert await desk.has(account) == (0, 0, 5, 0)


async def test_a_grant_repays_overdraft_then_debt_and_the_rest_can_be_spent(desk: Desk) -> None:
    account = ids.new_id()
    grant = granting(account, 10)
    await desk.apply(grant)
    await desk.set(account, "overdraft_limit", 5)
    await desk.apply(spending(account, 13), taking_back(grant, 10, revision=2))
    assert await desk.has(account) == (0, 0, 3, 10)
    await desk.apply(granting(account, 20))
    assert await desk.moves(account) == [
        ("stripe", "available", 20),
        ("available", "overdraft", 3),
        ("overdraft", "available", 3),
        ("available", "debt", 10),
    ]
    assert await desk.has(account) == (7, 0, 0, 0)


async def test_who_owes_settles_holds_but_spends_and_reserves_nothing(desk: Desk) -> None:
    account = ids.new_id()
    grant, hold = granting(account, 10), holding(account, 2, until=START + HOUR)
    await desk.apply(grant, granting(account, 5), spending(account, 9), hold, taking_back(grant, 10, revision=2))
    assert (await desk.has(account))[3] > 0
    wishes = [spending(account, 1), holding(account, 1, until=START + HOUR), capturing(hold, 2)]
    assert await desk.outcomes(*wishes) == ["in_debt", "in_debt", "accepted"]


async def test_a_frozen_account_spends_nothing_but_is_settled_and_given_to(desk: Desk) -> None:
    account = await desk.account(10)
    hold, charge = holding(account, 4, until=START + HOUR), charging(account, 1)
    await desk.apply(hold, charge)
    await desk.set(account, "state", "frozen")
    refused = [spending(account, 1), charging(account, 1), holding(account, 1, until=START + HOUR)]
    assert await desk.outcomes(*refused) == ["not_open"] * 3
    settled = [capturing(hold, 1), releasing(hold), refunding(charge), granting(account, 1)]
    assert await desk.outcomes(*settled) == ["accepted"] * 4


async def test_one_unusable_posting_never_spoils_its_batch(desk: Desk) -> None:
    account = await desk.account(10)
    nobody, nowhere = ids.new_id(), holding(account, 1, until=START + HOUR)
    wishes = [
        spending(account, 4),
        spending(nobody, 1),
        spending(account, 7),
        capturing(nowhere, 1),
        spending(account, 6),
    ]
    assert await desk.outcomes(*wishes) == ["accepted", "unknown_account", "insufficient", "no_hold", "accepted"]


async def test_whatever_is_repeated_in_a_batch_happens_once(desk: Desk) -> None:
    account = await desk.account(10)
    charge = charging(account, 5)
    assert await desk.outcomes(using(account, 1, id="one"), charge, charge) == ["accepted", "accepted", "duplicate"]
    assert await desk.has(account) == (4, 0, 0, 0)


async def test_usage_repeated_is_answered_as_it_was_then_however_many_lots_it_burnt(desk: Desk) -> None:
    account = await desk.account(10)
    await desk.apply(granting(account, 3, kind="promotional"))
    event = using(account, 5, id="one")
    first, within = await desk.apply(event, event)
    await desk.apply(spending(account, 1))
    (later,) = await desk.apply(event)
    for again in (within, later):
        assert (again.outcome, again.sequence, again.available) == ("duplicate", first.sequence, 8)


async def test_usage_refused_under_two_contents_stays_refused_under_both_in_one_batch_or_in_many(desk: Desk) -> None:
    account = await desk.account(1)
    dear, dearer = using(account, 5, id="one"), using(account, 6, id="one")
    assert await desk.outcomes(dear, dearer, dear, dearer) == [
        "insufficient",
        "conflict",
        "duplicate_rejected",
        "duplicate_rejected",
    ]


async def test_no_account_goes_back_in_time(desk: Desk) -> None:
    account = await desk.account(10)
    hold = holding(account, 5, until=START + 2 * HOUR)
    desk.travel(2 * HOUR)
    await desk.apply(spending(account, 1))
    desk.travel(-2 * HOUR)
    await desk.apply(hold)
    assert await desk.outcomes(capturing(hold, 1)) == ["hold_expired"]
