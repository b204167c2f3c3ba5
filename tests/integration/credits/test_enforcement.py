"""Adaptive enforcement: near nothing, services are told to hold first; how far an account may ever be overdrawn."""

import random
from asyncio import gather
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from libs.chassis.telemetry import ACCOUNTS_NEAR_NOTHING, OVERDRAFT_POSSIBLE
from libs.contracts import ids
from libs.contracts.catalogue import Catalogue
from libs.contracts.credits import MICRO
from libs.contracts.events import EnforcementChanged, HoldsBlocked, HoldsUnblocked
from services.credits.domain.postings import Hold
from services.credits.operations import limits
from tests.integration.credits.serving import Api, problem
from tests.integration.credits.travelling import Travel
from tests.support.ledger import CATALOGUE, Credits, used
from tests.support.outbox import told_of
from tests.support.postings import holding, releasing, spending, using


@pytest.fixture
def catalogue() -> Catalogue:
    return having({"holds_below": "5"})


def having(enforcement: dict[str, Any], **more: Any) -> Catalogue:
    return Catalogue.of(CATALOGUE.model_dump(mode="json") | {"enforcement": enforcement} | more)


async def changes(credits: Credits) -> list[tuple[str, int]]:
    return [(event.enforcement, event.available // MICRO) for event in await told_of(credits.pool, EnforcementChanged)]


async def put(api: Api, account: UUID, what: str, body: Any) -> Any:
    answer = await api.put(f"/accounts/{ids.show('account', account)}/{what}", body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_near_nothing_services_are_told_to_hold_and_far_from_it_to_report_events(credits: Credits) -> None:
    account = await credits.open()
    await credits.use(used(account, quantity=5))
    assert (await changes(credits), (await credits.balance(account)).enforcement) == ([("events", 10)], "events")
    await credits.use(*(used(account) for _ in range(3)))
    assert (await changes(credits), (await credits.balance(account)).enforcement) == (
        [("events", 10), ("holds", 2)],
        "holds",
    )
    await credits.tell_payment(account, "7")
    assert (await credits.balance(account)).enforcement == "holds"
    await credits.tell_payment(account, "1")
    assert (await changes(credits))[2:] == [("events", 10)]


async def test_who_burns_fast_is_near_nothing_sooner(credits: Credits, travel: Travel) -> None:
    fast = Credits(credits.pool, credits.clock, having({"holds_below": "1", "holds_minutes_ahead": 30}))
    account = await fast.open_with("90")
    await fast.use(used(account, quantity=60))
    assert (await fast.balance(account)).enforcement == "events"
    await fast.use(used(account, quantity=8))
    assert (await fast.balance(account)).enforcement == "holds"
    await travel(hours=3)
    await fast.use(used(account, quantity=1))
    assert (await fast.balance(account)).enforcement == "events"
    assert [event.near // MICRO for event in await told_of(fast.pool, EnforcementChanged)] == [1, 34, 1]


async def test_an_estimate_says_whether_to_hold(credits: Credits, api: Api) -> None:
    account = await credits.open_with("90")
    body = {"account": ids.show("account", account), "amount": "1"}
    assert (await api.post("/estimates", body)).json()["enforcement"] == "events"
    await api.charge(account, "96")
    assert (await api.post("/estimates", body)).json()["enforcement"] == "holds"


async def test_where_nothing_is_chosen_services_report_events_and_nobody_is_told(credits: Credits) -> None:
    plain = Credits(credits.pool, credits.clock, CATALOGUE)
    account = await plain.open()
    await plain.use(used(account, quantity=10))
    assert (await changes(plain), (await plain.balance(account)).enforcement) == ([], "events")


async def test_usage_that_is_not_covered_blocks_holds_until_there_is_as_much(credits: Credits, api: Api) -> None:
    account = await credits.open()
    await put(api, account, "uncovered-usage", {"policy": "block_holds"})
    held = await api.placed(account, "2")
    assert await credits.use(used(account, quantity=9), used(account, quantity=12), used(account, quantity=3)) == [
        "PAY001",
        "PAY001",
        "burnt",
    ]
    refused = await api.hold(account, "1")
    assert problem(refused) == (402, "PAY045")
    assert (await api.get(f"/accounts/{ids.show('account', account)}/limits")).json()["holds_blocked"] is True
    assert (await api.post(f"/holds/{held}/capture", {"amount": "2"}, account=account)).status_code == 201
    assert (await api.charge(account, "1")).status_code == 201
    await credits.tell_payment(account, "7")
    assert problem(await api.hold(account, "1")) == (402, "PAY045")
    await credits.tell_payment(account, "1")
    assert (await api.hold(account, "1")).status_code == 201
    assert [event.uncovered // MICRO for event in await told_of(credits.pool, HoldsBlocked)] == [9]
    assert [event.available // MICRO for event in await told_of(credits.pool, HoldsUnblocked)] == [12]


async def blocked_by_eight(credits: Credits) -> tuple[Credits, UUID, Hold]:
    """Have an account with ten credits, six of them held, use eight: it may hold nothing until it can spend as much."""
    strict = Credits(credits.pool, credits.clock, having({"uncovered_usage": "block_holds"}))
    account = await strict.open()
    held = a_hold(strict, account, 6)
    assert await strict.outcomes(held) == ["accepted"]
    assert await strict.use(used(account, quantity=8)) == ["PAY001"]
    assert await strict.outcomes(a_hold(strict, account, 1)) == ["holds_blocked"]
    return strict, account, held


def a_hold(credits: Credits, account: UUID, amount: int) -> Hold:
    return holding(account, amount * MICRO, until=credits.clock.now() + timedelta(hours=1))


async def unblocked(credits: Credits) -> list[int]:
    return [event.available // MICRO for event in await told_of(credits.pool, HoldsUnblocked)]


async def test_the_first_hold_after_staff_let_an_account_overdraw_far_enough_is_placed(credits: Credits) -> None:
    strict, account, _ = await blocked_by_eight(credits)
    await limits.set_overdraft(credits.pool, account, 3 * MICRO)
    assert await strict.outcomes(a_hold(strict, account, 1)) == ["holds_blocked"]
    await limits.set_overdraft(credits.pool, account, 4 * MICRO)
    assert await strict.outcomes(a_hold(strict, account, 1)) == ["accepted"]
    assert await unblocked(strict) == [4]


async def test_what_one_batch_frees_can_be_held_in_it(credits: Credits) -> None:
    strict, account, held = await blocked_by_eight(credits)
    batch = [a_hold(strict, account, 1), releasing(held), spending(account, 5 * MICRO), a_hold(strict, account, 2)]
    outcomes = await strict.outcomes(*batch, a_hold(strict, account, 3))
    assert outcomes == ["holds_blocked", *["accepted"] * 4]
    assert (await unblocked(strict), (await strict.balance(account)).available) == ([10], 0)


async def test_holds_that_usage_blocks_anew_in_the_same_batch_are_refused(credits: Credits) -> None:
    strict, account, held = await blocked_by_eight(credits)
    batch = [releasing(held), using(account, 11 * MICRO, id="more"), a_hold(strict, account, 1)]
    assert await strict.outcomes(*batch) == ["accepted", "insufficient", "holds_blocked"]
    assert (await unblocked(strict), len(await told_of(strict.pool, HoldsBlocked))) == ([10], 2)


async def test_what_comes_of_uncovered_usage_is_the_catalogues_choice_but_for_accounts_with_their_own(
    credits: Credits, api: Api
) -> None:
    strict = Credits(credits.pool, credits.clock, having({"uncovered_usage": "block_holds"}))
    blocked, free = await strict.open(), await strict.open()
    assert (await put(api, free, "uncovered-usage", {"policy": "reject"}))["uncovered_usage"] == "reject"
    await strict.use(used(blocked, quantity=11), used(free, quantity=11))
    assert [event.account for event in await told_of(strict.pool, HoldsBlocked)] == [blocked]
    assert problem(await api.hold(blocked, "1")) == (402, "PAY045")
    assert (await api.hold(free, "1")).status_code == 201
    assert (await put(api, blocked, "uncovered-usage", {"policy": None}))["holds_blocked"] is False
    assert (await api.hold(blocked, "1")).status_code == 201


async def test_a_policy_that_there_is_not_is_refused(credits: Credits, api: Api) -> None:
    account = ids.show("account", await credits.open())
    for body in ({"policy": "forgive"}, {}, {"policy": 1}):
        assert problem(await api.put(f"/accounts/{account}/uncovered-usage", body)) == (422, "PAY007")
    unknown = ids.show("account", ids.new_id())
    assert problem(await api.put(f"/accounts/{unknown}/uncovered-usage", {"policy": None})) == (404, "PAY028")


@pytest.mark.parametrize("seed", range(3))
async def test_no_account_is_ever_overdrawn_further_than_was_said_to_be_possible(credits: Credits, seed: int) -> None:
    dice = random.Random(seed)
    generous = having({"holds_below": "5"}, policies={"overdraft": "3", "capture_above_hold": True})
    credits = Credits(credits.pool, credits.clock, generous)
    accounts = [await credits.open() for _ in range(4)]
    await limits.set_overdraft(credits.pool, accounts[0], 0)
    await limits.set_overdraft(credits.pool, accounts[1], 20 * MICRO)
    possible = {account: (await credits.balance(account)).possible_overdraft for account in accounts}
    assert list(possible.values()) == [0, 20 * MICRO, 3 * MICRO, 3 * MICRO]
    await limits.watch_overdrafts(credits.pool, credits.ledger)
    assert [OVERDRAFT_POSSIBLE.labels(of)._value.get() // MICRO for of in ("largest", "sum")] == [20, 26]
    assert ACCOUNTS_NEAR_NOTHING._value.get() == 0

    async def burst() -> None:
        await credits.use(*(used(dice.choice(accounts), quantity=dice.randint(0, 6)) for _ in range(10)))

    await gather(*(burst() for _ in range(12)))
    for account in accounts:
        balance = await credits.balance(account)
        assert balance.overdraft <= possible[account] == balance.possible_overdraft
    async with credits.pool.connection() as conn:
        rows = await conn.fetch("SELECT account_id, max(-available_after) FROM entry GROUP BY account_id")
    assert all(lowest <= possible[account] for account, lowest in rows)
    assert any(lowest > 0 for _, lowest in rows)
    await limits.watch_overdrafts(credits.pool, credits.ledger)
    assert ACCOUNTS_NEAR_NOTHING._value.get() == 4
    assert OVERDRAFT_POSSIBLE.labels("sum")._value.get() == sum(possible.values())


async def test_what_is_overdrawn_stays_possible_though_the_limit_falls_or_the_account_is_frozen(
    credits: Credits,
) -> None:
    account = await credits.open()
    await limits.set_overdraft(credits.pool, account, 8 * MICRO)
    await credits.use(used(account, quantity=15))
    await limits.set_overdraft(credits.pool, account, 2 * MICRO)
    assert (await credits.balance(account)).possible_overdraft == 5 * MICRO
    await limits.set_overdraft(credits.pool, account, 9 * MICRO)
    async with credits.pool.connection() as conn:
        await conn.execute("UPDATE account SET state = 'frozen' WHERE id = $1", account)
    assert (await credits.balance(account)).possible_overdraft == 5 * MICRO
