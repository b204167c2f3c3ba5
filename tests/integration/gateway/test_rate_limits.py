"""Rate limits: counted together in Redis; without it passwords stay guarded and the rest goes on."""

import asyncio

from tests.integration.gateway.conftest import RunGateway
from tests.integration.gateway.gateways import NOWHERE


async def test_who_signs_in_too_often_is_told_when_to_come_back(run_gateway: RunGateway) -> None:
    async with run_gateway(auth_per_address_a_minute=4) as gateway:
        answers = [await gateway.log_in(f"nobody-{number}@example.com") for number in range(5)]
        assert [answer.status_code for answer in answers] == [401, 401, 401, 401, 429]
        refused = answers[-1]
        assert refused.json()["code"] == "PAY013"
        assert 1 <= int(refused.headers["retry-after"]) <= 15
        assert refused.headers["ratelimit-policy"] == '"auth";q=4;w=60'
        assert refused.headers["ratelimit"].startswith('"auth";r=0;t=')
        assert (await gateway.http.get("/v1/packs")).status_code == 200


async def test_guessing_one_persons_password_is_bounded_also_from_many_processes(run_gateway: RunGateway) -> None:
    async with run_gateway(login_per_email_a_minute=3) as one, run_gateway(login_per_email_a_minute=3) as other:
        await one.sign_up("ada@example.com")
        statuses = [(await each.log_in("Ada@example.com", "a guess")).status_code for each in (one, other, one, other)]
        assert statuses == [401, 401, 401, 429]
        assert (await one.log_in("bob@example.com")).status_code == 401


async def test_requests_are_counted_by_user_and_answers_tell_what_is_left(run_gateway: RunGateway) -> None:
    async with run_gateway(requests_per_principal_a_minute=3) as gateway:
        ada, bob = await gateway.sign_up(), await gateway.sign_up()
        answers = [await ada.get("/v1/balance") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        left = [answer.headers["ratelimit"].split(";")[1] for answer in answers]
        assert left == ["r=2", "r=1", "r=0", "r=0"]
        assert (await bob.get("/v1/balance")).status_code == 200


async def test_concurrent_requests_never_pass_more_than_the_quota(run_gateway: RunGateway) -> None:
    async with run_gateway(requests_per_principal_a_minute=10) as gateway:
        user = await gateway.sign_up()
        answers = await asyncio.gather(*(user.get("/v1/balance") for _ in range(30)))
        assert [answer.status_code for answer in answers].count(200) == 10


async def test_public_routes_are_counted_by_address(run_gateway: RunGateway) -> None:
    async with run_gateway(public_per_address_a_minute=2) as gateway:
        statuses = [(await gateway.http.get("/v1/packs")).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]


async def test_without_redis_requests_pass_but_passwords_stay_guarded(run_gateway: RunGateway) -> None:
    limits = {"public_per_address_a_minute": 1, "requests_per_principal_a_minute": 1, "login_per_email_a_minute": 2}
    async with run_gateway(redis_url=f"redis://{NOWHERE}/0", **limits) as gateway:
        user = await gateway.sign_up("ada@example.com")
        assert [(await user.get("/v1/balance")).status_code for _ in range(3)] == [200, 200, 200]
        assert [(await gateway.http.get("/v1/packs")).status_code for _ in range(3)] == [200, 200, 200]
        statuses = [(await gateway.log_in("ada@example.com", "a guess")).status_code for _ in range(3)]
        assert statuses == [401, 401, 429]
