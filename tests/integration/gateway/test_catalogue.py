"""What is sold: for everybody, with entity tags."""

from libs.contracts.http.payments_v1 import Packs
from tests.integration.gateway.conftest import RunGateway
from tests.integration.gateway.gateways import Gateway
from tests.integration.gateway.stand_ins import PaymentsStandIn


async def test_packs_and_payment_config_are_shown_to_everybody(gateway: Gateway) -> None:
    packs = await gateway.http.get("/v1/packs")
    assert packs.json()["data"][0] == {
        "id": "starter",
        "name": "Starter",
        "credits": "50",
        "bonus": "0",
        "expires_after_days": None,
        "prices": [{"amount_minor": 999, "currency": "usd"}],
    }
    assert packs.json()["unit"] == {"singular": "credit", "plural": "credits"}
    config = await gateway.http.get("/v1/payment-config")
    assert config.json() == {"publishable_key": "pk_test_1", "currencies": ["usd"]}


async def test_who_has_the_newest_packs_is_told_so(gateway: Gateway, payments: PaymentsStandIn) -> None:
    etag = (await gateway.http.get("/v1/packs")).headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        same = await gateway.http.get("/v1/packs", headers={"If-None-Match": known})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
    payments.packs = Packs(data=[], unit={"singular": "token", "plural": "tokens"})
    changed = await gateway.http.get("/v1/packs", headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != etag
    assert changed.json()["unit"]["plural"] == "tokens"


async def test_packs_are_kept_for_a_while(run_gateway: RunGateway, payments: PaymentsStandIn) -> None:
    async with run_gateway(catalogue_seconds=3600) as gateway:
        before = await gateway.http.get("/v1/packs")
        payments.packs = Packs(data=[], unit={})
        assert (await gateway.http.get("/v1/packs")).content == before.content


async def test_packs_are_shown_while_payments_is_away_once_they_are_known(
    gateway: Gateway, payments: PaymentsStandIn
) -> None:
    before = await gateway.http.get("/v1/packs")
    await payments.go()
    assert (await gateway.http.get("/v1/packs")).content == before.content
    unknown = await gateway.http.get("/v1/payment-config")
    assert (unknown.status_code, unknown.json()["code"]) == (503, "PAY014")
