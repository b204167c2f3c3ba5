"""Where the catalogue lets a capture burn more than its hold reserves."""

import pytest

from libs.contracts.catalogue import Catalogue
from tests.integration.credits.serving import Api, problem
from tests.support.ledger import CATALOGUE, Credits


@pytest.fixture
def catalogue() -> Catalogue:
    """Captures may be above the hold."""
    changed = {"policies": {"capture_above_hold": True}, "limits": {"maximum_per_transaction": "8"}}
    return Catalogue.of(CATALOGUE.model_dump(mode="json") | changed)


async def test_a_capture_above_the_hold_burns_what_is_available_too(credits: Credits, api: Api) -> None:
    account = await credits.open()
    hold = await api.placed(account, "4")
    answer = await api.post(f"/holds/{hold}/capture", {"amount": "6.5"}, account=account)
    assert (answer.json()["captured"], answer.json()["balance"]["available"]) == ("6.5", "3.5")


async def test_it_never_burns_more_than_there_is(credits: Credits, api: Api) -> None:
    account = await credits.open()
    hold = await api.placed(account, "4")
    answer = await api.post(f"/holds/{hold}/capture", {"amount": "10.5"}, account=account)
    assert problem(answer) == (402, "PAY001")
    assert (answer.json()["required"], answer.json()["available"]) == ("6.5", "6")
    assert (await credits.balance(account)).held == 4_000_000


async def test_it_never_burns_more_than_might_be_charged(credits: Credits, api: Api) -> None:
    account = await credits.open_with("50")
    hold = await api.placed(account, "4")
    answer = await api.post(f"/holds/{hold}/capture", {"amount": "12.5"}, account=account)
    assert problem(answer) == problem(await api.charge(account, "8.5")) == (422, "PAY006")
    assert (await credits.balance(account)).held == 4_000_000
    answer = await api.post(f"/holds/{hold}/capture", {"amount": "12"}, account=account)
    assert (answer.json()["captured"], answer.json()["balance"]["available"]) == ("12", "48")
