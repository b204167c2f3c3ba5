"""Grants by staff: one, many, and those that need a second person."""

from asyncio import gather
from typing import Any
from uuid import UUID

import pytest

from libs.contracts import ids
from libs.contracts.catalogue import Catalogue, Limits
from libs.contracts.credits import MICRO
from libs.contracts.events import CreditsGranted
from libs.contracts.http.grants_v1 import GrantOrder
from libs.contracts.http.history_v1 import LotQuery
from services.credits.domain.errors import LimitExceededError
from services.credits.operations import grants, history
from services.credits.store import grants as store
from tests.integration.credits.serving import Api, problem
from tests.support.ledger import CATALOGUE, Credits
from tests.support.outbox import told_of

EVE, ADAM = "staff:eve", "staff:adam"


@pytest.fixture
def catalogue() -> Catalogue:
    """One of the staff may grant a thousand credits."""
    return CATALOGUE.model_copy(update={"limits": Limits(staff_grant=1000 * MICRO)})


def shown(account: UUID) -> str:
    return ids.show("account", account)


def to(account: UUID, credits: str = "5", **more: Any) -> dict[str, Any]:
    return {"account": shown(account), "credits": credits, **more}


async def ask(api: Api, path: str, body: dict[str, Any], *, key: str | None = None, caller: str = EVE) -> Any:
    answer = await api.post(path, {"note": "Sorry for the wait", **body}, key=key, caller=caller)
    assert answer.status_code < 300, answer.text
    return answer.json()


async def rows_of(api: Api, grant: str, **params: int | str) -> Any:
    headers = {"Authorization": f"Bearer {api.signer.token('credits')}"}
    answer = await api.http.get(f"/internal/v1/grants/{grant}/rows", headers=headers, params=params)
    return answer.json()


async def pass_that_fails(credits: Credits) -> None:
    """Do all of a pass but its commit."""
    async with credits.pool.transaction() as conn:
        found = await store.next_running(conn)
        assert found is not None
        await grants.work_off_some(conn, credits.ledger, found)
        raise ConnectionError


async def finish(credits: Credits) -> int:
    done = 0
    while rows := await grants.work_off(credits.pool, credits.ledger):
        done += rows
    return done


async def test_a_grant_brings_a_lot_with_its_note_at_once(credits: Credits, api: Api) -> None:
    account = await credits.open()
    made = await ask(api, "/grants", to(account, expires_at="2099-01-01T00:00:00Z"))
    assert (made["state"], made["granted"], made["requested_by"]) == ("completed", 1, EVE)
    (row,) = (await rows_of(api, made["id"]))["data"]
    lot, _ = (await history.lots(credits.pool, account, LotQuery(limit=2))).data
    assert (row["state"], row["lot"]) == ("granted", ids.show("lot", lot.id))
    assert (lot.kind, lot.granted, lot.reason) == ("granted", 5 * MICRO, "grant")
    assert lot.expires_at is not None
    assert (await told_of(credits.pool, CreditsGranted))[-1].reference == lot.reference


async def test_a_grant_asked_for_many_times_under_one_key_is_made_once(credits: Credits, api: Api) -> None:
    account = await credits.open()
    made = await gather(*(ask(api, "/grants", to(account), key="one") for _ in range(6)))
    assert len({one["id"] for one in made}) == 1
    assert await credits.available(account) == 15 * MICRO
    other = await api.post("/grants", {"note": "x", **to(account, "6")}, key="one", caller=EVE)
    assert problem(other)[0] == 422


@pytest.mark.parametrize(
    "body",
    [
        {"credits": "0"},
        {"credits": "-1"},
        {"credits": "0.0000001"},
        {"credits": 5},
        {"credits": "99999999999999"},
        {"kind": "purchased"},
        {"note": ""},
        {"expires_at": "2099-01-01"},
    ],
)
async def test_a_grant_that_cannot_be_read_is_refused(credits: Credits, api: Api, body: dict[str, Any]) -> None:
    account = await credits.open()
    answer = await api.post("/grants", {"note": "x", **to(account), **body}, caller=EVE)
    assert problem(answer) == (422, "PAY007")
    assert await credits.available(account) == 10 * MICRO


async def test_a_grant_to_nobody_is_refused_and_opens_no_account(credits: Credits, api: Api) -> None:
    nobody = ids.new_id()
    assert problem(await api.post("/grants", {"note": "x", **to(nobody)}, caller=EVE)) == (404, "PAY028")
    async with credits.pool.connection() as conn:
        assert await conn.fetchval("SELECT count(*) FROM account") == 0
        assert await conn.fetchval("SELECT count(*) FROM staff_grant") == 0


async def test_an_account_holds_no_more_than_we_can_count(credits: Credits) -> None:
    account = await credits.open()
    huge = GrantOrder.model_validate_json(f'{{"account": "{shown(account)}", "credits": "8999999999999", "note": "x"}}')
    with pytest.raises(LimitExceededError):
        await grants.grant(credits.pool, credits.ledger, credits.clock, huge, alone=None, caller=EVE, key="one")
    assert await credits.available(account) == 10 * MICRO


