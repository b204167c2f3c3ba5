"""Leases: settled by heartbeats while work goes on, and for what was metered when they stop."""

import asyncio
import json
import random
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from libs.contracts import ids
from libs.contracts.catalogue import Catalogue
from services.credits.operations import insight
from services.credits.operations.expiry import settle_due
from services.credits.operations.sealing import Sealer
from tests.integration.credits.serving import CALLER, Api, problem
from tests.integration.credits.travelling import Travel
from tests.support.ledger import CATALOGUE, Credits, used

STREAM = {
    "unit": "second",
    "properties": {"quality": {"type": "text", "values": ["sd", "hd"]}},
    "billing": {"per": "60", "rounding": "up"},
    "prices": [{"when": 'quality == "hd"', "credits": "2"}, {"credits": "1"}],
}
TIERED = {"unit": "call", "allowance": "5", "prices": [{"credits": "1"}]}


@pytest.fixture
def catalogue() -> Catalogue:
    book = {"version": "lease-1", "meters": {"stream": STREAM, "calls": TIERED}}
    document = CATALOGUE.model_dump(mode="json") | {"policies": {"longest_hold_seconds": 3599}}
    return Catalogue.of(document | {"price_book": book})


async def begin(api: Api, account: UUID, reserve: str, **more: Any) -> Any:
    order = {"account": ids.show("account", account), "meter": "stream", "properties": {"quality": "hd"}}
    return await api.post("/leases", order | {"reserve": reserve} | more)


async def begun(api: Api, account: UUID, reserve: str) -> str:
    answer = await begin(api, account, reserve)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def beat(api: Api, account: UUID, lease: str, seconds: object, *, key: str | None = None) -> Any:
    return await api.post(f"/leases/{lease}/heartbeat", {"quantity": str(seconds)}, account=account, key=key)


async def close(api: Api, account: UUID, lease: str, seconds: object) -> Any:
    return await api.post(f"/leases/{lease}/close", {"quantity": str(seconds)}, account=account)


async def test_heartbeats_settle_what_was_metered_and_reserve_ahead_again(credits: Credits, api: Api) -> None:
    account = await credits.open_with("20")
    lease = await begun(api, account, "4")
    first = (await beat(api, account, lease, 30)).json()
    assert (first["metered"], first["cost"], first["captured"], first["held"]) == ("30", "2", "2", "4")
    assert first["balance"] == {"available": "24", "held": "4", "overdraft": "0", "debt": "0", "sequence": 5}
    second = (await beat(api, account, lease, 150)).json()
    assert (second["cost"], second["captured"], second["held"], second["short"]) == ("6", "6", "4", "0")
    closed = (await close(api, account, lease, "181.5")).json()
    assert (closed["state"], closed["captured"], closed["held"]) == ("captured", "8", "0")
    assert (await credits.balance(account)).available == 22_000_000


async def test_a_heartbeat_that_is_told_twice_or_late_is_settled_once(credits: Credits, api: Api) -> None:
    account = await credits.open_with("90")
    lease = await begun(api, account, "4")
    answers = await asyncio.gather(*(beat(api, account, lease, seconds) for seconds in (60, 240, 120, 240, 180)))
    assert {answer.status_code for answer in answers} == {201}
    first = await beat(api, account, lease, 240, key="once")
    assert (await beat(api, account, lease, 240, key="once")).content == first.content
    assert (first.json()["captured"], first.json()["metered"], first.json()["held"]) == ("8", "240", "4")
    assert (await credits.balance(account)).totals.spent == 8_000_000


async def test_when_credits_run_out_what_is_there_is_settled_and_the_work_is_told_to_stop(
    credits: Credits, api: Api
) -> None:
    account = await credits.open()
    lease = await begun(api, account, "4")
    answer = (await beat(api, account, lease, 241)).json()
    assert (answer["captured"], answer["held"], answer["short"]) == ("10", "0", "0")
    short = (await beat(api, account, lease, 301)).json()
    assert (short["captured"], short["held"], short["short"], short["cost"]) == ("10", "0", "2", "12")
    await credits.tell_payment(account, "5")
    later = (await beat(api, account, lease, 301)).json()
    assert (later["captured"], later["held"], later["short"]) == ("12", "3", "0")


