"""History through the gateway: handed on to credits, and exported as files."""

import csv
import json
from datetime import timedelta

import httpx2
import pytest

from libs.contracts import ids
from libs.contracts.http.credits_v1 import Transaction
from libs.contracts.money import Money
from services.gateway.domain.exports import COLUMNS
from tests.integration.gateway.gateways import Gateway, User
from tests.integration.gateway.past import NOON, a_transaction
from tests.integration.gateway.stand_ins import CreditsStandIn

ROUTES = ("/v1/transactions", "/v1/transactions/export", "/v1/lots", "/v1/balance/explanation")


async def test_a_balance_at_an_instant_is_asked_of_credits(gateway: Gateway, credits: CreditsStandIn) -> None:
    user = await gateway.sign_up()
    answer = await user.get("/v1/balance", at=NOON.isoformat())
    assert (answer.json()["available"], answer.json()["sequence"]) == ("7", 3)
    assert credits.past.asked[-1].params == {"at": NOON.isoformat()}
    assert (await user.get("/v1/balance")).json()["available"] == "10"


async def test_every_filter_reaches_credits(gateway: Gateway, credits: CreditsStandIn) -> None:
    user = await gateway.sign_up()
    wanted = {
        "type": "charge",
        "from": NOON.isoformat().replace("+00:00", "Z"),
        "to": (NOON + timedelta(days=1)).isoformat().replace("+00:00", "Z"),
        "reference": "booking:a:b",
        "q": "50 % off_",
        "limit": "7",
        "cursor": "0",
    }
    assert (await user.get("/v1/transactions", **wanted)).status_code == 200
    assert credits.past.asked[-1].params == wanted
    assert credits.past.asked[-1].account == user.account
    assert (await user.get("/v1/lots", kind="purchased", open="false", limit=3)).status_code == 200
    assert credits.past.asked[-1].params == {"kind": "purchased", "open": "false", "limit": "3"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "theft"},
        {"from": "yesterday"},
        {"to": "2026-01-01T00:00:00"},
        {"reference": "no colon"},
        {"q": ""},
        {"q": "a\x00b"},
        {"q": "x" * 201},
        {"limit": 0},
        {"limit": 101},
        {"limit": "x"},
        {"cursor": ""},
        {"tpye": "usage"},
    ],
    ids=str,
)
async def test_a_filter_that_makes_no_sense_is_refused(
    gateway: Gateway, credits: CreditsStandIn, wrong: dict[str, str]
) -> None:
    user = await gateway.sign_up()
    answer = await user.get("/v1/transactions", **wrong)
    assert (answer.status_code, answer.json()["code"]) == (422, "PAY007")
    assert credits.past.asked == []


async def test_one_transaction_and_a_lots_movements_are_shown(gateway: Gateway, credits: CreditsStandIn) -> None:
    user = await gateway.sign_up()
    credits.past.transactions = [a_transaction(user.account, 2)]
    shown = ids.show("transaction", credits.past.transactions[0].id)
    assert (await user.get(f"/v1/transactions/{shown}")).json()["movements"] == []
    missing = await user.get(f"/v1/transactions/{ids.show('transaction', ids.new_id())}")
    assert missing.status_code == 404
    lot = ids.show("lot", ids.new_id())
    assert (await user.get(f"/v1/lots/{lot}/movements", limit=5)).json()["next_cursor"] == "more"
    assert credits.past.asked[-1].path == f"movements of {lot}"
    assert (await user.get("/v1/transactions/nonsense")).status_code == 422
    assert (await user.get("/v1/balance/explanation")).json()["balance"]["available"] == "10"


async def test_a_key_reads_its_own_account_and_with_admin_any(gateway: Gateway, credits: CreditsStandIn) -> None:
    user, other = await gateway.sign_up(), await gateway.sign_up()
    reader = {"X-Api-Key": await user.make_key("credits:read")}
    admin = {"X-Api-Key": await gateway.operators_key(user.account, "admin")}
    writer = {"X-Api-Key": await user.make_key("usage:write")}
    others = {"account": ids.show("account", other.account)}
    for route in ROUTES:
        assert (await gateway.http.get(route, headers=reader)).status_code == 200
        assert credits.past.asked[-1].account == user.account
        assert (await gateway.http.get(route, headers=admin, params=others)).status_code == 200
        assert credits.past.asked[-1].account == other.account
        for refused in (
            await gateway.http.get(route, headers=reader, params=others),
            await gateway.http.get(route, headers=writer),
        ):
            assert refused.status_code == 403
        assert (await gateway.http.get(route)).status_code == 401


async def export(user: User, **wanted: str) -> httpx2.Response:
    answer = await user.get("/v1/transactions/export", **wanted)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer


async def test_an_export_has_every_transaction_however_many_pages(gateway: Gateway, credits: CreditsStandIn) -> None:
    user = await gateway.sign_up()
    credits.past.transactions = [a_transaction(user.account, number) for number in range(250, 0, -1)]
    credits.past.page = 100
    table = await export(user, type="usage")
    assert table.headers["content-type"].startswith("text/csv")
    assert table.headers["content-disposition"] == 'attachment; filename="transactions.csv"'
    rows = list(csv.DictReader(table.text.splitlines()))
    assert tuple(rows[0]) == COLUMNS
    assert [int(row["sequence"]) for row in rows] == list(range(250, 0, -1))
    assert [asked.params.get("cursor") for asked in credits.past.asked] == [None, "100", "200"]
    assert {asked.params["type"] for asked in credits.past.asked} == {"usage"}
    lines = await export(user, format="jsonl")
    assert lines.headers["content-type"].startswith("application/jsonl")
    told = [Transaction.model_validate(json.loads(line)) for line in lines.text.splitlines()]
    assert told == credits.past.transactions


async def test_an_exported_row_says_what_the_transaction_says_and_is_no_formula(
    gateway: Gateway, credits: CreditsStandIn
) -> None:
    user = await gateway.sign_up()
    money = Money(amount_minor=999, currency="usd")
    named = {"description": '=HYPERLINK("evil")', "note": 'A "note",\nin lines', "reference_id": None, "paid": money}
    credits.past.transactions = [a_transaction(user.account, 1, **named)]
    table = await export(user)
    (row,) = csv.DictReader(table.text.splitlines(keepends=True))
    assert row["description"] == '\'=HYPERLINK("evil")'
    assert row["note"] == 'A "note",\nin lines'
    assert (row["credits"], row["balance_after"], row["reference_id"]) == ("-0.5", "10", "")
    assert (row["paid_minor"], row["paid_currency"], row["metadata"]) == ("999", "usd", "quantity=1")


async def test_an_export_of_nothing_has_a_head_alone(gateway: Gateway) -> None:
    user = await gateway.sign_up()
    assert (await export(user)).text.strip() == ",".join(COLUMNS)
    assert (await export(user, format="jsonl")).content == b""


async def test_an_export_that_cannot_begin_is_a_problem_and_one_that_cannot_go_on_breaks_off(
    gateway: Gateway, credits: CreditsStandIn
) -> None:
    user = await gateway.sign_up()
    credits.past.transactions = [a_transaction(user.account, number) for number in range(250, 0, -1)]
    credits.past.page, credits.past.fails_after = 100, 1
    with pytest.raises(httpx2.TransportError):
        await user.get("/v1/transactions/export")
    await credits.go()
    answer = await user.get("/v1/transactions/export")
    assert (answer.status_code, answer.json()["code"]) == (503, "PAY014")
