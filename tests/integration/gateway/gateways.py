"""A gateway in this process, on real servers, put together as `python -m services.gateway` puts it together."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2
import stripe
from aiokafka import AIOKafkaConsumer

from deploy.embedded.databases import ServiceDatabase
from deploy.embedded.ports import free_ports
from libs.chassis import migrations
from libs.chassis.pool import Pool
from libs.chassis.runner import Part
from libs.chassis.service import Foundation, Role, lay
from libs.chassis.tokens import new_key
from libs.contracts.envelope import CloudEvent
from libs.contracts.http.gateway_v1 import ApiKey, NewApiKey, Scope, Session
from libs.contracts.topics import Topic
from services.gateway.app import compose
from services.gateway.operations import api_keys
from services.gateway.settings import Settings
from tests.integration.gateway.stand_ins import CreditsStandIn, PaymentsStandIn

SERVICE = Path(__file__).parents[3] / "services" / "gateway"
SCHEMA = migrations.read("chassis", migrations.PLUMBING) + migrations.read("gateway", SERVICE / "migrations")
SECRET = "whsec_now"
PASSWORD = "correct horse battery"
NOWHERE = "127.0.0.1:1"
"""An address where nobody listens."""


@dataclass(frozen=True)
class KeyFiles:
    """The keys of the services, as files."""

    folder: Path

    @property
    def public(self) -> Path:
        """The services' public keys."""
        return self.folder / "services.json"

    def private(self, name: str) -> Path:
        """A private key."""
        return self.folder / f"{name}.json"

    def make(self) -> "KeyFiles":
        """Write them."""
        made = {name: new_key(name) for name in ("gateway", "credits", "payments", "access", "stranger")}
        for name, key in made.items():
            self.private(name).write_text(json.dumps(key.as_dict(private=True)))
        public = [made[name].as_dict(private=False) for name in ("gateway", "credits", "payments")]
        self.public.write_text(json.dumps({"keys": public}))
        return self


@dataclass
class User:
    """Somebody who signed up, and speaks to a gateway with his token."""

    http: httpx2.AsyncClient
    session: Session

    @property
    def account(self) -> UUID:
        """His account."""
        account: UUID = self.session.user.account
        return account

    @property
    def headers(self) -> dict[str, str]:
        """How he says who he is."""
        return {"Authorization": f"Bearer {self.session.access_token}"}

    async def get(self, path: str, **params: Any) -> httpx2.Response:
        """Ask."""
        return await self.http.get(path, params=params or None, headers=self.headers)

    async def post(self, path: str, body: Any = None, *, key: str | None = None) -> httpx2.Response:
        """Have something done."""
        headers = self.headers | ({"Idempotency-Key": key} if key else {})
        return await self.http.post(path, json=body, headers=headers)

    async def put(self, path: str) -> httpx2.Response:
        """Have something be so."""
        return await self.http.put(path, headers=self.headers)

    async def delete(self, path: str) -> httpx2.Response:
        """Have something away."""
        return await self.http.delete(path, headers=self.headers)

    async def make_key(self, *scopes: str) -> str:
        """Make an API key; gives its secret."""
        answer = await self.post("/v1/api-keys", {"name": "a service", "scopes": list(scopes)})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["secret"])


