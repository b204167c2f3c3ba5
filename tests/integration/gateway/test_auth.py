"""Signing up, logging in, sessions."""

import asyncio
import json
from datetime import timedelta
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey

from deploy.embedded.infrastructure import Infrastructure
from libs.chassis.service_client import ServiceClient
from libs.chassis.tokens import signer
from libs.contracts.credits import MICRO
from libs.contracts.events import AccountOpened
from libs.contracts.topics import ACCOUNTS_EVENTS
from services.gateway.clients.credits import CreditsClient
from services.gateway.operations import auth, ledger_accounts
from tests.integration.gateway.conftest import RunGateway
from tests.integration.gateway.gateways import PASSWORD, Gateway, KeyFiles, published, until
from tests.integration.gateway.stand_ins import CreditsStandIn


async def test_signing_up_opens_an_account_with_its_bonus_and_tells_of_it(gateway: Gateway) -> None:
    answer = await gateway.register("Ada@Example.com")
    assert answer.status_code == 201
    session = answer.json()
    assert session["user"]["email"] == "ada@example.com"
    assert session["balance"]["available"] == "10"
    assert session["token_type"] == "bearer"
    assert session["expires_in"] == 15 * 60
    assert answer.headers["cache-control"] == "no-store"
    (event,) = await gateway.outbox(ACCOUNTS_EVENTS)
    assert event.type == AccountOpened.type
    assert event.data == {
        "account": session["user"]["account"],
        "user": session["user"]["id"],
        "email": "ada@example.com",
        "name": "Ada",
    }


async def test_the_opened_account_is_told_to_the_others(gateway: Gateway, infrastructure: Infrastructure) -> None:
    user = await gateway.sign_up()
    account = user.session.model_dump(mode="json")["user"]["account"]
    (event,) = await published(infrastructure.kafka, ACCOUNTS_EVENTS, key=account, count=1)
    assert AccountOpened.of(event).user == user.session.user.id


async def test_passwords_are_kept_as_argon2id_hashes_and_refresh_tokens_as_hashes(gateway: Gateway) -> None:
    user = await gateway.sign_up()
    (row,) = await gateway.rows("SELECT password_hash FROM app_user")
    assert row["password_hash"].startswith("$argon2id$")
    (token,) = await gateway.rows("SELECT hash FROM refresh_token")
    assert user.session.refresh_token.encode() not in token["hash"]


async def test_an_email_address_signs_up_once_whatever_its_case(gateway: Gateway) -> None:
    await gateway.sign_up("ada@example.com")
    again = await gateway.register("ADA@example.com")
    assert again.status_code == 409
    assert again.json()["code"] == "PAY016"


