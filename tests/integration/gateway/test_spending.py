"""Charges, holds and transfers at the gateway: who may, of which account, under which key."""

from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest

from libs.contracts import ids
from tests.integration.gateway.gateways import Gateway, User
from tests.integration.gateway.stand_ins import CreditsStandIn

CHARGE, HOLD = (ids.show(kind, UUID(int=7)) for kind in ("charge", "hold"))
AMOUNT = {"amount": "2.5"}


async def ask(
    gateway: Gateway, secret: str, path: str, body: Any = None, *, key: str | None = None, **params: str
) -> httpx2.Response:
    headers = {"X-Api-Key": secret, "Idempotency-Key": key or uuid4().hex}
    return await gateway.http.post(path, json=body, headers=headers, params=params or None)


def name(account: UUID) -> str:
    return ids.show("account", account)


def problem(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_a_user_charges_his_own_account(gateway: Gateway, credits: CreditsStandIn) -> None:
    user = await gateway.sign_up()
    body = AMOUNT | {"reference": {"type": "booking", "id": "b-1"}, "description": "A lesson"}
    answer = await user.post("/v1/charges", body, key="key-1")
    assert (answer.status_code, answer.json()["account"]) == (201, name(user.account))
    (asked,) = credits.spending.asked
    who = user.session.model_dump(mode="json")["user"]["id"]
    assert (asked.path, asked.caller, asked.key, asked.account) == ("/charges", f"user:{who}", "key-1", user.account)
    assert asked.body["amount"] == "2.5"
    assert asked.body["reference"] == {"type": "booking", "id": "b-1"}


async def test_a_retry_is_handed_on_with_its_key_and_says_so(gateway: Gateway) -> None:
    user = await gateway.sign_up()
    first, again = [await user.post("/v1/charges", AMOUNT, key="key-1") for _ in range(2)]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"


async def test_who_has_too_little_hears_what_lacks_and_where_to_buy(gateway: Gateway) -> None:
    user = await gateway.sign_up()
    answer = await user.post("/v1/charges", {"amount": "1000"}, key="key-1")
    assert problem(answer) == (402, "PAY001")
    told = answer.json()
    assert (told["required"], told["available"], told["buy"]) == ("1000", "1", "/v1/packs")


async def test_a_key_charges_refunds_and_batches_for_its_account(gateway: Gateway, credits: CreditsStandIn) -> None:
    user = await gateway.sign_up()
    secret = await user.make_key("charges:write")
    answers = [
        await ask(gateway, secret, "/v1/charges", AMOUNT | {"account": name(user.account)}),
        await ask(gateway, secret, f"/v1/charges/{CHARGE}/refunds", {"amount": "1"}),
        await ask(gateway, secret, "/v1/charges/batch", {"charges": [AMOUNT, "nonsense"]}),
    ]
    assert [answer.status_code for answer in answers] == [201, 201, 200]
    asked = credits.spending.asked
    assert [each.path for each in asked] == ["/charges", f"/charges/{CHARGE}/refunds", "/charges/batch"]
    assert {each.caller.split("_")[0] for each in asked} == {"key:key"}
    assert (asked[1].account, asked[1].body) == (user.account, {"amount": "1"})
    assert asked[2].body == {"account": name(user.account), "charges": [AMOUNT, "nonsense"]}


async def test_a_key_places_and_settles_holds(gateway: Gateway, credits: CreditsStandIn) -> None:
    user = await gateway.sign_up()
    secret = await user.make_key("holds:write")
    answers = [
        await ask(gateway, secret, "/v1/holds", {"meter": "video", "quantity": "0.1", "expires_in": 60}),
        await ask(gateway, secret, f"/v1/holds/{HOLD}/extend", {"expires_in": 60}),
        await ask(gateway, secret, f"/v1/holds/{HOLD}/capture", {"amount": "1", "final": False}),
        await ask(gateway, secret, f"/v1/holds/{HOLD}/release"),
    ]
    assert [answer.status_code for answer in answers] == [201] * 4
    asked = credits.spending.asked
    verbs = [f"/holds/{HOLD}/{verb}" for verb in ("extend", "capture", "release")]
    assert [each.path for each in asked] == ["/holds", *verbs]
    assert {each.account for each in asked} == {user.account}
    assert (asked[0].body["meter"], asked[0].body["quantity"], asked[0].body["expires_in"]) == ("video", "0.1", 60)
    assert asked[2].body == {"amount": "1", "final": False}


async def test_users_and_keys_that_may_read_see_charges_and_holds(gateway: Gateway) -> None:
    user = await gateway.sign_up()
    headers = {"X-Api-Key": await user.make_key("credits:read")}
    for path in (f"/v1/charges/{CHARGE}", f"/v1/holds/{HOLD}"):
        by_user, by_key = await user.get(path), await gateway.http.get(path, headers=headers)
        assert by_user.json()["account"] == by_key.json()["account"] == name(user.account)
    page = (await user.get("/v1/holds", state="pending", limit=5)).json()
    assert (page["data"][0]["account"], page["next_cursor"]) == (name(user.account), "pending+5")


async def test_a_user_gives_credits_of_his_own(gateway: Gateway, credits: CreditsStandIn) -> None:
    ada, bob = await gateway.sign_up(), await gateway.sign_up()
    answer = await ada.post("/v1/transfers", {"to": name(bob.account), "amount": "2"}, key="key-1")
    assert (answer.status_code, answer.json()["to"]) == (201, name(bob.account))
    assert credits.spending.asked[0].account == ada.account


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/charges/batch", {"charges": [AMOUNT]}),
        (f"/v1/charges/{CHARGE}/refunds", {}),
        ("/v1/holds", AMOUNT),
        (f"/v1/holds/{HOLD}/capture", {"amount": "1"}),
        (f"/v1/holds/{HOLD}/extend", {"expires_in": 60}),
        (f"/v1/holds/{HOLD}/release", None),
    ],
)
async def test_what_is_for_services_is_refused_to_users_and_to_keys_of_another_scope(
    gateway: Gateway, credits: CreditsStandIn, path: str, body: Any
) -> None:
    user = await gateway.sign_up()
    other = await user.make_key("usage:write", "credits:read")
    assert problem(await user.post(path, body, key="key-1")) == (403, "PAY012")
    assert problem(await ask(gateway, other, path, body)) == (403, "PAY012")
    assert problem(await gateway.http.post(path, json=body)) == (401, "PAY011")
    assert credits.spending.asked == []


