"""Composition root of the gateway."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter
from joserfc.jwk import ECKey, KeySet
from redis.asyncio import Redis

from libs.chassis.broker.producer import Producer
from libs.chassis.pool import Pool, open_pool
from libs.chassis.runner import Part
from libs.chassis.service import Closes, Foundation
from libs.chassis.service_client import ServiceClient
from libs.chassis.tokens import signer
from services.gateway import consumers, jobs
from services.gateway.api import (
    api_keys,
    auth,
    balances,
    catalogue,
    charges,
    estimates,
    gift_cards,
    history,
    holds,
    insight,
    leases,
    loyalty,
    payment_methods,
    promo_codes,
    purchases,
    transfers,
    usage,
    vouchers,
    webhooks,
)
from services.gateway.api.door import Door, Rates
from services.gateway.clients.credits import CreditsClient, SpendingClient
from services.gateway.clients.history import HistoryClient
from services.gateway.clients.live_balances import Announcer, LiveBalances
from services.gateway.clients.payments import PaymentsClient
from services.gateway.clients.rate_limits import RateLimits
from services.gateway.clients.redis import connect
from services.gateway.domain.access_tokens import AccessTokens
from services.gateway.domain.passwords import Passwords
from services.gateway.domain.rates import Rate
from services.gateway.operations.api_keys import KeyUses
from services.gateway.operations.auth import Identity
from services.gateway.operations.webhooks import Intake
from services.gateway.settings import Settings, comma_separated


@dataclass(frozen=True, slots=True)
class Clients:
    """What the gateway calls: the other services, and Redis."""

    credits: CreditsClient
    history: HistoryClient
    spending: SpendingClient
    payments: PaymentsClient
    redis: Redis
    parts: Sequence[Part]


async def compose(settings: Settings, foundation: Foundation) -> list[Part]:
    """Put the service together, for the role that the foundation was laid for."""
    pool, clock = foundation.pool, foundation.clock
    clients = _clients(settings)
    app = foundation.app()
    if foundation.works:
        consumers.subscribe(foundation.consumers, Announcer(clients.redis))
    working = jobs.of_worker(pool, clients.credits, clock)
    if not foundation.serves:
        return foundation.parts(app, clients=clients.parts, jobs=working)

    key_uses, live = KeyUses(), LiveBalances(clients.redis)
    usage_producer = Producer(settings.kafka, client_id="scrip-gateway-usage")  # its failures are not the relay's
    webhook_pool = await _webhook_pool(settings, foundation)
    for router in _routes(settings, foundation, clients, key_uses=key_uses, live=live, usage_producer=usage_producer):
        app.include_router(router)
    app.include_router(_webhook_routes(settings, foundation, webhook_pool))
    reserved: list[Part] = [Closes(webhook_pool.close), Closes(usage_producer.stop), *jobs.of_api(pool, key_uses)]
    parts = foundation.parts(app, clients=[*clients.parts, *reserved], jobs=working)
    return [*parts, live]  # the first to stop: its streams end before the server waits for them


def _clients(settings: Settings) -> Clients:
    ours = signer("gateway", settings.service_key_file)
    to_credits = ServiceClient("credits", base_url=settings.credits_url, signer=ours)
    to_payments = ServiceClient("payments", base_url=settings.payments_url, signer=ours)
    redis = connect(settings.redis_url.get_secret_value())
    parts: list[Part] = [to_credits, to_payments, Closes(redis.aclose)]
    return Clients(
        CreditsClient(to_credits),
        HistoryClient(to_credits),
        SpendingClient(to_credits),
        PaymentsClient(to_payments),
        redis,
        parts,
    )


def _routes(
    settings: Settings,
    foundation: Foundation,
    clients: Clients,
    *,
    key_uses: KeyUses,
    live: LiveBalances,
    usage_producer: Producer,
) -> list[APIRouter]:
    pool, clock = foundation.pool, foundation.clock
    tokens = AccessTokens(_read_keys(settings.access_key_file))
    limits = RateLimits(clients.redis)
    door = Door(pool, tokens=tokens, key_uses=key_uses, limits=limits, rates=_rates(settings), clock=clock)
    return [
        auth.routes(door, Identity(pool, Passwords(), tokens, clients.credits), clock),
        api_keys.routes(door, pool, clock),
        catalogue.routes(door, clients.payments, seconds=settings.catalogue_seconds),
        purchases.routes(door, pool, clients.payments),
        loyalty.routes(door, clients.payments),
        payment_methods.routes(door, pool, clients.payments),
        promo_codes.routes(door, pool, clients.payments),
        gift_cards.routes(door, pool, clients.payments),
        vouchers.routes(door, clients.payments),
        balances.routes(door, clients.credits, clients.history, live, clock),
        history.routes(door, clients.history),
        insight.routes(door, clients.history),
        estimates.routes(door, clients.spending),
        charges.routes(door, clients.spending),
        holds.routes(door, clients.spending),
        leases.routes(door, clients.spending),
        transfers.routes(door, clients.spending),
        usage.routes(door, usage_producer),
    ]


def _webhook_routes(settings: Settings, foundation: Foundation, pool: Pool) -> APIRouter:
    return webhooks.routes(
        Intake(pool),
        foundation.clock,
        secrets=comma_separated(settings.stripe_webhook_secret.get_secret_value()),
        further_paths=comma_separated(settings.stripe_webhook_paths),
    )


async def _webhook_pool(settings: Settings, foundation: Foundation) -> Pool:
    """Reserve connections for webhooks: no other traffic can take them."""
    url = settings.database_url.get_secret_value()
    pool = await open_pool(url, size=settings.webhook_pool_size, name="scrip-gateway-webhooks")
    pool.on_commit(foundation.relay.wake)
    return pool


def _read_keys(file: Path) -> KeySet:
    """Read the key that signs access tokens (one private JWK)."""
    key = ECKey.import_key(json.loads(file.read_text()))
    key.ensure_kid()
    return KeySet([key])


def _rates(settings: Settings) -> Rates:
    return Rates(
        auth_per_address=Rate("auth", settings.auth_per_address_a_minute, holds_without_redis=True),
        login_per_email=Rate("login", settings.login_per_email_a_minute, holds_without_redis=True),
        public_per_address=Rate("public", settings.public_per_address_a_minute),
        codes_per_user=Rate("codes", settings.codes_per_user_a_minute, holds_without_redis=True),
        codes_per_address=Rate("codes-address", settings.codes_per_address_a_minute, holds_without_redis=True),
        payments_per_user=Rate("payments", settings.payments_per_user_a_minute, holds_without_redis=True),
        payments_per_address=Rate("payments-address", settings.payments_per_address_a_minute, holds_without_redis=True),
        per_principal=Rate("requests", settings.requests_per_principal_a_minute),
    )