async def test_what_a_member_may_spend_no_more_is_short_and_the_work_is_told_to_stop(
    credits: Credits, api: Api
) -> None:
    account = await credits.open_with("990")
    await api.put(f"/accounts/{ids.show('account', account)}/actors/{CALLER}", {"per_day": "10"})
    lease = await begun(api, account, "0.01")
    answer = (await beat(api, account, lease, 500 * 60)).json()
    assert (answer["cost"], answer["captured"], answer["short"], answer["held"]) == ("1000", "10", "990", "0")
    assert answer["balance"]["available"] == "990"
    assert problem(await begin(api, account, "0.01")) == (422, "PAY006")
    closed = (await close(api, account, lease, 500 * 60)).json()
    assert (closed["state"], closed["captured"], closed["short"]) == ("captured", "10", "990")


async def test_a_lease_whose_heartbeats_stop_keeps_what_was_metered_and_frees_the_rest_once(
    credits: Credits, api: Api, travel: Travel
) -> None:
    account = await credits.open_with("20")
    lease = await begun(api, account, "6")
    await beat(api, account, lease, 90)
    await travel(seconds=20)
    await beat(api, account, lease, 100)
    await travel(seconds=29)
    assert (await credits.balance(account)).held == 6_000_000
    await travel(seconds=2)
    assert [await settle_due(credits.pool, credits.ledger, credits.clock) for _ in range(2)] == [1, 0]
    balance = await credits.balance(account)
    assert (balance.held, balance.available, balance.totals.spent) == (0, 26_000_000, 4_000_000)
    assert problem(await beat(api, account, lease, 110)) == (409, "PAY037")
    assert problem(await close(api, account, lease, 110)) == (409, "PAY037")


async def test_a_lease_keeps_the_prices_it_began_with(credits: Credits, api: Api, travel: Travel) -> None:
    account = await credits.open_with("50")
    lease = await begun(api, account, "4")
    dearer = {"version": "lease-2", "meters": {"stream": STREAM | {"prices": [{"credits": "9"}]}}}
    await api.put("/price-books/lease-2", dearer)
    await api.post("/price-books/lease-2/activate")
    for seconds in (20, 40, 60, 80):
        await travel(seconds=20)
        answer = await beat(api, account, lease, seconds)
    assert (answer.json()["cost"], answer.json()["captured"]) == ("4", "4")
    assert (await close(api, account, await begun(api, account, "9"), 60)).json()["captured"] == "9"


async def test_what_a_lease_used_is_summed_though_it_never_ended_well(
    credits: Credits, api: Api, travel: Travel
) -> None:
    account = await credits.open_with("50")
    lease = await begun(api, account, "4")
    for seconds in (50, 55, 70, 115, 200):
        await beat(api, account, lease, seconds)
    await travel(minutes=2)
    await settle_due(credits.pool, credits.ledger, credits.clock)
    sealer = Sealer(credits.pool, credits.clock, None)
    await credits.timeline()
    today, summed = credits.clock.now().date(), list[dict[str, Any]]()
    async with asyncio.timeout(30):
        while not summed or summed[0]["credits"] != "8":
            await sealer.seal()
            await insight.sum_up(credits.pool, credits.clock, credits.prices)
            query: dict[str, Any] = {"from": str(today), "to": str(today)}
            summed = (await api.get(f"/accounts/{ids.show('account', account)}/usage", **query)).json()["data"]
    assert (summed[0]["key"], summed[0]["quantity"]) == ("stream", "200")


WORKER = """
import sys, time, json, httpx2
url, token, lease, account = sys.argv[1:]
seconds = 0
with httpx2.Client(base_url=url, trust_env=False) as http:
    while True:
        seconds += 7
        headers = {"Authorization": f"Bearer {token}", "Scrip-Caller": "key:worker", "Idempotency-Key": str(seconds)}
        path = f"/internal/v1/leases/{lease}/heartbeat?account={account}"
        answer = http.post(path, json={"quantity": str(seconds)}, headers=headers)
        print(json.dumps([seconds, answer.json()["captured"]]), flush=True)
"""


