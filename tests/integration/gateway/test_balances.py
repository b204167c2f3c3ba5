"""What an account has: asked from credits, and live."""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from uuid import UUID

import httpx2
import pytest
from redis.asyncio import Redis

from deploy.embedded.infrastructure import Infrastructure
from libs.chassis.broker.producer import Message, Producer
from libs.contracts import ids
from libs.contracts.credits import MICRO
from libs.contracts.events import BalanceChanged
from libs.contracts.topics import CREDITS_EVENTS
from services.gateway.clients.live_balances import Announcer
from services.gateway.clients.redis import connect
from services.gateway.operations import live
from tests.integration.gateway.conftest import RunGateway
from tests.integration.gateway.gateways import NOWHERE, Gateway
from tests.integration.gateway.past import a_transaction
from tests.integration.gateway.proxy import Proxy
from tests.integration.gateway.sse import streaming
from tests.integration.gateway.stand_ins import CreditsStandIn


def changed(account: UUID, *, credits: int, sequence: int, gateway: Gateway) -> BalanceChanged:
    """Say that a balance changed."""
    return BalanceChanged(
        account=account,
        sequence=sequence,
        occurred_at=gateway.foundation.clock.now(),
        available=credits * MICRO,
        held=0,
        overdraft=0,
        debt=0,
    )


async def announce(redis_url: str, *changes: BalanceChanged) -> int:
    """Tell changed balances as the worker does."""
    redis = connect(redis_url)
    try:
        return await live.announce(Announcer(redis), changes)
    finally:
        await redis.aclose()


async def publish(servers: str, change: BalanceChanged) -> None:
    """Publish a change as credits does."""
    producer = Producer(servers, client_id="test")
    payload = change.envelope(at=change.occurred_at).encode()
    await producer.publish([(CREDITS_EVENTS.name, Message(change.key(), payload))])
    await producer.stop()


async def subscribers(redis_url: str, account: UUID) -> int:
    """Tell how many processes hear of an account."""
    async with Redis.from_url(redis_url, decode_responses=True) as redis:
        channel = f"scrip:balance:{ids.show('account', account)}"
        return int(dict(await redis.pubsub_numsub(channel))[channel])


async def until_heard(redis_url: str, account: UUID, *, processes: int = 1) -> None:
    """Wait until changes of an account are heard."""
    async with asyncio.timeout(20):
        while await subscribers(redis_url, account) != processes:  # noqa: ASYNC110 - Redis tells nobody
            await asyncio.sleep(0.01)


async def test_the_balance_is_what_credits_says(gateway: Gateway, credits: CreditsStandIn) -> None:
    user = await gateway.sign_up()
    credits.set(user.account, credits=42, sequence=7)
    answer = await user.get("/v1/balance")
    assert (answer.json()["available"], answer.json()["sequence"]) == ("42", 7)
    assert answer.headers["cache-control"] == "no-store"


async def test_lots_and_transactions_come_in_pages(gateway: Gateway, credits: CreditsStandIn) -> None:
    user = await gateway.sign_up()
    (lot,) = (await user.get("/v1/lots")).json()["data"]
    assert (lot["remaining"], lot["account"]) == ("10", ids.show("account", user.account))
    credits.past.transactions = [a_transaction(user.account, number) for number in range(20, 0, -1)]
    first = (await user.get("/v1/transactions", limit=7)).json()
    rest = (await user.get("/v1/transactions", limit=20, cursor=first["next_cursor"])).json()
    assert [t["sequence"] for t in first["data"] + rest["data"]] == list(range(20, 0, -1))
    assert rest["next_cursor"] is None


async def test_a_key_reads_its_own_accounts_balance(gateway: Gateway, credits: CreditsStandIn) -> None:
    user = await gateway.sign_up()
    credits.set(user.account, credits=3, sequence=2)
    headers = {"X-Api-Key": await user.make_key("credits:read")}
    for path in ("/v1/balance", "/v1/lots", "/v1/transactions"):
        assert (await gateway.http.get(path, headers=headers)).status_code == 200
    assert (await gateway.http.get("/v1/balance", headers=headers)).json()["available"] == "3"
    assert (await gateway.http.get("/v1/balance")).status_code == 401


async def test_without_credits_a_balance_is_a_503(gateway: Gateway, credits: CreditsStandIn) -> None:
    user = await gateway.sign_up()
    await credits.go()
    for path in ("/v1/balance", "/v1/lots", "/v1/transactions", "/v1/balance/stream"):
        answer = await user.get(path)
        assert (answer.status_code, answer.json()["code"]) == (503, "PAY014")


