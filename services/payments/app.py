"""Composition root of the payments service."""

from datetime import timedelta

import yaml

from libs.chassis.runner import Part
from libs.chassis.sealing import Seal
from libs.chassis.service import Foundation
from libs.chassis.service_client import ServiceClient
from libs.chassis.tokens import signer
from libs.contracts.catalogue import Catalogue
from services.payments import consumers, jobs
from services.payments.api import (
    catalogue,
    gift_cards,
    offers,
    payment_methods,
    promo_codes,
    purchases,
    reconciliation,
    reports,
    vouchers,
)
from services.payments.clients.credits import CreditsClient
from services.payments.clients.stripe import Stripe
from services.payments.clients.stripe_catalogue import StripeCatalogue
from services.payments.domain.quotes import Terms
from services.payments.domain.vouchers import Codes
from services.payments.operations.findings import Sides
from services.payments.settings import Settings


async def compose(settings: Settings, foundation: Foundation) -> list[Part]:
    """Put the service together, for the role that the foundation was laid for. Readiness does not wait for Stripe."""
    pool, clock = foundation.pool, foundation.clock
    stripe = Stripe(
        settings.stripe_secret_key.get_secret_value(),
        api_base=settings.stripe_api_base,
        timeout_seconds=settings.stripe_timeout_seconds,
        retries=settings.stripe_retries,
    )
    terms = Terms(
        catalogue=Catalogue.of(yaml.safe_load(settings.catalogue.read_text())),
        return_addresses=settings.return_addresses,
        checkout_life=timedelta(minutes=settings.checkout_minutes),
        payment_life=timedelta(hours=settings.payment_hours),
    )
    to_credits = _to_credits(settings)
    credits = CreditsClient(to_credits)
    codes = Codes(settings.voucher_secrets)
    work: list[Part] = []
    if foundation.works:
        consumers.subscribe(foundation.consumers, pool, stripe, clock, policies=terms.catalogue.policies)
        seal = Seal(settings.mail_secrets)
        work += jobs.jobs(pool, stripe, credits, clock, policies=terms.catalogue.policies, codes=codes, seal=seal)
    app = foundation.app()
    if foundation.serves:
        foundation.serve_internally(
            app,
            offers.routes(pool, terms.catalogue, settings.stripe_publishable_key, livemode=stripe.livemode),
            purchases.routes(pool, stripe, clock, terms, credits=credits),
            payment_methods.routes(pool, stripe, clock),
            promo_codes.routes(pool, clock),
            gift_cards.routes(pool, stripe, clock, terms),
            vouchers.routes(pool, clock, terms.catalogue, codes),
            catalogue.routes(pool, StripeCatalogue(stripe), clock, terms.catalogue),
            reconciliation.routes(Sides(pool, stripe, credits, clock, terms.catalogue.policies)),
            reports.routes(pool, livemode=stripe.livemode),
        )
    return foundation.parts(app, clients=[stripe, to_credits], jobs=work)


def _to_credits(settings: Settings) -> ServiceClient:
    """Reach credits, which knows what accounts have. Raises ValueError without a key of ours."""
    if settings.service_key_file is None:
        raise ValueError("set SCRIP_PAYMENTS_SERVICE_KEY_FILE: credits knows us by it")
    ours = signer("payments", settings.service_key_file)
    return ServiceClient("credits", base_url=settings.credits_url, signer=ours)