async def test_keys_cannot_charge_without_the_scope_nor_transfer_at_all(gateway: Gateway) -> None:
    user = await gateway.sign_up()
    key, writer = await user.make_key("holds:write"), await user.make_key("charges:write")
    assert problem(await ask(gateway, key, "/v1/charges", AMOUNT)) == (403, "PAY012")
    headers = {"Authorization": f"Bearer {writer}", "Idempotency-Key": "key-1"}
    body = {"to": name(ids.new_id()), "amount": "1"}
    assert problem(await gateway.http.post("/v1/transfers", json=body, headers=headers)) == (403, "PAY012")


async def test_another_account_is_for_operators_alone(gateway: Gateway, credits: CreditsStandIn) -> None:
    user, other = await gateway.sign_up(), await gateway.sign_up()
    secret, foreign = await user.make_key("charges:write", "holds:write"), name(other.account)
    refused = [
        await user.post("/v1/charges", AMOUNT | {"account": foreign}, key="key-1"),
        await user.get(f"/v1/charges/{CHARGE}", account=foreign),
        await user.get("/v1/holds", account=foreign),
        await ask(gateway, secret, "/v1/charges", AMOUNT | {"account": foreign}),
        await ask(gateway, secret, "/v1/charges/batch", {"account": foreign, "charges": [AMOUNT]}),
        await ask(gateway, secret, "/v1/holds", AMOUNT | {"account": foreign}),
        await ask(gateway, secret, f"/v1/holds/{HOLD}/release", account=foreign),
    ]
    assert [problem(answer) for answer in refused] == [(403, "PAY012")] * 7
    assert credits.spending.asked == []