async def test_above_the_limit_a_grant_waits_for_another_person(credits: Credits, api: Api) -> None:
    account = await credits.open()
    made = await ask(api, "/grants", to(account, "1001"))
    assert (made["state"], made["granted"]) == ("waiting_for_approval", 0)
    assert await finish(credits) == 0
    assert problem(await api.post(f"/grants/{made['id']}/approve", caller=EVE)) == (403, "PAY012")
    for _ in range(2):
        approved = await api.post(f"/grants/{made['id']}/approve", caller=ADAM)
        assert approved.json()["decided_by"] == ADAM
    assert await finish(credits) == 1
    assert await credits.available(account) == 1011 * MICRO
    assert problem(await api.post(f"/grants/{made['id']}/reject", caller=ADAM)) == (409, "PAY034")


async def test_a_rejected_grant_gives_nothing(credits: Credits, api: Api) -> None:
    account = await credits.open()
    made = await ask(api, "/grants/bulk", {"rows": [to(account, "600"), to(account, "600")]})
    assert made["state"] == "waiting_for_approval"
    rejected = await api.post(f"/grants/{made['id']}/reject", caller=ADAM)
    assert rejected.json()["state"] == "rejected"
    assert problem(await api.post(f"/grants/{made['id']}/approve", caller=ADAM)) == (409, "PAY034")
    assert await finish(credits) == 0
    assert await credits.available(account) == 10 * MICRO


async def test_a_grant_to_many_says_of_each_row_what_became_of_it(credits: Credits, api: Api) -> None:
    one, two, nobody = await credits.open(), await credits.open(), ids.new_id()
    rows = [
        to(one, "1"),
        to(nobody, "2"),
        {"email": "nobody@example.com", "credits": "3"},
        to(two, "4", email="two@example.com", note="For you"),
        to(one, "5"),
    ]
    made = await ask(api, "/grants/bulk", {"rows": rows})
    assert (made["state"], made["rows"], made["credits"]) == ("running", 5, "15")
    assert await finish(credits) == 5
    page = await rows_of(api, made["id"], limit=3)
    rest = await rows_of(api, made["id"], limit=3, cursor=page["next_cursor"])
    said = [(row["number"], row["state"], (row["problem"] or {}).get("code")) for row in page["data"] + rest["data"]]
    assert said == [
        (1, "granted", None),
        (2, "failed", "PAY028"),
        (3, "failed", "PAY028"),
        (4, "granted", None),
        (5, "granted", None),
    ]
    assert [await credits.available(account) // MICRO for account in (one, two)] == [16, 14]
    found = await grants.show(credits.pool, ids.read("grant", made["id"]))
    assert (found.state, found.granted, found.failed) == ("completed", 3, 2)


async def test_two_workers_on_a_large_grant_give_each_row_once(credits: Credits, api: Api) -> None:
    accounts = [await credits.open() for _ in range(10)]
    rows = [to(accounts[number % 10], "0.1") for number in range(2500)]
    made = await ask(api, "/grants/bulk", {"rows": rows})
    assert sum(await gather(finish(credits), finish(credits), finish(credits))) == 2500
    assert {await credits.available(account) for account in accounts} == {35 * MICRO}
    found = await grants.show(credits.pool, ids.read("grant", made["id"]))
    assert (found.state, found.granted) == ("completed", 2500)


async def test_a_worker_that_fails_in_the_middle_has_done_nothing_and_the_next_goes_on(
    credits: Credits, api: Api
) -> None:
    account = await credits.open()
    made = await ask(api, "/grants/bulk", {"rows": [to(account, "0.01") for _ in range(1200)]})
    assert await grants.work_off(credits.pool, credits.ledger) == 500
    with pytest.raises(ConnectionError):
        await pass_that_fails(credits)
    assert await finish(credits) == 700
    assert await credits.available(account) == 22 * MICRO
    assert (await grants.show(credits.pool, ids.read("grant", made["id"]))).granted == 1200


@pytest.mark.parametrize("rows", [[], [{"credits": "1"}], [{"account": "acc_1", "credits": "1"}]])
async def test_a_grant_to_many_that_cannot_be_read_is_refused_whole(api: Api, rows: list[Any]) -> None:
    answer = await api.post("/grants/bulk", {"note": "x", "rows": rows}, caller=EVE)
    assert problem(answer) == (422, "PAY007")


async def test_ten_thousand_rows_are_taken_and_not_one_more(credits: Credits, api: Api) -> None:
    row = to(await credits.open(), "0.01", email="somebody.with.a.long.name@example.com", note="n" * 300)
    answer = await api.post("/grants/bulk", {"note": "x", "rows": [row] * 10_001}, caller=EVE)
    assert problem(answer) == (422, "PAY007")
    assert (await ask(api, "/grants/bulk", {"rows": [row] * 10_000}))["rows"] == 10_000


async def test_grants_come_in_pages_newest_first(credits: Credits, api: Api) -> None:
    account = await credits.open()
    made = [(await ask(api, "/grants", to(account)))["id"] for _ in range(5)]
    first = await grants.show_all(credits.pool, limit=3, cursor=None)
    rest = await grants.show_all(credits.pool, limit=3, cursor=first.next_cursor)
    assert [ids.show("grant", one.id) for one in first.data + rest.data] == made[::-1]
