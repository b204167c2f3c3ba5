"""Freezing, unfreezing, closing: over HTTP, as staff's tools ask for it."""

from asyncio import gather
from typing import Any
from uuid import UUID

import httpx2
import pytest

from libs.contracts import ids
from libs.contracts.credits import MICRO
from libs.contracts.events import AccountClosed, AccountFrozen, AccountUnfrozen
from tests.integration.credits.serving import Api, problem
from tests.support.ledger import Credits, paid, refunded, used
from tests.support.outbox import told_of

EVE = "staff:eve"


async def change(api: Api, account: UUID, verb: str, **more: Any) -> httpx2.Response:
    body = {"reason": "A dispute", **more}
    return await api.post(f"/accounts/{ids.show('account', account)}/{verb}", body, caller=EVE)


async def state_after(api: Api, account: UUID, verb: str, **more: Any) -> str:
    answer = await change(api, account, verb, **more)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["state"])


async def test_a_frozen_account_can_neither_spend_nor_hold(credits: Credits, api: Api) -> None:
    account = await credits.open_with("50")
    assert await state_after(api, account, "freeze") == "frozen"
    assert problem(await api.charge(account)) == (409, "PAY023")
    assert problem(await api.hold(account)) == (409, "PAY023")
    assert await credits.use(used(account)) == ["PAY023"]
    assert (await credits.balance(account)).state == "frozen"
    assert await state_after(api, account, "unfreeze") == "open"
    assert (await api.charge(account)).status_code == 201


async def test_a_frozen_account_is_settled_and_granted_to(credits: Credits, api: Api) -> None:
    account = await credits.open()
    payment = paid(account, "50")
    await credits.tell(payment)
    hold, charge = await api.placed(account, "5"), (await api.charge(account, "3")).json()["id"]
    await change(api, account, "freeze")
    assert (await api.post(f"/holds/{hold}/capture", {"amount": "5"}, account=account)).status_code == 201
    assert (await api.post(f"/charges/{charge}/refunds", {}, account=account)).status_code == 201
    await credits.tell_payment(account, "7")
    assert await credits.tell(refunded(payment, "50", revision=2)) == ["accepted"]
    assert await credits.available(account) == 12 * MICRO


async def test_to_freeze_again_changes_nothing_and_is_told_once(credits: Credits, api: Api) -> None:
    account = await credits.open()
    assert set(await gather(*(state_after(api, account, "freeze") for _ in range(5)))) == {"frozen"}
    for _ in range(2):
        assert await state_after(api, account, "unfreeze") == "open"
    (frozen,) = await told_of(credits.pool, AccountFrozen)
    assert (frozen.by, frozen.reason, frozen.account) == (EVE, "A dispute", account)
    assert len(await told_of(credits.pool, AccountUnfrozen)) == 1


async def test_who_changed_an_accounts_state_and_why_is_kept_and_shown(credits: Credits, api: Api) -> None:
    account = await credits.open()
    for verb, reason in (("freeze", "A dispute"), ("freeze", "Again"), ("unfreeze", "Settled"), ("close", "Gone")):
        await change(api, account, verb, reason=reason, **({"force": True} if verb == "close" else {}))
    told = (await api.get(f"/accounts/{ids.show('account', account)}/state-changes")).json()["data"]
    assert [(one["state"], one["by"], one["reason"]) for one in told] == [
        ("closed", EVE, "Gone"),
        ("open", EVE, "Settled"),
        ("frozen", EVE, "A dispute"),
    ]
    missing = await api.get(f"/accounts/{ids.show('account', ids.new_id())}/state-changes")
    assert problem(missing) == (404, "PAY028")


async def test_an_account_with_something_in_it_is_closed_only_if_forced(credits: Credits, api: Api) -> None:
    account = await credits.open()
    assert problem(await change(api, account, "close")) == (409, "PAY033")
    assert await state_after(api, account, "close", force=True) == "closed"
    assert await state_after(api, account, "close") == "closed"
    (closed,) = await told_of(credits.pool, AccountClosed)
    assert closed.available == 10 * MICRO


async def test_an_empty_account_is_closed_and_stays_so(credits: Credits, api: Api) -> None:
    account = await credits.open()
    await api.charge(account, "10")
    assert await state_after(api, account, "close") == "closed"
    assert problem(await change(api, account, "unfreeze")) == (409, "PAY023")
    assert problem(await change(api, account, "freeze")) == (409, "PAY023")


async def test_a_closed_account_is_settled_and_what_was_paid_for_still_comes(credits: Credits, api: Api) -> None:
    account = await credits.open()
    hold, charge = await api.placed(account, "5"), (await api.charge(account, "3")).json()["id"]
    await change(api, account, "close", force=True)
    order = {"account": ids.show("account", account), "credits": "5", "note": "Sorry"}
    assert problem(await api.post("/grants", order)) == (409, "PAY023")
    assert problem(await api.charge(account)) == (409, "PAY023")
    assert (await api.post(f"/holds/{hold}/capture", {"amount": "5"}, account=account)).status_code == 201
    assert (await api.post(f"/charges/{charge}/refunds", {}, account=account)).status_code == 201
    await credits.tell_payment(account, "7")
    assert await credits.available(account) == 12 * MICRO


@pytest.mark.parametrize("verb", ["freeze", "unfreeze", "close"])
async def test_an_account_that_is_not_there_has_no_state(api: Api, verb: str) -> None:
    assert problem(await change(api, ids.new_id(), verb)) == (404, "PAY028")


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "x" * 501}, {"reason": "x", "colour": "red"}])
async def test_a_reason_is_needed(credits: Credits, api: Api, body: dict[str, str]) -> None:
    account = await credits.open()
    answer = await api.post(f"/accounts/{ids.show('account', account)}/freeze", body, caller=EVE)
    assert problem(answer) == (422, "PAY007")
    assert (await credits.balance(account)).state == "open"
