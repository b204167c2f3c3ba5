"""Composition root of the credits service."""

from pathlib import Path

import yaml
from fastapi import APIRouter

from libs.chassis import housekeeping
from libs.chassis.runner import Part
from libs.chassis.service import Foundation
from libs.contracts.catalogue import Catalogue
from services.credits import consumers, jobs
from services.credits.api import (
    accounts,
    activities,
    charges,
    estimates,
    grants,
    history,
    holds,
    insight,
    leases,
    limits,
    rejections,
    reports,
    returns,
    states,
    transfers,
)
from services.credits.api import prices as prices_api
from services.credits.clients import HeadFile
from services.credits.domain.books import Rules
from services.credits.domain.pricing import PriceBookError, Prices, line_of
from services.credits.operations import price_books
from services.credits.operations.active_prices import ActivePrices
from services.credits.operations.leases import Leases
from services.credits.operations.ledger import Ledger
from services.credits.operations.rejections import Replayer
from services.credits.operations.sealing import Sealer
from services.credits.operations.writer import Writer
from services.credits.settings import Settings

_LARGEST_BODY = 8 * 1024 * 1024
"""A grant to ten thousand accounts."""


async def compose(settings: Settings, foundation: Foundation) -> list[Part]:
    """Put the service together, for the role that the foundation was laid for."""
    catalogue = Catalogue.of(yaml.safe_load(settings.catalogue.read_text()))
    check_prices(settings.catalogue, catalogue)
    pool, clock = foundation.pool, foundation.clock
    await price_books.adopt(pool, clock, catalogue.price_book, by=f"file:{settings.catalogue.name}")
    prices = ActivePrices(pool, clock)
    ledger = Ledger(clock, Rules.of(catalogue))
    usage = [_usage_consumer(settings, foundation, ledger, prices) for _ in range(settings.usage_consumers)]
    writer = Writer(pool, ledger, clock)
    work: list[Part] = []
    if foundation.works:
        consumers.subscribe(foundation.consumers, pool, ledger)
        redriving = housekeeping.redrive(pool, clock, consumers.USAGE_CONSUMER, usage[0].redrive)
        sealer = Sealer(pool, clock, HeadFile(settings.audit_folder) if settings.audit_folder else None)
        warning_days = catalogue.policies.expiry_warning_days
        timed = jobs.jobs(
            pool, ledger, foundation.producer, clock, sealer=sealer, prices=prices, warning_days=warning_days
        )
        work = [*usage, redriving, *timed]
    checks = {f"usage_{number}": consumer.ready for number, consumer in enumerate(usage)} if foundation.works else {}
    app = foundation.app(largest_body=_LARGEST_BODY, checks=checks)
    if foundation.serves:
        foundation.serve_internally(app, *_routers(foundation, catalogue, ledger, writer=writer, prices=prices))
    return foundation.parts(app, clients=[writer], jobs=work)


def _routers(
    foundation: Foundation, catalogue: Catalogue, ledger: Ledger, *, writer: Writer, prices: ActivePrices
) -> list[APIRouter]:
    pool, clock = foundation.pool, foundation.clock
    return [
        charges.routes(writer, pool, clock, prices),
        estimates.routes(pool, ledger, clock, prices),
        leases.routes(Leases(pool, writer, prices, catalogue.policies), clock),
        holds.routes(writer, pool, ledger, clock, prices=prices, policies=catalogue.policies),
        transfers.routes(writer, catalogue),
        accounts.routes(pool, ledger, catalogue, clock),
        history.routes(pool, ledger, clock),
        insight.routes(pool, ledger, clock, prices),
        limits.routes(pool, ledger, catalogue, clock),
        prices_api.routes(pool, clock),
        rejections.routes(pool, Replayer(pool, ledger, prices, clock)),
        reports.routes(pool),
        returns.routes(pool, ledger, clock),
        states.routes(pool, ledger, clock),
        grants.routes(pool, ledger, catalogue, clock),
        activities.routes(pool, ledger, catalogue, clock),
    ]


def check_prices(file: Path, catalogue: Catalogue) -> None:
    """Raise ValueError that points at the line of the file at which the price book is wrong."""
    try:
        Prices(catalogue.price_book)
    except PriceBookError as error:
        line = line_of(file.read_text(), ("price_book", *error.where))
        raise ValueError(f"{file}, line {line}: {error.why}") from error


def _usage_consumer(
    settings: Settings, foundation: Foundation, ledger: Ledger, prices: ActivePrices
) -> consumers.UsageConsumer:
    return consumers.UsageConsumer(
        settings.kafka,
        pool=foundation.pool,
        ledger=ledger,
        prices=prices,
        clock=foundation.clock,
        batch=settings.usage_batch,
        session_ms=settings.kafka_session_timeout_ms,
    )
