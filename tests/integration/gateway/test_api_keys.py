"""API keys: made, shown once, used, revoked."""

import hashlib
from datetime import timedelta

from services.gateway.operations.api_keys import KeyUses
from tests.integration.gateway.gateways import Gateway


async def test_a_key_is_shown_once_and_kept_as_a_hash(gateway: Gateway) -> None:
    user = await gateway.sign_up()
    made = await user.post("/v1/api-keys", {"name": "Renderer", "scopes": ["usage:write", "credits:read"]})
    assert made.status_code == 201
    key = made.json()
    assert key["scopes"] == ["credits:read", "usage:write"]
    mark, kind, id_part, secret = key["secret"].split("_", 3)
    assert (mark, kind) == ("scrip", "sk")
    assert key["id"] == f"key_{id_part}"
    assert key["prefix"] == f"scrip_sk_{id_part}"
    assert len(secret) == 43
    (listed,) = (await user.get("/v1/api-keys")).json()["data"]
    assert listed == key | {"secret": None}
    (row,) = await gateway.rows("SELECT secret_hash FROM api_key")
    assert row["secret_hash"] == hashlib.sha256(secret.encode()).digest()


async def test_keys_are_listed_in_pages_newest_first(gateway: Gateway) -> None:
    user = await gateway.sign_up()
    for number in range(5):
        await user.post("/v1/api-keys", {"name": f"key {number}", "scopes": ["usage:write"]})
    first = (await user.get("/v1/api-keys", limit=2)).json()
    second = (await user.get("/v1/api-keys", limit=2, cursor=first["next_cursor"])).json()
    last = (await user.get("/v1/api-keys", limit=2, cursor=second["next_cursor"])).json()
    names = [key["name"] for page in (first, second, last) for key in page["data"]]
    assert names == ["key 4", "key 3", "key 2", "key 1", "key 0"]
    assert last["next_cursor"] is None
    assert (await user.get("/v1/api-keys", cursor="nonsense")).status_code == 422
    assert (await user.get("/v1/api-keys", limit=101)).status_code == 422


async def test_a_key_is_told_by_either_header_and_only_whole(gateway: Gateway) -> None:
    user = await gateway.sign_up()
    key = await user.make_key("credits:read")
    for headers in ({"Authorization": f"Bearer {key}"}, {"X-Api-Key": key}):
        assert (await gateway.http.get("/v1/balance", headers=headers)).status_code == 200
    other = await user.make_key("credits:read")
    mixed = key[:42] + other[42:]
    for wrong in (key[:-1], key + "x", key.upper(), mixed, "scrip_sk_", f"scrip_sk_{'0' * 32}_{'a' * 43}"):
        for headers in ({"Authorization": f"Bearer {wrong}"}, {"X-Api-Key": wrong}):
            assert (await gateway.http.get("/v1/balance", headers=headers)).status_code == 401, wrong


async def test_a_revoked_key_opens_nothing_from_then_on(gateway: Gateway) -> None:
    user = await gateway.sign_up()
    key = await user.make_key("credits:read")
    (listed,) = (await user.get("/v1/api-keys")).json()["data"]
    assert (await user.delete(f"/v1/api-keys/{listed['id']}")).status_code == 204
    assert (await gateway.http.get("/v1/balance", headers={"X-Api-Key": key})).status_code == 401
    assert (await user.get("/v1/api-keys")).json()["data"] == []
    assert (await user.delete(f"/v1/api-keys/{listed['id']}")).status_code == 404


async def test_keys_of_other_accounts_are_neither_seen_nor_revoked(gateway: Gateway) -> None:
    ada, bob = await gateway.sign_up(), await gateway.sign_up()
    key = await ada.make_key("credits:read")
    (listed,) = (await ada.get("/v1/api-keys")).json()["data"]
    assert (await bob.get("/v1/api-keys")).json()["data"] == []
    assert (await bob.delete(f"/v1/api-keys/{listed['id']}")).status_code == 404
    assert (await gateway.http.get("/v1/balance", headers={"X-Api-Key": key})).status_code == 200


async def test_a_customer_cannot_give_the_scope_that_reaches_other_accounts(gateway: Gateway) -> None:
    user = await gateway.sign_up()
    answer = await user.post("/v1/api-keys", {"name": "mine", "scopes": ["usage:write", "admin"]})
    assert (answer.status_code, answer.json()["code"]) == (403, "PAY012")
    assert await gateway.rows("SELECT * FROM api_key") == []


async def test_keys_need_a_name_and_known_scopes(gateway: Gateway) -> None:
    user = await gateway.sign_up()
    wrongs: list[dict[str, object]] = [
        {"name": "", "scopes": ["usage:write"]},
        {"name": "a\u0000b", "scopes": ["usage:write"]},
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["everything"]},
        {"name": "x"},
    ]
    for wrong in wrongs:
        assert (await user.post("/v1/api-keys", wrong)).status_code == 422, wrong


async def test_keys_cannot_make_keys(gateway: Gateway) -> None:
    user = await gateway.sign_up()
    key = await user.make_key("credits:read")
    answer = await gateway.http.get("/v1/api-keys", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 403


async def test_a_key_is_held_to_its_scopes(gateway: Gateway) -> None:
    user = await gateway.sign_up()
    key = await user.make_key("usage:write")
    answer = await gateway.http.get("/v1/balance", headers={"X-Api-Key": key})
    assert (answer.status_code, answer.json()["code"]) == (403, "PAY012")
    assert "credits:read" in answer.json()["detail"]


async def test_the_last_use_is_written_later_and_never_moves_back(gateway: Gateway) -> None:
    user = await gateway.sign_up()
    key = await user.make_key("credits:read")
    for _ in range(3):
        await gateway.http.get("/v1/balance", headers={"X-Api-Key": key})
    (listed,) = (await user.get("/v1/api-keys")).json()["data"]
    assert listed["last_used_at"] is None, "a request writes nothing"

    (row,) = await gateway.rows("SELECT id FROM api_key")
    now, uses = gateway.foundation.clock.now(), KeyUses()
    uses.note(row["id"], at=now)
    assert await uses.write(gateway.pool) == 1
    assert await uses.write(gateway.pool) == 0
    uses.note(row["id"], at=now - timedelta(minutes=5))
    await uses.write(gateway.pool)
    assert await gateway.rows("SELECT last_used_at FROM api_key") == [{"last_used_at": now}]
