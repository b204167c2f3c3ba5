"""What is on sale, to whom on which terms."""

from fastapi import APIRouter, Depends

from libs.chassis.internal_api import calling_service
from libs.chassis.pool import Pool
from libs.contracts.catalogue import Catalogue
from libs.contracts.http.payments_v1 import CustomAmountOffer, LoyaltyStanding, PackOffer, Packs, PaymentConfig
from services.payments.api.answering import Account
from services.payments.domain.quotes import currencies
from services.payments.operations import loyalty


def routes(pool: Pool, catalogue: Catalogue, publishable_key: str, *, livemode: bool) -> APIRouter:
    """Make the routes."""
    router = APIRouter(prefix="/internal/v1", dependencies=[Depends(calling_service)])
    offers = [PackOffer.model_validate(pack.model_dump()) for pack in catalogue.packs]
    custom = catalogue.custom_amount and CustomAmountOffer.model_validate(catalogue.custom_amount.model_dump())
    packs = Packs(data=offers, custom_amount=custom, unit=catalogue.unit.model_dump())
    config = PaymentConfig(publishable_key=publishable_key, currencies=currencies(catalogue))

    @router.get("/packs", operation_id="listPacks")
    async def list_packs() -> Packs:
        """List the packs on sale, and what a credit is called."""
        return packs

    @router.get("/payment-config", operation_id="paymentConfig")
    async def payment_config() -> PaymentConfig:
        """Tell what Stripe's Elements need: the publishable key, and the currencies."""
        return config

    @router.get("/loyalty", operation_id="getLoyalty")
    async def show_loyalty(account: Account) -> LoyaltyStanding:
        """Tell which loyalty tier an account has by its lifetime spend, and what is left to the next one."""
        return await loyalty.show_standing(pool, catalogue, account, livemode=livemode)

    return router
