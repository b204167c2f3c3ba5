"""Activities that earn credits."""

from asyncio import gather
from typing import Any
from uuid import UUID

import pytest

from libs.contracts import ids
from libs.contracts.catalogue import Activity, Catalogue
from libs.contracts.credits import MICRO
from libs.contracts.http.history_v1 import LotQuery, TransactionQuery
from services.credits.operations import history
from tests.integration.credits.serving import Api, problem
from tests.support.ledger import CATALOGUE, Credits


@pytest.fixture
def catalogue() -> Catalogue:
    """Some activities."""
    activities = {
        "review": Activity(credits=2 * MICRO, description="A review", per_account=3, per_account_and_day=2),
        "invite": Activity(credits=5 * MICRO, description="A friend came", expires_after_days=30),
    }
    return CATALOGUE.model_copy(update={"activities": activities})


async def earn(api: Api, account: UUID, activity: str = "invite", reference: str = "one") -> Any:
    body = {"account": ids.show("account", account), "activity": activity, "reference": reference}
    return await api.post("/activities", body)


async def test_an_activity_earns_once_for_a_reference(credits: Credits, api: Api) -> None:
    account = await credits.open()
    answers = await gather(*(earn(api, account) for _ in range(6)))
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].json()["credits"] == "5"
    assert await credits.available(account) == 15 * MICRO


async def test_two_accounts_may_earn_for_the_same_reference(credits: Credits, api: Api) -> None:
    one, two = await credits.open(), await credits.open()
    await gather(earn(api, one), earn(api, two))
    assert [await credits.available(account) for account in (one, two)] == [15 * MICRO, 15 * MICRO]


async def test_what_is_earned_says_what_for_and_expires_when_the_catalogue_says(credits: Credits, api: Api) -> None:
    account = await credits.open()
    await earn(api, account)
    lot, _ = (await history.lots(credits.pool, account, LotQuery(limit=2))).data
    assert lot.expires_at is not None
    assert (lot.expires_at - lot.granted_at).days in (29, 30)
    earned = (await history.transactions(credits.pool, account, TransactionQuery(limit=1))).data[0]
    assert (earned.type, earned.description) == ("earned", "A friend came")
    assert earned.metadata == {"activity": "invite", "reference": "one"}


async def test_an_account_earns_by_it_as_often_as_it_may(credits: Credits, api: Api) -> None:
    account = await credits.open()
    said = [(await earn(api, account, "review", str(number))).status_code for number in range(3)]
    assert said == [200, 200, 422]
    assert (await earn(api, account, "review", "0")).status_code == 200
    assert await credits.available(account) == 14 * MICRO


async def test_of_many_at_once_no_more_earn_than_may(credits: Credits, api: Api) -> None:
    account = await credits.open()
    said = await gather(*(earn(api, account, "review", str(number)) for number in range(10)))
    refused = [problem(answer) for answer in said if answer.status_code != 200]
    assert refused == [(422, "PAY006")] * 8
    assert await credits.available(account) == 14 * MICRO


async def test_what_cannot_earn_is_refused(credits: Credits, api: Api) -> None:
    account, nobody = await credits.open(), ids.new_id()
    assert problem(await earn(api, account, "sleeping")) == (422, "PAY035")
    assert problem(await earn(api, account, "No name")) == (422, "PAY007")
    assert problem(await earn(api, nobody)) == (404, "PAY028")
    body = {"reason": "Gone", "force": True}
    await api.post(f"/accounts/{ids.show('account', account)}/close", body, caller="staff:eve")
    assert problem(await earn(api, account)) == (409, "PAY023")