async def test_an_operators_key_acts_on_any_account(gateway: Gateway, credits: CreditsStandIn) -> None:
    user, other = await gateway.sign_up(), await gateway.sign_up()
    secret = await gateway.operators_key(user.account, "admin")
    foreign = name(other.account)
    await ask(gateway, secret, "/v1/charges", AMOUNT | {"account": foreign})
    await ask(gateway, secret, f"/v1/holds/{HOLD}/release", account=foreign)
    await ask(gateway, secret, "/v1/charges/batch", {"charges": [AMOUNT | {"account": foreign}]})
    charged, released, batch = credits.spending.asked
    assert charged.account == released.account == other.account
    assert batch.body == {"charges": [AMOUNT | {"account": foreign}]}


@pytest.mark.parametrize("path", ["/v1/charges", "/v1/holds", f"/v1/holds/{HOLD}/release", "/v1/transfers"])
async def test_without_a_good_key_nothing_is_spent(gateway: Gateway, credits: CreditsStandIn, path: str) -> None:
    user = await gateway.sign_up()
    headers = user.headers
    if path.startswith("/v1/holds"):
        headers = {"X-Api-Key": await user.make_key("holds:write")}
    body: dict[str, Any] = AMOUNT | ({"to": name(ids.new_id())} if path == "/v1/transfers" else {})
    for wrong in ({}, {"Idempotency-Key": "x" * 256}, {"Idempotency-Key": "with space"}):
        assert problem(await gateway.http.post(path, json=body, headers=headers | wrong)) == (400, "PAY008")
    assert credits.spending.asked == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"amount": 2},
        {"amount": "0"},
        {"amount": "-1"},
        {"amount": "1.0000001"},
        {"amount": "1", "meter": "video"},
        {"amount": "1", "colour": "red"},
        {"amount": "1", "account": "me"},
        {"amount": "1", "metadata": {"a": "\x00"}},
    ],
    ids=ascii,
)
async def test_an_order_that_cannot_be_read_is_a_clear_problem(
    gateway: Gateway, credits: CreditsStandIn, body: dict[str, Any]
) -> None:
    user = await gateway.sign_up()
    assert problem(await user.post("/v1/charges", body, key="key-1")) == (422, "PAY007")
    assert credits.spending.asked == []


async def test_what_no_utf8_can_say_is_a_clear_problem(gateway: Gateway, credits: CreditsStandIn) -> None:
    user: User = await gateway.sign_up()
    headers = {"X-Api-Key": await user.make_key("charges:write"), "Idempotency-Key": "key-1"}
    for body in (b'{"charges": ["\\ud800"]}', b'{"charges": []}', b'{"charges": {}}'):
        answer = await gateway.http.post("/v1/charges/batch", content=body, headers=headers)
        assert problem(answer) == (422, "PAY007")
    one = b'{"amount": "1", "description": "\\ud800"}'
    assert problem(await gateway.http.post("/v1/charges", content=one, headers=headers)) == (422, "PAY007")
    assert credits.spending.asked == []


async def test_without_credits_a_charge_is_a_503_that_may_be_retried(gateway: Gateway, credits: CreditsStandIn) -> None:
    user = await gateway.sign_up()
    await credits.go()
    answer = await user.post("/v1/charges", AMOUNT, key="key-1")
    assert (problem(answer), answer.headers["retry-after"]) == ((503, "PAY014"), "1")
    await credits.come()
    assert (await user.post("/v1/charges", AMOUNT, key="key-1")).status_code == 201