async def test_a_stream_tells_the_balance_and_then_each_change_that_credits_published(
    run_gateway: RunGateway, credits: CreditsStandIn, infrastructure: Infrastructure
) -> None:
    async with run_gateway("all") as gateway:
        user = await gateway.sign_up()
        async with streaming(gateway.http, user.headers) as stream:
            assert stream.response.headers["content-type"].startswith("text/event-stream")
            first = await stream.next()
            assert (first.id, first.name, first.available) == ("1", "balance", "10")
            assert first.data["account"] == ids.show("account", user.account)
            await until_heard(infrastructure.redis_url, user.account)
            for sequence in (2, 3):
                change = changed(user.account, credits=sequence * 10, sequence=sequence, gateway=gateway)
                await publish(infrastructure.kafka, change)
                told = await stream.next()
                assert (told.id, told.available) == (str(sequence), str(sequence * 10))


async def test_an_older_state_is_never_told_after_a_newer_one(gateway: Gateway, infrastructure: Infrastructure) -> None:
    user = await gateway.sign_up()
    redis_url = infrastructure.redis_url
    async with streaming(gateway.http, user.headers) as stream:
        await stream.next()
        await until_heard(redis_url, user.account)
        assert await announce(redis_url, changed(user.account, credits=50, sequence=5, gateway=gateway)) == 1
        assert await announce(redis_url, changed(user.account, credits=40, sequence=4, gateway=gateway)) == 0
        assert await announce(redis_url, changed(user.account, credits=50, sequence=5, gateway=gateway)) == 0
        batch = [changed(user.account, credits=s * 10, sequence=s, gateway=gateway) for s in (7, 6)]
        assert await announce(redis_url, *batch) == 1
        told = [await stream.next(), await stream.next()]
        assert [event.id for event in told] == ["5", "7"]


async def test_who_comes_back_is_told_only_what_is_newer(
    gateway: Gateway, credits: CreditsStandIn, infrastructure: Infrastructure
) -> None:
    user = await gateway.sign_up()
    credits.set(user.account, credits=50, sequence=5)
    async with streaming(gateway.http, user.headers | {"Last-Event-ID": "4"}) as behind:
        missed = await behind.next()
        assert (missed.id, missed.available) == ("5", "50")
    async with (
        streaming(gateway.http, user.headers | {"Last-Event-ID": "5"}) as abreast,
        streaming(gateway.http, user.headers, after=5) as by_query,
    ):
        await until_heard(infrastructure.redis_url, user.account)
        await announce(infrastructure.redis_url, changed(user.account, credits=60, sequence=6, gateway=gateway))
        for stream in (abreast, by_query):
            news = await stream.next()
            assert news.id == "6"
    for wrong in ("x", "5.5", ""):
        answer = await gateway.http.get("/v1/balance/stream", headers=user.headers | {"Last-Event-ID": wrong})
        assert answer.status_code == 422