async def test_of_concurrent_sign_ups_with_one_address_one_succeeds(gateway: Gateway) -> None:
    answers = await asyncio.gather(*(gateway.register("ada@example.com") for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409, 409]
    assert await gateway.rows("SELECT count(*) FROM account") == [{"count": 1}]
    assert len(await gateway.outbox(ACCOUNTS_EVENTS)) == 1


async def test_a_sign_up_that_cannot_be_taken_says_where_it_is_wrong(gateway: Gateway) -> None:
    wrongs: list[dict[str, Any]] = [
        {"email": "nobody"},
        {"email": "a\u0000@example.com"},
        {"email": f"{'a' * 250}@example.com"},
        {"password": "short"},
        {"password": "p" * 201},
        {"password": "\ud800" * 12},
        {"name": ""},
        {"name": "A\u0000da"},
        {"name": None},
        {"role": "admin"},
    ]
    for wrong in wrongs:
        body = json.dumps({"email": "ada@example.com", "password": PASSWORD, "name": "Ada"} | wrong)
        headers = {"Content-Type": "application/json"}
        answer = await gateway.http.post("/v1/auth/register", content=body, headers=headers)
        assert answer.status_code == 422, wrong
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "PAY007"
        assert answer.json()["errors"][0]["where"] == f"body/{next(iter(wrong))}"
        assert PASSWORD not in answer.text


async def test_a_sign_up_succeeds_without_credits_and_a_job_opens_the_ledger_later(
    gateway: Gateway, credits: CreditsStandIn, keys: KeyFiles
) -> None:
    await credits.go()
    user = await gateway.sign_up()
    assert user.session.balance is None
    assert (await user.get("/v1/me")).json()["balance"] is None
    service = ServiceClient("credits", base_url=credits.url, signer=signer("gateway", keys.private("gateway")))
    now = gateway.foundation.clock.now()

    async def opened(after: timedelta) -> int:
        return await ledger_accounts.open_missing(gateway.pool, CreditsClient(service), now=now + after)

    assert await opened(timedelta(minutes=1)) == 0, "credits is away"
    await credits.come()
    assert await opened(timedelta()) == 0, "a sign-up gets some seconds to open it itself"
    assert await opened(timedelta(minutes=1)) == 1
    assert await opened(timedelta(minutes=1)) == 0
    assert credits.opened == [user.account]
    await service.stop()
    assert (await user.get("/v1/me")).json()["balance"]["available"] == "10"


async def test_the_worker_opens_ledgers_by_itself(run_gateway: RunGateway, credits: CreditsStandIn) -> None:
    async with run_gateway() as gateway:
        await credits.go()
        user = await gateway.sign_up()
        await credits.come()
        await gateway.travel(timedelta(minutes=1))
    async with run_gateway("worker"):
        await until(lambda: credits.opened == [user.account])


async def test_logging_in_gives_a_session_and_the_balance(gateway: Gateway, credits: CreditsStandIn) -> None:
    user = await gateway.sign_up("ada@example.com")
    credits.set(user.account, credits=7, sequence=9)
    answer = await gateway.log_in("ADA@example.com")
    assert answer.status_code == 200
    assert answer.json()["balance"]["available"] == "7"
    assert answer.json()["refresh_token"] != user.session.refresh_token


async def test_a_wrong_password_and_an_unknown_address_are_told_alike(gateway: Gateway) -> None:
    await gateway.sign_up("ada@example.com")
    wrong = await gateway.log_in("ada@example.com", "not the password")
    unknown = await gateway.log_in("bob@example.com", "not the password")
    assert (wrong.status_code, unknown.status_code) == (401, 401)
    told = [{k: v for k, v in answer.json().items() if k != "request_id"} for answer in (wrong, unknown)]
    assert told[0] == told[1]
    assert wrong.headers["www-authenticate"] == "Bearer"


async def test_a_refresh_token_works_once_and_its_successor_works(gateway: Gateway) -> None:
    user = await gateway.sign_up()
    first = await gateway.refresh(user.session.refresh_token)
    assert first.status_code == 200
    second = await gateway.refresh(first.json()["refresh_token"])
    assert second.status_code == 200
    tokens = {user.session.refresh_token, first.json()["refresh_token"], second.json()["refresh_token"]}
    assert len(tokens) == 3


async def test_a_used_refresh_token_ends_the_whole_session_and_no_other(gateway: Gateway) -> None:
    user = await gateway.sign_up("ada@example.com")
    other = (await gateway.log_in("ada@example.com")).json()["refresh_token"]
    successor = (await gateway.refresh(user.session.refresh_token)).json()["refresh_token"]
    stolen = await gateway.refresh(user.session.refresh_token)
    assert stolen.status_code == 401
    assert (await gateway.refresh(successor)).status_code == 401
    assert (await gateway.refresh(other)).status_code == 200


async def test_of_concurrent_uses_of_a_refresh_token_one_wins_and_the_session_ends(gateway: Gateway) -> None:
    user = await gateway.sign_up()
    answers = await asyncio.gather(*(gateway.refresh(user.session.refresh_token) for _ in range(5)))
    winners = [answer for answer in answers if answer.status_code == 200]
    assert len(winners) == 1
    assert (await gateway.refresh(winners[0].json()["refresh_token"])).status_code == 401


async def test_logging_out_ends_the_session_and_may_be_repeated(gateway: Gateway) -> None:
    user = await gateway.sign_up()
    body = {"refresh_token": user.session.refresh_token}
    assert (await gateway.http.post("/v1/auth/logout", json=body)).status_code == 204
    assert (await gateway.http.post("/v1/auth/logout", json=body)).status_code == 204
    assert (await gateway.http.post("/v1/auth/logout", json={"refresh_token": "unknown"})).status_code == 204
    assert (await gateway.refresh(user.session.refresh_token)).status_code == 401


async def test_a_session_that_is_not_refreshed_for_a_month_ends_and_is_forgotten(gateway: Gateway) -> None:
    user = await gateway.sign_up()
    await gateway.travel(timedelta(days=29))
    token = (await gateway.refresh(user.session.refresh_token)).json()["refresh_token"]
    await gateway.travel(timedelta(days=29))
    token = (await gateway.refresh(token)).json()["refresh_token"]
    await gateway.travel(timedelta(days=30))
    assert (await gateway.refresh(token)).status_code == 401
    assert await auth.prune(gateway.pool, now=gateway.foundation.clock.now()) == 3
    await gateway.travel(timedelta(days=7, seconds=1))
    assert await auth.prune(gateway.pool, now=gateway.foundation.clock.now()) == 1
    assert await gateway.rows("SELECT count(*) FROM session") == [{"count": 0}]


async def test_me_says_who_is_signed_in(gateway: Gateway) -> None:
    user = await gateway.sign_up("ada@example.com")
    me = (await user.get("/v1/me")).json()
    assert me["user"] == user.session.model_dump(mode="json")["user"]
    assert me["balance"]["available"] == "10"
    assert user.session.balance is not None
    assert user.session.balance.available == 10 * MICRO


async def test_an_access_token_ends_after_fifteen_minutes(gateway: Gateway) -> None:
    user = await gateway.sign_up()
    await gateway.travel(timedelta(minutes=14, seconds=55))
    assert (await user.get("/v1/me")).status_code == 200
    await gateway.travel(timedelta(seconds=10))
    ended = await user.get("/v1/me")
    assert ended.status_code == 401
    assert ended.json()["code"] == "PAY011"


async def test_tokens_that_are_not_ours_open_nothing(gateway: Gateway, keys: KeyFiles) -> None:
    user = await gateway.sign_up()
    good = user.session.access_token
    stranger = ECKey.import_key(json.loads(keys.private("stranger").read_text()))
    ours = ECKey.import_key(json.loads(keys.private("access").read_text()))
    claims = jwt.decode(good, ours, algorithms=["ES256"]).claims
    head, body, _ = good.split(".")
    tokens = [
        "nonsense",
        good[:-4] + ("AAAA" if not good.endswith("AAAA") else "BBBB"),
        f"{head}.{body}.",
        jwt.encode({"alg": "ES256", "kid": stranger.kid}, claims, stranger),
        signer("gateway", keys.private("gateway")).token("gateway"),
        user.session.refresh_token,
    ]
    for token in tokens:
        answer = await gateway.http.get("/v1/me", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401, token
    assert (await gateway.http.get("/v1/me")).status_code == 401
    assert (await gateway.http.get("/v1/me", headers={"Authorization": f"Basic {good}"})).status_code == 401
