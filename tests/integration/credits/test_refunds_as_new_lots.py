"""Where the catalogue has a charge's refund come back as a lot of its own, as cancelled bookings do."""

from datetime import timedelta

import pytest

from libs.contracts.catalogue import Catalogue
from tests.integration.credits.serving import Api
from tests.integration.credits.travelling import Travel
from tests.support.ledger import CATALOGUE, Credits

POLICY = {"comes_back": "as_new_lot", "expires_after_days": 365}


@pytest.fixture
def catalogue() -> Catalogue:
    """What a refund gives back lives a year."""
    return Catalogue.of(CATALOGUE.model_dump(mode="json") | {"policies": {"charge_refund": POLICY}})


async def test_what_comes_back_is_one_lot_that_expires_by_its_own_time(
    credits: Credits, api: Api, travel: Travel
) -> None:
    account = await credits.open_with("50")
    charge = (await api.charge(account, "12")).json()["id"]
    parts = [await api.post(f"/charges/{charge}/refunds", {"amount": part}, account=account) for part in ("5", "7")]
    assert [answer.json()["balance"]["available"] for answer in parts] == ["53", "60"]
    balance = await credits.balance(account)
    assert balance.by_kind == {"purchased": 48_000_000, "refunded": 12_000_000}
    assert balance.next_expiry is not None
    assert balance.next_expiry.at - credits.clock.now() > timedelta(days=364)
    await travel(days=366)
    balance = await credits.balance(account)
    assert (balance.by_kind, balance.totals.expired) == ({"purchased": 48_000_000}, 12_000_000)