@pytest.mark.parametrize("seed", range(3))
async def test_a_lease_whose_process_is_killed_is_settled_for_exactly_what_it_metered(
    credits: Credits, api: Api, travel: Travel, tmp_path: Path, seed: int
) -> None:
    account = await credits.open_with("1000")
    lease = await begun(api, account, "6")
    token = api.signer.token("credits")
    (tmp_path / "worker.py").write_text(WORKER)
    given = (str(api.http.base_url), token, lease, ids.show("account", account))
    worker = await asyncio.create_subprocess_exec(
        sys.executable, str(tmp_path / "worker.py"), *given, stdout=asyncio.subprocess.PIPE
    )
    assert worker.stdout is not None
    told = [json.loads(await worker.stdout.readline())]
    await asyncio.sleep(random.Random(seed).random() / 2)
    worker.kill()
    told += [json.loads(line) for line in (await worker.stdout.read()).splitlines()]
    await worker.wait()
    await travel(minutes=2)
    await settle_due(credits.pool, credits.ledger, credits.clock)
    found = (await api.get(f"/holds/{lease}", account=account)).json()
    balance = await credits.balance(account)
    metered = told[-1][0]  # or one heartbeat more, whose answer nobody read
    costs = {-(-seconds // 60) * 2 for seconds in (metered, metered + 7)}
    assert (found["state"], found["held"], balance.held) == ("expired", "0", 0)
    assert Decimal(found["captured"]) in costs
    assert balance.totals.spent == Decimal(found["captured"]) * 1_000_000
    assert balance.available == 1_010_000_000 - balance.totals.spent


@pytest.mark.parametrize("seed", range(4))
async def test_leases_of_one_account_never_spend_more_than_there_is(credits: Credits, api: Api, seed: int) -> None:
    chance = random.Random(seed)
    account = await credits.open_with("30")
    leases = [await begun(api, account, "3") for _ in range(4)]

    async def work(lease: str) -> tuple[Decimal, Decimal]:
        seconds, answer = 0, {"short": "0", "captured": "0"}
        for _ in range(6):
            seconds += chance.randint(0, 150)
            answer = (await beat(api, account, lease, seconds)).json()
            await credits.use(used(account, "calls", 1))
        answer = (await close(api, account, lease, seconds)).json()
        assert Decimal(answer["captured"]) + Decimal(answer["short"]) == -(-seconds // 60) * 2
        return Decimal(answer["captured"]), Decimal(answer["short"])

    done = await asyncio.gather(*map(work, leases))
    balance = await credits.balance(account)
    used_up = sum(captured for captured, _ in done)
    assert (balance.held, used_up <= 40) == (0, True)
    if any(short for _, short in done):
        assert balance.available < 2_000_000


@pytest.mark.parametrize(
    ("order", "status", "code"),
    [
        ({"reserve": "0"}, 422, "PAY007"),
        ({"reserve": "11"}, 402, "PAY001"),
        ({"meter": "teleport"}, 422, "PAY021"),
        ({"properties": {"quality": "8k"}}, 422, "PAY022"),
        ({"meter": "calls", "properties": {}}, 422, "PAY022"),
        ({"heartbeat_seconds": 0}, 422, "PAY007"),
        ({"heartbeat_seconds": 3601}, 422, "PAY007"),
        ({"heartbeat_seconds": 3600}, 422, "PAY039"),
    ],
)
async def test_a_lease_that_cannot_be_begun_is_refused(
    credits: Credits, api: Api, order: dict[str, Any], status: int, code: str
) -> None:
    account = await credits.open()
    reserve = order.pop("reserve", "1")
    assert problem(await begin(api, account, reserve, **order)) == (status, code)
    assert (await credits.balance(account)).held == 0


async def test_only_a_lease_has_heartbeats_and_only_its_own_account_knows_it(credits: Credits, api: Api) -> None:
    account, other = await credits.open(), await credits.open()
    hold, lease = await api.placed(account, "1"), await begun(api, account, "1")
    assert problem(await beat(api, account, hold, 1)) == (404, "PAY010")
    assert problem(await beat(api, other, lease, 1)) == (404, "PAY010")
    assert problem(await beat(api, account, ids.show("hold", uuid4()), 1)) == (404, "PAY010")
    assert problem(await beat(api, account, lease, -1)) == (422, "PAY007")
    await close(api, account, lease, 0)
    assert problem(await beat(api, account, lease, 1)) == (409, "PAY036")
