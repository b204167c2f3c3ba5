"""Composition root: what the service is made of."""

from datetime import timedelta
from pathlib import Path

import yaml
from jinja2 import FileSystemLoader

from libs.chassis.runner import Part
from libs.chassis.sealing import Seal
from libs.chassis.service import Foundation
from libs.contracts.catalogue import Catalogue
from services.notifications import api, consumers, jobs
from services.notifications.clients import Mailer, MailServer
from services.notifications.domain.rendering import Templates
from services.notifications.settings import Settings

_TEMPLATES = Path(__file__).parent / "templates"


async def compose(settings: Settings, foundation: Foundation) -> list[Part]:
    """Put the parts of this process together."""
    app = foundation.app()
    if foundation.serves:
        foundation.serve_internally(app, api.routes(foundation.pool))
    if not foundation.works:
        return foundation.parts(app)
    mailer = Mailer(
        MailServer.at(settings.smtp_url.get_secret_value()),
        sender=settings.sender,
        timeout_seconds=settings.smtp_timeout_seconds,
    )
    consumers.subscribe(foundation.consumers, pool=foundation.pool, clock=foundation.clock)
    return foundation.parts(app, clients=[mailer], jobs=_jobs(settings, foundation, mailer))


def _jobs(settings: Settings, foundation: Foundation, mailer: Mailer) -> list[Part]:
    pool, clock = foundation.pool, foundation.clock
    catalogue = Catalogue.of(yaml.safe_load(settings.catalogue.read_text()))
    templates = Templates(FileSystemLoader(_TEMPLATES), unit=catalogue.unit, sender=mailer.sender_name)
    lease = timedelta(seconds=3 * settings.smtp_timeout_seconds)  # more than connecting and handing over may take
    return [
        jobs.deliver(
            pool, mailer=mailer, templates=templates, seal=Seal(settings.mail_secrets), clock=clock, lease=lease
        ),
        jobs.prune(pool, clock=clock, keep_deliveries=timedelta(days=settings.keep_deliveries_days)),
    ]
