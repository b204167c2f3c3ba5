"""What support can ask."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from libs.chassis.http import create_app
from libs.chassis.tokens import new_key, signer, verifier
from libs.contracts.ids import show
from services.notifications import api
from tests.integration.notifications.conftest import Notifications
from tests.integration.notifications.people import Person


@pytest.fixture
async def support(notifications: Notifications, tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """The gateway, as it speaks to the service's own API."""
    key = new_key("gateway")
    (tmp_path / "private.json").write_text(json.dumps(key.as_dict(private=True)))
    (tmp_path / "public.json").write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    app = create_app("test", checks={})
    app.state.verifier = verifier("notifications", tmp_path / "public.json")
    app.include_router(api.routes(notifications.pool))
    token = signer("gateway", tmp_path / "private.json").token("notifications")
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app),
        base_url="http://notifications/internal/v1",
        headers={"Authorization": f"Bearer {token}"},
    ) as client:
        yield client


def of(person: Person) -> str:
    return f"/accounts/{show('account', person.account)}/deliveries"


async def test_support_sees_what_a_person_was_told_and_where_it_went(
    notifications: Notifications, ada: Person, support: httpx2.AsyncClient
) -> None:
    await notifications.tell(ada.paid())
    await notifications.deliver()
    answer = await support.get(of(ada))
    (delivery,) = answer.json()["data"]
    assert answer.json()["next_cursor"] is None
    assert delivery["id"].startswith("msg_")
    assert delivery["account"] == show("account", ada.account)
    assert delivery["business_key"] == show("purchase", ada.purchase)
    assert (delivery["template"], delivery["state"], delivery["sent_to"]) == ("receipt", "sent", ada.email)


async def test_the_list_is_told_page_by_page_newest_first(
    notifications: Notifications, ada: Person, support: httpx2.AsyncClient
) -> None:
    for revision in range(2, 7):
        await notifications.tell(ada.refunded(100 * revision, revision=revision))
    seen, cursor = list[str](), None
    while True:
        page = (await support.get(of(ada), params={"limit": 2, **({"cursor": cursor} if cursor else {})})).json()
        seen += [delivery["business_key"].rpartition("/")[2] for delivery in page["data"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == ["6", "5", "4", "3", "2"]


async def test_nobody_sees_the_messages_of_another_account(
    notifications: Notifications, ada: Person, support: httpx2.AsyncClient
) -> None:
    await notifications.tell(ada.paid())
    assert (await support.get(of(Person()))).json() == {"data": [], "next_cursor": None}


async def test_only_services_may_ask(notifications: Notifications, ada: Person, support: httpx2.AsyncClient) -> None:
    answer = await support.get(of(ada), headers={"Authorization": "Bearer of bad news"})
    assert (answer.status_code, answer.json()["code"]) == (401, "PAY011")


@pytest.mark.parametrize("question", ["?cursor=pur_1", "?limit=0", "?limit=101", "?cursor="])
async def test_a_question_that_cannot_be_read_is_a_problem(
    notifications: Notifications, ada: Person, support: httpx2.AsyncClient, question: str
) -> None:
    answer = await support.get(of(ada) + question)
    assert (answer.status_code, answer.json()["code"]) == (422, "PAY007")
