"""Limits of what may be bought: the credits service is asked before anything is recorded, or made at Stripe."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from deploy.embedded.infrastructure import Infrastructure
from libs.chassis.clock import Clock
from libs.chassis.errors import RemoteError, UnavailableError
from libs.chassis.service_client import ServiceClient
from libs.chassis.tokens import Signer
from libs.contracts.catalogue import Catalogue
from libs.contracts.errors import CREDIT_LIMIT_EXCEEDED
from services.payments.clients.credits import CreditsClient
from tests.integration.credits.serving import serving
from tests.integration.payments.shop import CATALOGUE, Shop, a_buyer
from tests.support.databases import ServicePool
from tests.support.ledger import Credits

LIMITS = {"minimum_purchase": "40", "maximum_balance": "200", "maximum_per_transaction": "180"}
LIMITED = Catalogue.of(CATALOGUE.model_dump(mode="json") | {"limits": LIMITS, "welcome_bonus": None})


@dataclass
class Limited:
    """A shop that asks the credits service, and its ledger."""

    shop: Shop
    ledger: Credits
    signer: Signer
    seen: int = 0
    """How much Stripe had been asked before."""

    async def nothing_happened(self) -> bool:
        """Tell whether neither we nor Stripe know of any purchase or customer."""
        async with self.shop.pool.connection() as conn:
            known = await conn.fetchval(
                "SELECT (SELECT count(*) FROM purchase) + (SELECT count(*) FROM customer) "
                "+ (SELECT count(*) FROM idempotency_key)"
            )
        return known == 0 and not await self.asked()

    async def asked(self) -> int:
        """Count what Stripe has been asked since."""
        return len((await self.shop.sandbox.get("requests?after=0"))["data"]) - self.seen


@pytest.fixture
async def limited(
    shop: Shop, service_pool: ServicePool, infrastructure: Infrastructure, tmp_path: Path
) -> AsyncIterator[Limited]:
    """A shop of a catalogue with limits, beside the real credits service."""
    ledger = Credits(await service_pool("credits"), Clock(tmp_path / "clock"), LIMITED)
    database = service_pool.urls("credits")
    async with serving(database, infrastructure, catalogue=LIMITED, folder=tmp_path) as api:
        to_credits = ServiceClient("credits", base_url=str(api.http.base_url), signer=api.signer)
        shop.catalogue, shop.bank = LIMITED, replace(shop.bank, ledger=ledger, credits=CreditsClient(to_credits))
        made = Limited(shop, ledger, api.signer)
        made.seen = await made.asked()
        yield made
        await to_credits.stop()


@pytest.mark.parametrize(
    ("order", "has", "limit"),
    [
        ({"amount_credits": "39.5"}, None, "minimum_purchase"),
        ({"pack": "business"}, None, "maximum_per_transaction"),
        ({"pack": "pro"}, "41", "maximum_balance"),
    ],
)
async def test_a_purchase_beyond_a_limit_is_refused_before_anything_is_made(
    limited: Limited, order: dict[str, str], has: str | None, limit: str
) -> None:
    buyer = a_buyer()
    if has is not None:
        await limited.ledger.tell_payment(buyer.account, has)
    with pytest.raises(RemoteError) as refused:
        await limited.shop.start(buyer, **order)
    assert (refused.value.code, refused.value.facts) == (CREDIT_LIMIT_EXCEEDED, {"limit": limit})
    assert await limited.nothing_happened()


async def test_what_a_promo_code_brings_counts(limited: Limited) -> None:
    buyer = a_buyer()
    await limited.ledger.tell_payment(buyer.account, "30")
    await limited.shop.put_code("MORE", {"kind": "bonus_credits", "credits": "11"})
    with pytest.raises(RemoteError) as refused:
        await limited.shop.start(buyer, pack="pro", promo_code="MORE")
    assert (refused.value.code, refused.value.facts) == (CREDIT_LIMIT_EXCEEDED, {"limit": "maximum_balance"})
    assert (await limited.nothing_happened(), await limited.shop.redeemed("MORE")) == (True, 0)
    await limited.shop.put_code("MORE", {"kind": "bonus_credits", "credits": "10"})
    assert (await limited.shop.start(buyer, pack="pro", promo_code="MORE")).state == "created"


async def test_a_purchase_within_the_limits_starts_and_its_retry_is_not_asked_about_again(limited: Limited) -> None:
    buyer = a_buyer()
    await limited.ledger.tell_payment(buyer.account, "40")
    purchase = await limited.shop.start(buyer, key="k", pack="pro")
    assert purchase.client_secret is not None
    await limited.ledger.tell_payment(buyer.account, "160")
    assert await limited.shop.start(buyer, key="k", pack="pro") == purchase
    with pytest.raises(RemoteError):
        await limited.shop.start(buyer, key="another", pack="pro")


async def test_while_nobody_can_say_what_an_account_has_nothing_is_sold(limited: Limited, shop: Shop) -> None:
    nowhere = ServiceClient("credits", base_url="http://127.0.0.1:1", signer=limited.signer)
    shop.bank = replace(shop.bank, credits=CreditsClient(nowhere))
    with pytest.raises(UnavailableError):
        await shop.start()
    assert await limited.nothing_happened()
    await nowhere.stop()
