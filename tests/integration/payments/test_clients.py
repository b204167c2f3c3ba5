"""What we say to Stripe, and what we take its answers for."""

import asyncio
import json
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import pytest
from stripe import StripeClient

from libs.chassis.errors import DomainError
from libs.chassis.pool import CalledInTransactionError
from libs.contracts import ids
from services.payments.clients import stripe_calls
from services.payments.clients.stripe import (
    API_VERSION,
    Stripe,
    StripeMisusedError,
    StripeOutcomeUnknownError,
    StripeRefusedError,
    StripeUnavailableError,
)
from tests.integration.payments.shop import RETURN_URL, Object, Shop, a_buyer
from tests.support.stripe_sandbox import KEY, RunningSandbox


async def exchanges(sandbox: RunningSandbox, *, after: int) -> list[Object]:
    return list((await sandbox.get(f"requests?after={after}"))["data"])


async def so_far(sandbox: RunningSandbox) -> int:
    numbers: list[int] = [one["number"] for one in await exchanges(sandbox, after=0)]
    return max([0, *numbers])


async def test_every_post_carries_our_version_a_key_made_of_our_ids_and_whose_it_is(shop: Shop) -> None:
    before, buyer = await so_far(shop.sandbox), a_buyer()
    purchase = await shop.paid(buyer, pack="starter")
    refund = await shop.refund(purchase)
    page = await shop.start_checkout(buyer)
    posts = [
        one for one in await exchanges(shop.sandbox, after=before) if one["method"] == "POST" and not one["publishable"]
    ]
    account, user = ids.show("account", buyer.account), ids.show("user", buyer.user)
    paid, waiting = (str(json.loads(each.model_dump_json())["id"]) for each in (purchase, page))
    given = str(json.loads(refund.model_dump_json())["id"])
    whose = {"account": account, "user": user}
    assert [(one["path"], one["idempotency_key"], metadata(one)) for one in posts] == [
        ("/v1/customers", f"customer:{account}", whose),
        ("/v1/payment_intents", f"purchase:{paid}:payment_intent", {**whose, "purchase": paid}),
        ("/v1/refunds", f"refund:{given}", {**whose, "purchase": paid, "refund": given}),
        ("/v1/checkout/sessions", f"purchase:{waiting}:checkout", {**whose, "purchase": waiting}),
    ]
    assert {one["stripe_version"] for one in posts} == {API_VERSION}
    page_form = dict(parse_qsl(posts[-1]["body"]))
    assert page_form["client_reference_id"] == waiting
    assert page_form["payment_intent_data[metadata][purchase]"] == waiting
    assert page_form["success_url"] == RETURN_URL


def metadata(exchange: Object) -> dict[str, str]:
    form = dict(parse_qsl(exchange["body"]))
    return {name[9:-1]: value for name, value in form.items() if name.startswith("metadata[")}


async def test_a_key_that_stripe_does_not_know_is_our_mistake_and_the_purchase_waits(shop: Shop) -> None:
    stranger, buyer = Stripe("sk_wrong", api_base=shop.sandbox.url), a_buyer()
    broken = replace(shop, stripe=stranger)
    with pytest.raises(StripeMisusedError):
        await broken.start(buyer, key="k")
    await stranger.stop()
    assert await shop.states() == ["created"]
    assert (await shop.start(buyer, key="k")).client_secret is not None


@pytest.mark.parametrize(
    ("kind", "reading", "writing"),
    [
        ("429", StripeUnavailableError, StripeUnavailableError),
        ("409", StripeUnavailableError, StripeOutcomeUnknownError),
        ("500_before", StripeUnavailableError, StripeOutcomeUnknownError),
        ("reset_before", StripeUnavailableError, StripeOutcomeUnknownError),
        ("hang_before", StripeUnavailableError, StripeOutcomeUnknownError),
    ],
)
async def test_a_lost_answer_leaves_us_in_doubt_only_where_we_asked_for_a_change(
    shop: Shop, kind: str, reading: type[DomainError], writing: type[DomainError]
) -> None:
    purchase = await shop.start()
    await shop.faults({"kind": kind, "path": "/v1/payment_intents*", "count": 2, "seconds": 0.6})
    with pytest.raises(reading):
        await shop.confirm(purchase)
    with pytest.raises(writing):
        await shop.start()


async def test_what_stripe_does_not_have_is_refused(shop: Shop) -> None:
    with pytest.raises(StripeRefusedError) as refused:
        await shop.stripe.payment_intent("pi_nowhere")
    assert refused.value.facts == {"reason": "resource_missing"}


async def test_calls_that_fail_are_repeated_under_the_same_key_before_anybody_hears_of_it(
    shop: Shop, dashboard: StripeClient
) -> None:
    before, buyer = await so_far(shop.sandbox), a_buyer()
    persistent = Stripe(KEY, api_base=shop.sandbox.url, timeout_seconds=0.5, retries=2)
    await shop.faults({"kind": "reset_after", "method": "POST", "path": "/v1/payment_intents", "count": 1})
    assert (await replace(shop, stripe=persistent).start(buyer)).client_secret is not None
    await persistent.stop()
    tries: list[Any] = [
        (one["status"], one["replayed"], one["idempotency_key"])
        for one in await exchanges(shop.sandbox, after=before)
        if one["path"] == "/v1/payment_intents"
    ]
    [(first, _, key), (second, replayed, same_key)] = tries
    assert (first, second, replayed, same_key) == (None, 200, True, key)
    assert len(await shop.at_stripe(buyer)) == 1


async def test_neither_stripe_nor_credits_is_asked_while_a_transaction_is_open(shop: Shop) -> None:
    purchase, before = await shop.start(), await so_far(shop.sandbox)
    async with shop.pool.transaction():
        with pytest.raises(CalledInTransactionError):
            await shop.confirm(purchase)
        with pytest.raises(CalledInTransactionError):
            await shop.bank.credits.brought_by([])
    assert await so_far(shop.sandbox) == before


@pytest.mark.parametrize(("key", "live"), [("sk_live_1", True), ("rk_live_1", True), ("sk_test_1", False)])
async def test_the_key_says_whether_money_is_real(key: str, live: bool) -> None:
    client = Stripe(key)
    assert client.livemode is live
    await client.stop()


async def test_an_answer_that_trickles_is_not_waited_for_longer_than_a_whole_call_may_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n")
        with suppress(ConnectionError):
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)

    monkeypatch.setattr(stripe_calls, "LONGEST_SECONDS", 0.5)
    async with await asyncio.start_server(trickle, "127.0.0.1", 0) as server:
        address = "http://{}:{}".format(*server.sockets[0].getsockname())
        slow = Stripe(KEY, api_base=address, timeout_seconds=0.3, retries=2)
        async with asyncio.timeout(5):
            with pytest.raises(StripeUnavailableError):
                await slow.payment_intent("pi_1")
        await slow.stop()
