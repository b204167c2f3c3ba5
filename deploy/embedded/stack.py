"""The whole of Scrip on one machine: the servers, the Stripe sandbox, the four services, each a process of its own."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field

from deploy.embedded.databases import SERVICES, ServiceDatabase, create_databases
from deploy.embedded.infrastructure import Infrastructure
from deploy.embedded.keys import Keys, make_keys
from deploy.embedded.ports import free_ports
from deploy.embedded.processes import Process, ProcessFailedError
from deploy.embedded.readiness import answers
from deploy.embedded.settings import PROJECT, Settings
from libs.chassis import migrations
from libs.chassis.broker import topics
from libs.contracts.topics import ALL

SANDBOX_KEY = "sk_test_sandbox"  # accepted by the sandbox alone
SANDBOX_PUBLISHABLE_KEY = "pk_test_sandbox"
WEBHOOK_EVENTS = (
    *(
        f"payment_intent.{what}"
        for what in ("succeeded", "payment_failed", "canceled", "processing", "requires_action")
    ),
    *(f"checkout.session.{what}" for what in ("completed", "expired")),
    *(f"checkout.session.async_payment_{what}" for what in ("succeeded", "failed")),
    *(f"charge.{what}" for what in ("succeeded", "refunded")),
    *(f"refund.{what}" for what in ("created", "updated", "failed")),
    *(f"setup_intent.{what}" for what in ("succeeded", "setup_failed", "canceled", "requires_action")),
    *(f"payment_method.{what}" for what in ("attached", "detached", "updated", "automatically_updated")),
    "customer.updated",
    *(f"charge.dispute.{what}" for what in ("created", "updated", "closed", "funds_withdrawn", "funds_reinstated")),
    "radar.early_fraud_warning.created",
)
"""What the endpoint is subscribed to, as one at Stripe should be: what payments takes up."""
_LOOK_EVERY_SECONDS = 1.0


class StackSettings(Settings):
    """Settings of the whole stack. With a secret key of Stripe's, Stripe itself is used instead of the sandbox."""

    catalogue: Path = Field(PROJECT / "deploy" / "catalogues" / "video.yaml", description="what is sold, and how")
    stripe_secret_key: str | None = Field(None, validation_alias="STRIPE_SECRET_KEY", description="Stripe's secret key")
    stripe_publishable_key: str | None = Field(
        None, validation_alias="STRIPE_PUBLISHABLE_KEY", description="the publishable key that goes with it"
    )
    stripe_webhook_secret: str | None = Field(
        None, validation_alias="STRIPE_WEBHOOK_SECRET", description="what `stripe listen` prints"
    )


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything answers; `stripe` and `mailbox` are None where the real ones are used."""

    gateway: str
    payments: str
    credits: str
    notifications: str
    stripe: str | None
    mailbox: str | None


class Stack:
    """A running stack. `add` gives it more processes of a service; `processes` lets tests kill and restart them."""

    def __init__(
        self, settings: StackSettings, *, say: Callable[[str], None], env: Mapping[str, str] | None = None
    ) -> None:
        self.settings = settings
        self.home = settings.data
        self.infrastructure = Infrastructure(settings, say=say)
        self.processes: dict[str, Process] = {}
        self.databases: dict[str, ServiceDatabase] = {}
        self._say = say
        self._env = dict(env or {})
        self._ports = dict(zip((*SERVICES, "stripe"), free_ports(len(SERVICES) + 1), strict=True))

    @property
    def addresses(self) -> Addresses:
        """Where everything answers."""
        at = {name: f"http://127.0.0.1:{port}" for name, port in self._ports.items()}
        stripe = None if self.settings.stripe_secret_key else at.pop("stripe")
        services = {name: at[name] for name in SERVICES}
        return Addresses(**services, stripe=stripe, mailbox=self.infrastructure.mailbox_url)

    @property
    def clock_file(self) -> Path:
        """The file that moves the clock of every process."""
        return self.home / "clock-offset"

    @property
    def state_file(self) -> Path:
        """What other shells learn of the running stack: addresses and environments; readable by its owner alone."""
        return self.home / "stack.json"

    async def start(self) -> None:
        """Start everything; returns when all services are ready."""
        await self.infrastructure.start()
        keys = make_keys(self.home / "keys", SERVICES)
        self.databases, _ = await asyncio.gather(self._prepare_databases(), self._prepare_topics())
        if self.addresses.stripe:
            self._add_sandbox(keys)
        for service in SERVICES:
            self.add(service, "all")
        await asyncio.gather(*(process.start() for process in self.processes.values()))
        self._write_state()

    async def stop(self) -> None:
        """Stop everything, the services first."""
        self.state_file.unlink(missing_ok=True)
        await asyncio.gather(*(process.stop() for process in self.processes.values()))
        await self.infrastructure.stop()

    async def keep(self) -> None:
        """Start again whatever process dies, be it a service's or a server's; goes on until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
            for process in (*self.processes.values(), *self.infrastructure.processes()):
                if not process.running:
                    self._say(f"{process.name} ended; it is started again")
                    with suppress(ProcessFailedError):
                        await process.start()

    def add(self, service: str, role: str, *, name: str | None = None, env: Mapping[str, str] | None = None) -> Process:
        """Make (not yet start) another process of a service; the first has the service's port, others any free one."""
        name = name or service
        port = self._ports[service] if name == service else free_ports(1)[0]
        address = f"http://127.0.0.1:{port}"
        self.processes[name] = Process(
            name,
            [sys.executable, "-m", f"services.{service}", role],
            home=self.home,
            ready=lambda: answers(f"{address}/readyz"),
            env={**self.environment(service), f"SCRIP_{service.upper()}_PORT": str(port), **(env or {})},
            cwd=PROJECT,
            grace_s=25,
        )
        return self.processes[name]

    def environment(self, service: str) -> dict[str, str]:
        """Tell the settings of a service, as environment variables."""
        database = self.databases[service]
        keys = Keys(self.home / "keys")
        name = service.upper()
        return {
            **self._shared(),
            f"SCRIP_{name}_DATABASE_URL": database.app_url,
            f"SCRIP_{name}_OWNER_DATABASE_URL": database.owner_url,
            f"SCRIP_{name}_SERVICE_KEY_FILE": str(keys.private(service)),
            "SCRIP_GATEWAY_ACCESS_KEY_FILE": str(keys.private("access")),
            **self._stripe(keys),
            **self._env,
        }

    def _shared(self) -> dict[str, str]:
        servers, addresses = self.infrastructure, self.addresses
        return {
            "SCRIP_KAFKA": servers.kafka,
            "SCRIP_REDIS_URL": servers.redis_url,
            "SCRIP_SMTP_URL": servers.smtp_url,
            "SCRIP_CATALOGUE": str(self.settings.catalogue),
            "SCRIP_CLOCK_OFFSET_FILE": str(self.clock_file),
            "SCRIP_SERVICE_KEYS_FILE": str(self.home / "keys" / "services.json"),
            "SCRIP_CREDITS_AUDIT_FOLDER": str(self.home / "audit"),
            "SCRIP_CREDITS_URL": addresses.credits,
            "SCRIP_PAYMENTS_URL": addresses.payments,
            "SCRIP_PAYMENTS_RETURN_LOOPBACK": "true",
            "SCRIP_LOG_FORMAT": os.environ.get("SCRIP_LOG_FORMAT", "json"),
        }

    def _stripe(self, keys: Keys) -> dict[str, str]:
        given = self.settings
        if given.stripe_secret_key:
            return {
                "STRIPE_SECRET_KEY": given.stripe_secret_key,
                "STRIPE_PUBLISHABLE_KEY": given.stripe_publishable_key or "",
                "STRIPE_WEBHOOK_SECRET": given.stripe_webhook_secret or "",
            }
        return {
            "STRIPE_SECRET_KEY": SANDBOX_KEY,
            "STRIPE_PUBLISHABLE_KEY": SANDBOX_PUBLISHABLE_KEY,
            "STRIPE_WEBHOOK_SECRET": keys.webhook_secret(),
            "SCRIP_STRIPE_API_BASE": self.addresses.stripe or "",
        }

    async def _prepare_databases(self) -> dict[str, ServiceDatabase]:
        databases = await create_databases(self.infrastructure.database_url)
        await asyncio.gather(*(_migrate(name, database) for name, database in databases.items()))
        return databases

    async def _prepare_topics(self) -> None:
        await topics.ensure(self.infrastructure.kafka, ALL, replication=1)

    def _add_sandbox(self, keys: Keys) -> None:
        port = self._ports["stripe"]
        self.processes["stripe"] = Process(
            "stripe",
            [
                *(sys.executable, "-m", "deploy.stripe_sandbox", "--port", str(port), "--quiet"),
                *("--webhook-url", f"{self.addresses.gateway}/v1/webhooks/stripe"),
                *("--webhook-secret", keys.webhook_secret()),
                *("--webhook-events", ",".join(WEBHOOK_EVENTS)),
                *("--data", str(self.home / "stripe.journal")),
            ],
            home=self.home,
            ready=lambda: answers(f"http://127.0.0.1:{port}/sandbox/health"),
            env={"SCRIP_CLOCK_OFFSET_FILE": str(self.clock_file)},
            cwd=PROJECT,
        )

    def _write_state(self) -> None:
        self.state_file.touch(mode=0o600)
        state = {
            "addresses": asdict(self.addresses),
            "environments": {service: self.environment(service) for service in SERVICES},
        }
        self.state_file.write_text(json.dumps(state, indent=2), "utf-8")


async def _migrate(service: str, database: ServiceDatabase) -> None:
    folder = PROJECT / "services" / service / "migrations"
    schema = migrations.read("chassis", migrations.PLUMBING) + migrations.read(service, folder)
    app_role = urlsplit(database.app_url).username or ""
    await migrations.migrate(database.owner_url, migrations=schema, app_role=app_role)
