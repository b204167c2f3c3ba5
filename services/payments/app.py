"""Composition root of the payments service."""

from datetime import timedelta

import yaml

from libs.chassis.runner import Part
from libs.chassis.service import Foundation
from libs.chassis.service_client import ServiceClient
from libs.chassis.tokens import signer
from libs.contracts.catalogue import Catalogue
from services.payments import api, consumers, jobs
from services.payments.clients.credits import CreditsClient
from services.payments.clients.stripe import Stripe
from services.payments.domain.quotes import Terms
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
    )
    work: list[Part] = []
    if foundation.works:
        consumers.subscribe(foundation.consumers, pool, stripe, clock)
        work = [*jobs.jobs(pool, stripe, clock)]
    app = foundation.app()
    clients: list[Part] = [stripe]
    if foundation.serves:
        to_credits = _to_credits(settings) if terms.catalogue.limits.limit_purchases else None
        clients += [to_credits] if to_credits else []
        credits = CreditsClient(to_credits) if to_credits else None
        routes = api.routes(
            pool, stripe, clock, terms, credits=credits, publishable_key=settings.stripe_publishable_key
        )
        foundation.serve_internally(app, routes)
    return foundation.parts(app, clients=clients, jobs=work)


def _to_credits(settings: Settings) -> ServiceClient:
    """Reach credits, which knows what accounts have. Raises ValueError without its address, or a key of ours."""
    if settings.credits_url is None or settings.service_key_file is None:
        raise ValueError("set SCRIP_CREDITS_URL and SCRIP_PAYMENTS_SERVICE_KEY_FILE: credits checks what may be bought")
    ours = signer("payments", settings.service_key_file)
    return ServiceClient("credits", base_url=settings.credits_url, signer=ours)
