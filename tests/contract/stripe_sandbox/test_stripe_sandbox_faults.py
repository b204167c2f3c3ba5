"""Calls whose outcome stays unknown to the caller, and what the sandbox then holds."""

import asyncio
from typing import Any

import httpx2
import pytest
import stripe

from tests.support.stripe_sandbox import KEY, RunningSandbox, until

CREATE = {"method": "POST", "path": "/v1/payment_intents"}


def purchase(name: str) -> Any:
    return {"amount": 1000, "currency": "usd", "metadata": {"purchase": name}}


async def fault(sandbox: RunningSandbox, kind: str, **more: Any) -> None:
    await sandbox.put("faults", {"faults": [{"kind": kind, **CREATE, **more}]})


async def made(sandbox: RunningSandbox, name: str) -> int:
    intents = (await sandbox.get("books"))["payment_intents"]
    return sum(intent["metadata"].get("purchase") == name for intent in intents)


async def struck(sandbox: RunningSandbox) -> bool:
    return bool((await sandbox.get("faults"))["faults"][0]["struck"])


async def logged(sandbox: RunningSandbox, kind: str) -> bool:
    return any(each["fault"] == kind for each in (await sandbox.get("requests"))["data"])


@pytest.mark.parametrize("kind", ["reset_before", "500_before", "409"])
async def test_the_clients_retry_heals_what_was_never_begun(
    client: stripe.StripeClient, sandbox: RunningSandbox, kind: str
) -> None:
    await fault(sandbox, kind)
    await client.v1.payment_intents.create_async(purchase(f"healed-{kind}"))
    assert await made(sandbox, f"healed-{kind}") == 1
    assert (await sandbox.get("faults"))["faults"][0]["struck"] == 1


async def test_the_clients_retry_finds_what_was_committed_before_the_connection_broke(
    client: stripe.StripeClient, sandbox: RunningSandbox
) -> None:
    await fault(sandbox, "reset_after")
    await client.v1.payment_intents.create_async(purchase("reset-after"))
    assert await made(sandbox, "reset-after") == 1


@pytest.mark.parametrize(
    ("kind", "count"), [("reset_before", 0), ("reset_after", 1), ("500_before", 0), ("500_after", 1)]
)
async def test_before_means_nothing_and_after_means_everything(
    impatient: stripe.StripeClient, sandbox: RunningSandbox, kind: str, count: int
) -> None:
    await fault(sandbox, kind)
    with pytest.raises((stripe.APIConnectionError, stripe.APIError)):
        await impatient.v1.payment_intents.create_async(purchase(f"once-{kind}"))
    assert await made(sandbox, f"once-{kind}") == count


async def test_a_500_after_the_commit_is_what_the_key_gets_from_then_on(
    impatient: stripe.StripeClient, sandbox: RunningSandbox
) -> None:
    await fault(sandbox, "500_after")
    for _ in range(2):
        with pytest.raises(stripe.APIError):
            await impatient.v1.payment_intents.create_async(
                purchase("lost-answer"), {"idempotency_key": "key-lost-answer"}
            )
    found = await impatient.v1.payment_intents.search_async({"query": "metadata['purchase']:'lost-answer'"})
    assert len(found.data) == 1


async def test_a_500_that_was_not_saved_is_followed_by_the_first_answer(
    impatient: stripe.StripeClient, sandbox: RunningSandbox
) -> None:
    await fault(sandbox, "500_after", saved=False)
    key: Any = {"idempotency_key": "key-unsaved"}
    with pytest.raises(stripe.APIError):
        await impatient.v1.payment_intents.create_async(purchase("unsaved"), key)
    again = await impatient.v1.payment_intents.create_async(purchase("unsaved"), key)
    assert (again.amount, await made(sandbox, "unsaved")) == (1000, 1)


@pytest.mark.parametrize(("kind", "count"), [("hang_before", 0), ("hang_after", 1)])
async def test_a_call_can_hang_until_the_caller_gives_up(
    impatient: stripe.StripeClient, sandbox: RunningSandbox, kind: str, count: int
) -> None:
    await fault(sandbox, kind, seconds=60)
    call = asyncio.create_task(impatient.v1.payment_intents.create_async(purchase(kind)))
    await until(lambda: struck(sandbox))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await until(lambda: logged(sandbox, kind))
    assert await made(sandbox, kind) == count


async def test_a_hang_ends_by_itself_without_an_answer(impatient: stripe.StripeClient, sandbox: RunningSandbox) -> None:
    await fault(sandbox, "hang_after", seconds=0.1)
    with pytest.raises(stripe.APIConnectionError):
        await impatient.v1.payment_intents.create_async(purchase("hung"))
    assert await made(sandbox, "hung") == 1


async def test_the_rate_limit_is_stripes_429(client: stripe.StripeClient, sandbox: RunningSandbox) -> None:
    await fault(sandbox, "429")
    with pytest.raises(stripe.RateLimitError):
        await client.v1.payment_intents.create_async(purchase("limited"))
    assert await made(sandbox, "limited") == 0


async def test_a_rule_says_which_calls_how_often_and_after_how_many(
    impatient: stripe.StripeClient, sandbox: RunningSandbox
) -> None:
    rule = {"kind": "500_before", "path": "/v1/payment_intents/*/cancel", "skip": 1, "count": 2}
    await sandbox.put("faults", {"faults": [rule]})
    outcomes = []
    for _ in range(4):
        intent = await impatient.v1.payment_intents.create_async(purchase("counted"))
        try:
            outcomes.append((await impatient.v1.payment_intents.cancel_async(intent.id)).status)
        except stripe.APIError:
            outcomes.append("failed")
    assert outcomes == ["canceled", "failed", "failed", "canceled"]
    assert (await sandbox.http.delete("/sandbox/faults")).status_code == 204
    assert await sandbox.get("faults") == {"faults": []}
    assert (await sandbox.http.put("/sandbox/faults", json={"faults": [{"kind": "explode"}]})).status_code == 422


SOME_CALLS: list[tuple[str, Any]] = [
    ("coupons", {"percent_off": "10"}),
    ("promotion_codes", {"promotion[type]": "coupon", "promotion[coupon]": "FAULTY"}),
    ("setup_intents", {"description": "Later"}),
]


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("500_before", (500, 0)), ("500_after", (500, 1)), ("429", (429, 0)), ("409", (409, 0)),
        ("reset_before", (None, 0)), ("reset_after", (None, 1)), ("hang_before", (None, 0)), ("hang_after", (None, 1)),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("call", "form"), SOME_CALLS, ids=[call for call, _ in SOME_CALLS])
async def test_every_call_can_go_wrong_in_every_way(
    sandbox: RunningSandbox, call: str, form: dict[str, str], kind: str, outcome: tuple[int | None, int]
) -> None:
    secret = {"Authorization": f"Bearer {KEY}"}
    await sandbox.http.post("/v1/coupons", data={"percent_off": "10", "id": "FAULTY"}, headers=secret)

    async def there() -> list[str]:
        page = await sandbox.http.get(f"/v1/{call}?limit=100", headers=secret)
        return [each["id"] for each in page.json()["data"]]

    before = await there()
    rule = {"kind": kind, "method": "POST", "path": f"/v1/{call}", "seconds": 0.1}
    await sandbox.put("faults", {"faults": [rule]})
    try:
        got = (await sandbox.http.post(f"/v1/{call}", data=form, headers=secret)).status_code
    except httpx2.HTTPError:
        got = None
    assert (got, len(await there()) - len(before)) == outcome
