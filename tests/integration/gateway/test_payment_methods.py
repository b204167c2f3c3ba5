"""Saved cards: handed on to payments in the name of whoever is signed in; only one's own, and not too often."""

import pytest

from libs.contracts import ids
from tests.integration.gateway.conftest import RunGateway
from tests.integration.gateway.gateways import NOWHERE, Gateway, User
from tests.integration.gateway.stand_ins import PaymentsStandIn

CARDS = "/v1/payment-methods"


async def a_card(user: User) -> str:
    """Save a card; gives its id."""
    setup = (await user.post(CARDS, key="k")).json()
    return str((await user.post(f"{CARDS}/setups/{setup['id']}/confirm")).json()["payment_method"])


async def test_a_card_is_saved_for_the_user_and_his_key(gateway: Gateway, payments: PaymentsStandIn) -> None:
    user = await gateway.sign_up("ada@example.com")
    answer = await user.post(CARDS, key="k")
    setup = answer.json()
    assert (answer.status_code, setup["state"], setup["client_secret"]) == (201, "created", "seti_1_secret_1")
    (order,) = payments.wallets.buyers
    assert (order.buyer.account, order.buyer.email) == (user.account, "ada@example.com")
    again = await user.post(CARDS, key="k")
    assert (again.json(), again.headers["idempotency-replayed"]) == (setup, "true")
    assert (await user.post(CARDS)).json()["code"] == "PAY008"
    done = await user.post(f"{CARDS}/setups/{setup['id']}/confirm")
    assert done.json()["state"] == "succeeded"
    listed = (await user.get(CARDS)).json()
    assert [(card["id"], card["default"]) for card in listed["data"]] == [(done.json()["payment_method"], True)]


async def test_a_card_is_made_the_default_and_removed(gateway: Gateway) -> None:
    user = await gateway.sign_up()
    card = await a_card(user)
    chosen = await user.put(f"{CARDS}/{card}/default")
    assert (chosen.status_code, chosen.json()["default"]) == (200, True)
    removed = await user.delete(f"{CARDS}/{card}")
    assert (removed.status_code, removed.content) == (204, b"")
    assert (await user.get(CARDS)).json()["data"] == []


async def test_anothers_card_is_not_there(gateway: Gateway) -> None:
    ada, bob = await gateway.sign_up(), await gateway.sign_up()
    card, setup = await a_card(ada), (await ada.post(CARDS, key="k")).json()["id"]
    answers = [
        await bob.put(f"{CARDS}/{card}/default"),
        await bob.delete(f"{CARDS}/{card}"),
        await bob.post(f"{CARDS}/setups/{setup}/confirm"),
        await ada.delete(f"{CARDS}/{ids.show('payment_method', ids.new_id())}"),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(404, "PAY010")] * 4
    assert len((await ada.get(CARDS)).json()["data"]) == 1
    assert (await bob.get(CARDS)).json()["data"] == []


async def test_what_is_no_card_of_ours_is_refused_here(gateway: Gateway) -> None:
    user = await gateway.sign_up()
    for answer in (await user.delete(f"{CARDS}/pm_card_visa"), await user.put(f"{CARDS}/4242424242424242/default")):
        assert (answer.status_code, answer.json()["code"]) == (422, "PAY007")


async def test_only_signed_in_users_have_cards(gateway: Gateway) -> None:
    assert (await gateway.http.get(CARDS)).status_code == 401
    user = await gateway.sign_up()
    headers = {"Authorization": f"Bearer {await user.make_key('credits:read')}", "Idempotency-Key": "k"}
    for method in ("GET", "POST"):
        assert (await gateway.http.request(method, CARDS, headers=headers)).status_code == 403


async def test_a_purchase_names_a_saved_card_or_saves_one(gateway: Gateway, payments: PaymentsStandIn) -> None:
    user = await gateway.sign_up()
    card = await a_card(user)
    for number, named in enumerate((card, "default")):
        answer = await user.post("/v1/purchases", {"pack": "starter", "payment_method": named}, key=f"k{number}")
        assert answer.status_code == 201, answer.text
    await user.post("/v1/purchases", {"pack": "starter", "save_card": True}, key="k2")
    ordered = [order.order for order in payments.orders]
    assert [(order.payment_method, order.save_card) for order in ordered] == [
        (ids.read("payment_method", card), False), ("default", False), (None, True),
    ]  # fmt: skip
    both = {"pack": "starter", "payment_method": card, "save_card": True}
    assert (await user.post("/v1/purchases", both, key="k3")).json()["code"] == "PAY007"


@pytest.mark.parametrize("redis", [{}, {"redis_url": f"redis://{NOWHERE}/0"}])
async def test_who_tries_many_cards_is_slowed_with_and_without_redis(
    run_gateway: RunGateway, redis: dict[str, str]
) -> None:
    async with run_gateway(payments_per_user_a_minute=3, **redis) as gateway:
        user, other = await gateway.sign_up(), await gateway.sign_up()
        tries = [
            await user.post(CARDS, key="a"),
            await user.post("/v1/purchases", {"pack": "starter"}, key="b"),
            await user.post(CARDS, key="c"),
            await user.post("/v1/purchases", {"pack": "starter"}, key="d"),
        ]
        assert [answer.status_code for answer in tries] == [201, 201, 201, 429]
        assert tries[-1].headers["ratelimit-policy"] == '"payments";q=3;w=60'
        assert (await user.post(CARDS, key="e")).status_code == 429
        quoted = await user.post("/v1/purchases", {"pack": "starter", "quote_only": True})
        assert (quoted.status_code, (await user.get(CARDS)).status_code) == (200, 200)
        assert (await other.post(CARDS, key="a")).status_code == 201


async def test_who_tries_cards_as_many_users_is_slowed_by_his_address(run_gateway: RunGateway) -> None:
    async with run_gateway(payments_per_address_a_minute=3) as gateway:
        users = [await gateway.sign_up() for _ in range(4)]
        tries = [await user.post(CARDS, key="k") for user in users]
        assert [answer.status_code for answer in tries] == [201, 201, 201, 429]
