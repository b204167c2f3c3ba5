"""Webhooks out: events sent to the endpoints that listen, signed as Stripe signs, until somebody says 2xx."""

import asyncio
import hmac
import time
from collections.abc import Coroutine, Iterable, Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import count
from typing import Any

import httpx2
import orjson

from deploy.stripe_sandbox import shapes
from deploy.stripe_sandbox.clock import REREAD_EVERY_S, Clock
from deploy.stripe_sandbox.errors import Object
from deploy.stripe_sandbox.records import Records
from deploy.stripe_sandbox.settings import Settings
from deploy.stripe_sandbox.webhook_faults import Fate, WebhookFaults, WebhookSwitches

GIVES_UP_AFTER_S = 3 * 24 * 3600
"""Stripe tries for up to three days."""

ATTEMPTS_KEPT = 20
"""How many of a delivery's last attempts are remembered."""

WRONG_SECRET = "whsec_wrong"  # noqa: S105 - a secret of nobody's
USER_AGENT = "Stripe/1.0 (+https://stripe.com/docs/webhooks)"


@dataclass(frozen=True)
class Attempt:
    """One attempt to deliver: when by the sandbox's clock, what was answered, and how long it took."""

    at: float
    status: int | None
    error: str | None
    took_ms: float

    @property
    def confirmed(self) -> bool:
        """Whether the receiver took the event."""
        return self.status is not None and 200 <= self.status < 300


def signature(body: bytes, *, secrets: Iterable[str], at: int) -> str:
    """Sign a body as Stripe does: HMAC-SHA256 over the instant, a dot and the raw body, once for every secret."""
    macs = (hmac.new(secret.encode(), b"%d.%s" % (at, body), sha256) for secret in secrets)
    return ",".join([f"t={at}", *(f"v1={mac.hexdigest()}" for mac in macs)])


def payload(event: Object) -> bytes:
    """Write an event as it is sent: the same bytes at every attempt."""
    return orjson.dumps(shapes.shown(event), option=orjson.OPT_INDENT_2)


class Dispatcher:
    """Sends deliveries, each in a task of its own, so that they overtake each other as Stripe's do."""

    def __init__(self, records: Records, clock: Clock, settings: Settings) -> None:
        self._records = records
        self._clock = clock
        self._settings = settings
        self._tasks: set[asyncio.Task[None]] = set()
        self._client: httpx2.AsyncClient | None = None
        self.faults = WebhookFaults(self._send)

    def start(self) -> None:
        """Open the connections and go on with what an earlier run left undelivered."""
        limits = httpx2.Limits(max_connections=200, max_keepalive_connections=200, keepalive_expiry=60)
        self._client = httpx2.AsyncClient(timeout=self._settings.webhook_timeout_s, limits=limits, trust_env=False)
        waiting = (each for each in self._records.oldest_first("sandbox.delivery") if each["state"] == "pending")
        for delivery in list(waiting):
            self._send(delivery["id"])

    async def close(self) -> None:
        """Stop all sending; what is undelivered stays so."""
        self.faults.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._client:
            await self._client.aclose()

    def submit(self, deliveries: Iterable[str]) -> None:
        """Begin to send new deliveries, as far as the switches let them through."""
        for name in deliveries:
            delivery = self._delivery(name)
            fate = self.faults.fate(self._event(delivery)["type"])
            if fate.dropped:
                self._keep(delivery, state="dropped")
                continue
            if fate != Fate():
                self._keep(delivery, fate=asdict(fate), due_at=self._clock.time() + fate.delay_s)
            self.faults.order(name)

    def switch(self, switches: WebhookSwitches) -> None:
        """Put other faults in force for what is sent from now on."""
        self.faults.switch(switches)

    async def attempt(self, name: str, *, offset_s: int = 0, secret: str | None = None) -> Attempt:
        """Send a delivery once, now, and note what came of it.

        `offset_s` moves the signed instant; `secret` signs with another secret than the endpoint's.
        """
        attempt = await self._post(self._delivery(name), offset_s=offset_s, secret=secret)
        delivery = self._delivery(name)
        state = "delivered" if attempt.confirmed else delivery["state"]
        attempts = [*delivery["attempts"], asdict(attempt)][-ATTEMPTS_KEPT:]
        self._keep(delivery, state=state, tries=delivery["tries"] + 1, attempts=attempts)
        return attempt

    def _send(self, name: str) -> None:
        self._spawn(self._deliver(name))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, name: str) -> None:
        fate = Fate(**self._delivery(name).get("fate", {}))
        await self._wait(name, fate)
        for _ in range(fate.repeats):
            self._spawn(self._repeat(name))
        secret = WRONG_SECRET if fate.signed_wrongly else None
        for pause_s in self._pauses():
            await self.faults.flowing.wait()
            if self._is_settled(name) or (await self.attempt(name, secret=secret)).confirmed:
                return
            secret = None
            await asyncio.sleep(pause_s)

    async def _wait(self, name: str, fate: Fate) -> None:
        await asyncio.sleep(fate.delay_ms / 1000)
        while fate.delay_s and self._clock.time() < self._delivery(name)["due_at"]:  # noqa: ASYNC110 - a file moves it
            await asyncio.sleep(REREAD_EVERY_S)

    async def _repeat(self, name: str) -> None:
        await self.faults.flowing.wait()
        await self.attempt(name)

    def _is_settled(self, name: str) -> bool:
        delivery = self._delivery(name)
        too_old = self._clock.now() > (delivery.get("due_at") or delivery["created"]) + GIVES_UP_AFTER_S
        if delivery["state"] == "pending" and (too_old or self._endpoint(delivery) is None):
            self._keep(delivery, state="failed")
            return True
        return bool(delivery["state"] != "pending")

    def _pauses(self) -> Iterator[float]:
        for tries in count():
            yield min(self._settings.retry_first_s * 2 ** min(tries, 32), self._settings.retry_longest_s)

    async def _post(self, delivery: Object, *, offset_s: int, secret: str | None) -> Attempt:
        endpoint = self._endpoint(delivery)
        if self._client is None or endpoint is None:
            return Attempt(self._clock.time(), None, "there is no such endpoint any more", 0)
        body = payload(self._event(delivery))
        secrets = [secret] if secret else self.faults.secrets(endpoint["_secret"])
        signed = signature(body, secrets=secrets, at=self._clock.now() + offset_s)
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": USER_AGENT,
            "Stripe-Signature": signed,
        }
        at, began = self._clock.time(), time.monotonic()
        try:
            status, error = (await self._client.post(endpoint["url"], content=body, headers=headers)).status_code, None
        except (httpx2.HTTPError, OSError) as problem:
            status, error = None, f"{type(problem).__name__}: {problem}"
        return Attempt(at, status, error, round((time.monotonic() - began) * 1000, 2))

    def _delivery(self, name: str) -> Object:
        delivery = self._records.get("sandbox.delivery", name)
        if delivery is None:
            raise LookupError(name)
        return delivery

    def _event(self, delivery: Object) -> Object:
        event = self._records.get("event", delivery["event"])
        if event is None:
            raise LookupError(delivery["event"])
        return event

    def _endpoint(self, delivery: Object) -> Object | None:
        return self._records.get("webhook_endpoint", delivery["endpoint"])

    def _keep(self, delivery: Object, **changes: Any) -> None:
        self._records.put({**delivery, **changes})
        self._records.commit()