@dataclass
class Gateway:
    """A running gateway and what stands around it."""

    http: httpx2.AsyncClient
    url: str
    foundation: Foundation
    clock_file: Path
    moved: timedelta = field(default_factory=timedelta)

    @property
    def pool(self) -> Pool:
        """Its own connections."""
        return self.foundation.pool

    async def sign_up(self, email: str | None = None) -> User:
        """Sign somebody up."""
        answer = await self.register(email or f"{uuid4().hex}@example.com")
        assert answer.status_code == 201, answer.text
        return User(self.http, Session.model_validate_json(answer.content))

    async def register(self, email: str, *, password: str = PASSWORD, name: str = "Ada") -> httpx2.Response:
        """Ask to sign up."""
        body = {"email": email, "password": password, "name": name}
        return await self.http.post("/v1/auth/register", json=body)

    async def log_in(self, email: str, password: str = PASSWORD) -> httpx2.Response:
        """Ask to log in."""
        return await self.http.post("/v1/auth/login", json={"email": email, "password": password})

    async def refresh(self, token: str) -> httpx2.Response:
        """Ask for new tokens."""
        return await self.http.post("/v1/auth/refresh", json={"refresh_token": token})

    async def operators_key(self, account: UUID, *scopes: Scope) -> str:
        """Make a key as an operator may, of any scope."""
        order = NewApiKey(name="an operator's", scopes=list(scopes))
        made: ApiKey = await api_keys.create(self.pool, account, order, now=self.foundation.clock.now())
        assert made.secret is not None
        return made.secret

    async def webhook(
        self, event: dict[str, Any] | bytes, *, secret: str = SECRET, at: float | None = None, **more: Any
    ) -> httpx2.Response:
        """Send a webhook as Stripe does."""
        body = event if isinstance(event, bytes) else json.dumps(event, indent=2).encode()
        return await self.send_webhook(body, signature(body, secret=secret, at=at), **more)

    async def send_webhook(self, body: bytes, signed: str | None, path: str = "/v1/webhooks/stripe") -> httpx2.Response:
        """Send a webhook with any signature or none."""
        headers = {b"Stripe-Signature": signed.encode("latin-1")} if signed is not None else {}
        return await self.http.post(path, content=body, headers=headers)

    async def travel(self, by: timedelta) -> None:
        """Move the clock, and wait until the gateway has seen it."""
        self.moved += by
        self.clock_file.write_text(str(self.moved.total_seconds()))
        await until(lambda: self.foundation.clock.offset() == self.moved)

    async def rows(self, sql: str, *args: Any) -> list[dict[str, Any]]:
        """Look into its database."""
        async with self.pool.connection() as conn:
            return [dict(row) for row in await conn.fetch(sql, *args)]

    async def outbox(self, topic: Topic) -> list[CloudEvent]:
        """Read what it has told or is about to tell, in order."""
        rows = await self.rows("SELECT payloads FROM outbox WHERE topic = $1 ORDER BY id", topic.name)
        return [CloudEvent.decode(payload) for row in rows for payload in row["payloads"]]


def signature(body: bytes, *, secret: str = SECRET, at: float | None = None) -> str:
    """Sign as Stripe's own client does."""
    when = int(at if at is not None else time.time())
    header: str = stripe.WebhookSignature.generate_signature_header(body.decode(), secret, timestamp=when)
    return header


async def until(look: Callable[[], bool], *, seconds: float = 20) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(seconds):
        while not look():  # noqa: ASYNC110 - what we wait for tells nobody
            await asyncio.sleep(0.01)


@dataclass(frozen=True)
class Surroundings:
    """What stands around a gateway."""

    keys: KeyFiles
    credits: CreditsStandIn
    payments: PaymentsStandIn
    kafka: str
    redis_url: str


@asynccontextmanager
async def running(
    database: ServiceDatabase, around: Surroundings, *, role: Role, clock_file: Path, settings: dict[str, Any]
) -> AsyncIterator[Gateway]:
    """Run a gateway; `settings` are what differs from the test's own."""
    port, keys = free_ports(1)[0], around.keys
    defaults = {
        "database_url": database.app_url,
        "kafka": around.kafka,
        "redis_url": around.redis_url,
        "port": port,
        "service_key_file": keys.private("gateway"),
        "service_keys_file": keys.public,
        "access_key_file": keys.private("access"),
        "credits_url": around.credits.url,
        "payments_url": around.payments.url,
        "stripe_webhook_secret": SECRET,
        "stripe_webhook_paths": "/api/webhooks/stripe",
        "clock_offset_file": clock_file,
        "kafka_session_timeout_ms": 6000,
        "catalogue_seconds": 0,
    }
    ours = Settings(**{**defaults, **settings})
    foundation = await lay("gateway", role, ours, SCHEMA)
    parts = await compose(ours, foundation)
    started: list[Part] = []
    url = f"http://127.0.0.1:{port}"
    try:
        for part in parts:
            await part.start()
            started.append(part)
        async with httpx2.AsyncClient(base_url=url, timeout=30, trust_env=False) as http:
            yield Gateway(http, url, foundation, clock_file)
    finally:
        for part in reversed(started):
            await part.stop()


async def published(servers: str, topic: Topic, *, key: str, count: int) -> list[CloudEvent]:
    """Read the first records of a key from a topic, as a consumer does."""
    consumer = AIOKafkaConsumer(topic.name, bootstrap_servers=servers, auto_offset_reset="earliest", group_id=None)
    await consumer.start()
    found: list[CloudEvent] = []
    try:
        async with asyncio.timeout(30):
            while len(found) < count:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += [CloudEvent.decode(r.value) for r in records if (r.key or b"").decode() == key]
    finally:
        await consumer.stop()
    return found