async def test_all_streams_of_a_process_share_one_subscription_and_leave_none_behind(
    gateway: Gateway, infrastructure: Infrastructure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway.clients.live_balances._TIDY_SECONDS", 0.1)
    ada, bob = await gateway.sign_up(), await gateway.sign_up()
    redis_url = infrastructure.redis_url
    async with (
        streaming(gateway.http, ada.headers) as one,
        streaming(gateway.http, ada.headers) as other,
        streaming(gateway.http, bob.headers) as of_bob,
    ):
        for stream in (one, other, of_bob):
            await stream.next()
        await until_heard(redis_url, ada.account)
        await until_heard(redis_url, bob.account)
        async with Redis.from_url(redis_url, decode_responses=True) as redis:
            listening = [client for client in await redis.client_list() if int(client["sub"]) > 0]
            assert len(listening) == 1
        await announce(redis_url, changed(ada.account, credits=20, sequence=2, gateway=gateway))
        await announce(redis_url, changed(bob.account, credits=30, sequence=2, gateway=gateway))
        told = [await stream.next() for stream in (one, other, of_bob)]
        assert [event.available for event in told] == ["20", "20", "30"]
    await until_heard(redis_url, ada.account, processes=0)
    await until_heard(redis_url, bob.account, processes=0)


async def test_a_stream_without_redis_tells_the_balance_and_catches_up_when_redis_is_there(
    run_gateway: RunGateway, credits: CreditsStandIn, infrastructure: Infrastructure
) -> None:
    url = infrastructure.redis_url
    async with Proxy(url, default_port=6379) as redis, run_gateway(redis_url=redis.url) as gateway:
        user = await gateway.sign_up()
        await redis.cut()
        async with streaming(gateway.http, user.headers) as stream:
            first = await stream.next()
            assert first.id == "1"
            credits.set(user.account, credits=20, sequence=2)
            await redis.mend()
            second = await stream.next()
            assert (second.id, second.available) == ("2", "20")
            await until_heard(url, user.account)

            await redis.cut()
            credits.set(user.account, credits=30, sequence=3)
            await announce(url, changed(user.account, credits=30, sequence=3, gateway=gateway))
            await redis.mend()
            third = await stream.next()
            assert (third.id, third.available) == ("3", "30")


async def test_catching_up_waits_for_credits(
    run_gateway: RunGateway, credits: CreditsStandIn, infrastructure: Infrastructure
) -> None:
    url = infrastructure.redis_url
    async with Proxy(url, default_port=6379) as redis, run_gateway(redis_url=redis.url) as gateway:
        user = await gateway.sign_up()
        async with streaming(gateway.http, user.headers) as stream:
            await stream.next()
            await until_heard(url, user.account)
            await redis.cut()
            credits.set(user.account, credits=20, sequence=2)
            await credits.go()
            await redis.mend()
            await until_heard(url, user.account)
            await credits.come()
            told = await stream.next()
            assert told.id == "2"


async def test_a_stream_ends_with_its_token(
    run_gateway: RunGateway, infrastructure: Infrastructure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway.operations.live._LOOK_SECONDS", 0.05)
    async with run_gateway() as gateway:
        user = await gateway.sign_up()
        async with streaming(gateway.http, user.headers) as stream:
            await stream.next()
            await gateway.travel(timedelta(minutes=16))
            await stream.end()
        assert (await user.get("/v1/balance/stream")).status_code == 401


async def test_a_quiet_stream_beats(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastapi.routing._PING_INTERVAL", 0.05)
    user = await gateway.sign_up()
    async with streaming(gateway.http, user.headers) as stream:
        await stream.next()
        with pytest.raises(TimeoutError):
            await stream.next(seconds=0.5)
        assert "ping" in stream.comments


async def test_streams_end_when_the_process_stops(run_gateway: RunGateway) -> None:
    async with AsyncExitStack() as outlives, asyncio.timeout(30):
        async with run_gateway() as gateway:
            user = await gateway.sign_up()
            client = httpx2.AsyncClient(base_url=gateway.url, timeout=30, trust_env=False)
            http = await outlives.enter_async_context(client)
            stream = await outlives.enter_async_context(streaming(http, user.headers))
            await stream.next()
        await stream.end()


async def test_streams_are_for_signed_in_users(gateway: Gateway) -> None:
    user = await gateway.sign_up()
    key = await user.make_key("credits:read")
    assert (await gateway.http.get("/v1/balance/stream")).status_code == 401
    answer = await gateway.http.get("/v1/balance/stream", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 403


async def test_the_worker_tells_later_what_it_cannot_tell_now(
    run_gateway: RunGateway, infrastructure: Infrastructure
) -> None:
    url = infrastructure.redis_url
    async with Proxy(url, default_port=6379) as redis, run_gateway() as gateway:
        user = await gateway.sign_up()
        async with streaming(gateway.http, user.headers) as stream:
            await stream.next()
            await until_heard(url, user.account)
            await redis.cut()
            async with run_gateway("worker", redis_url=redis.url):
                await publish(infrastructure.kafka, changed(user.account, credits=20, sequence=2, gateway=gateway))
                with pytest.raises(TimeoutError):
                    await stream.next(seconds=0.5)
                await redis.mend()
                told = await stream.next()
                assert told.id == "2"
            assert await gateway.rows("SELECT * FROM dead_letter") == []


async def test_readiness_does_not_depend_on_redis_or_kafka(run_gateway: RunGateway) -> None:
    async with run_gateway(kafka=NOWHERE, redis_url=f"redis://{NOWHERE}/0") as gateway:
        assert (await gateway.http.get("/readyz")).status_code == 200
        user = await gateway.sign_up()
        assert (await user.get("/v1/balance")).status_code == 200
