"""Low balances, told once for each crossing; overdraft by policy and by account; warnings of what expires."""

from asyncio import gather
from datetime import timedelta

import httpx2

from libs.contracts import ids
from libs.contracts.catalogue import Policies
from libs.contracts.credits import MICRO
from libs.contracts.events import LotExpired, LotExpiring, LowBalance
from services.credits.operations import limits
from services.credits.operations.expiry import settle_due, warn_of_expiry
from tests.integration.credits.serving import Api, problem
from tests.support.ledger import CATALOGUE, Credits, paid, used
from tests.support.outbox import told_of


async def crossings(credits: Credits) -> list[tuple[str, int]]:
    return [(event.change, event.available // MICRO) for event in await told_of(credits.pool, LowBalance)]


async def test_falling_below_the_threshold_and_coming_back_are_told_once_each(credits: Credits) -> None:
    account = await credits.open_with("5")
    await credits.use(used(account, quantity=5))
    assert (await crossings(credits), (await credits.balance(account)).low) == ([], False)
    await credits.use(used(account, quantity=1))
    await credits.use(used(account, quantity=4))
    assert (await crossings(credits), (await credits.balance(account)).low) == ([("dropped", 9)], True)
    await credits.tell_payment(account, "3")
    await credits.tell_payment(account, "30")
    assert await crossings(credits) == [("dropped", 9), ("recovered", 38)]


async def test_only_what_a_batch_leaves_counts(credits: Credits) -> None:
    account = await credits.open_with("5")
    await credits.use(*(used(account) for _ in range(10)))
    assert await crossings(credits) == [("dropped", 5)]


async def test_many_spends_at_once_cross_once(credits: Credits) -> None:
    account = await credits.open_with("10")
    await gather(*(credits.use(used(account)) for _ in range(18)))
    assert [change for change, _ in await crossings(credits)] == ["dropped"]


async def test_what_was_never_more_than_the_threshold_is_low_and_nobody_is_told(credits: Credits) -> None:
    poor = Credits(credits.pool, catalogue=CATALOGUE.model_copy(update={"welcome_bonus": None}))
    account = await poor.open()
    await poor.tell_payment(account, "5")
    await poor.use(used(account, quantity=4))
    assert (await crossings(poor), (await poor.balance(account)).low) == ([], True)
    await poor.tell_payment(account, "50")
    assert (await crossings(poor), (await poor.balance(account)).low) == ([], False)


async def test_an_account_has_a_threshold_of_its_own(credits: Credits, api: Api) -> None:
    account = await credits.open_with("20")
    path = f"/accounts/{ids.show('account', account)}/low-balance"
    answer = await limits_after(api, path, {"threshold": "31"})
    assert answer["low_balance_threshold"] == "31"
    assert await crossings(credits) == [("dropped", 30)]
    await limits_after(api, path, {"threshold": None})
    assert await crossings(credits) == [("dropped", 30), ("recovered", 30)]
    await credits.use(used(account, quantity=21))
    assert await crossings(credits) == [("dropped", 30), ("recovered", 30), ("dropped", 9)]


async def test_an_account_may_overdraw_as_far_as_it_is_let(credits: Credits, api: Api) -> None:
    account = await credits.open()
    path = f"/accounts/{ids.show('account', account)}/overdraft"
    assert (await limits_after(api, path, {"limit": "5"}))["overdraft_limit"] == "5"
    assert await credits.use(used(account, quantity=16), used(account, quantity=15)) == ["PAY001", "burnt"]
    assert (await credits.balance(account)).overdraft == 5 * MICRO
    assert (await limits_after(api, path, {"limit": "0"}))["overdraft_limit"] == "0"
    assert await credits.use(used(account)) == ["PAY001"]
    await credits.tell_payment(account, "8")
    assert await credits.available(account) == 3 * MICRO


async def test_the_catalogue_lets_every_account_overdraw_but_those_with_a_limit_of_their_own(credits: Credits) -> None:
    policies = Policies(overdraft=3 * MICRO)
    generous = Credits(credits.pool, catalogue=CATALOGUE.model_copy(update={"policies": policies}))
    account, other = await generous.open(), await generous.open()
    await limits.set_overdraft(generous.pool, other, 0)
    assert await generous.use(used(account, quantity=13), used(other, quantity=13)) == ["burnt", "PAY001"]
    assert await credits.use(used(account)) == ["PAY001"]


async def test_a_limit_or_threshold_below_nothing_is_refused(credits: Credits, api: Api) -> None:
    account = ids.show("account", await credits.open())
    for path, body in (("overdraft", {"limit": "-1"}), ("low-balance", {"threshold": 5}), ("overdraft", {})):
        assert problem(await put(api, f"/accounts/{account}/{path}", body)) == (422, "PAY007")


async def test_what_expires_soon_is_warned_of_once_a_lot(credits: Credits) -> None:
    account = await credits.open()
    soon, later = credits.clock.now() + timedelta(days=6), credits.clock.now() + timedelta(days=8)
    await credits.tell(paid(account, "50", expires_at=soon), paid(account, "60", expires_at=later))
    await credits.use(used(account, quantity=12))
    told = await gather(*(warn_of_expiry(credits.pool, credits.clock, days=7) for _ in range(4)))
    assert sum(told) == 1
    (warning,) = await told_of(credits.pool, LotExpiring)
    assert (warning.account, warning.credits, warning.expires_at) == (account, 48 * MICRO, soon)
    assert await warn_of_expiry(credits.pool, credits.clock, days=0) == 0


async def test_what_is_written_off_is_told(credits: Credits) -> None:
    account = await credits.open()
    await credits.tell(paid(account, "50", expires_at=credits.clock.now()))
    await settle_due(credits.pool, credits.ledger, credits.clock)
    (expired,) = await told_of(credits.pool, LotExpired)
    assert (expired.kind, expired.credits, expired.available) == ("purchased", 50 * MICRO, 10 * MICRO)


async def put(api: Api, path: str, body: object) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {api.signer.token('credits')}"}
    return await api.http.put(f"/internal/v1{path}", json=body, headers=headers)


async def limits_after(api: Api, path: str, body: object) -> dict[str, str | None]:
    answer = await put(api, path, body)
    assert answer.status_code == 200, answer.text
    read: dict[str, str | None] = answer.json()
    return read
