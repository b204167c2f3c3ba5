"""Composition root of the payments service."""

from datetime import timedelta

import yaml

from libs.chassis.runner import Part
from libs.chassis.service import Foundation
from libs.contracts.catalogue import Catalogue
from services.payments import api, consumers, jobs
from services.payments.clients import Stripe
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
    if foundation.serves:
        foundation.serve_internally(
            app, api.routes(pool, stripe, clock, terms, publishable_key=settings.stripe_publishable_key)
        )
    return foundation.parts(app, clients=[stripe], jobs=work)
