"""Every route of every service when all its database connections are taken: an answer soon, and one that says so."""

import asyncio
import importlib
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
from fastapi import FastAPI

from deploy.embedded.databases import SERVICES
from deploy.embedded.infrastructure import Infrastructure
from deploy.embedded.settings import PROJECT
from libs.chassis import pool as chassis_pool
from libs.chassis.pool import Pool
from libs.chassis.runner import HttpServer, Part
from libs.chassis.service import lay
from libs.chassis.tokens import Signer, new_key
from libs.contracts import errors as codes
from libs.contracts import ids
from libs.contracts.errors import CODES
from services.credits.operations.writer import Writer
from tests.support.databases import ServicePool
from tests.support.ledger import CATALOGUE

GATEWAY = new_key("gateway")
BODIES: dict[str, dict[str, Any]] = {
    "/v1/auth/register": {"email": "other@example.com", "password": "correct horse battery", "name": "Ada"},
    "/v1/auth/login": {"email": "ada@example.com", "password": "correct horse battery"},
    "/v1/auth/refresh": {"refresh_token": "x" * 43},
    "/v1/auth/logout": {"refresh_token": "x" * 43},
    "/v1/api-keys": {"name": "a service", "scopes": ["usage:write"]},
    "/v1/purchases": {"pack": "starter"},
    "/internal/v1/payment-methods": {
        "buyer": {
            "account": ids.show("account", ids.new_id()),
            "user": ids.show("user", ids.new_id()),
            "email": "ada@example.com",
            "name": "Ada",
        }
    },
    "/internal/v1/promo-codes/{code}": {"gives": {"kind": "percent", "percent": 10}},
    "/internal/v1/voucher-batches": {"count": 1, "credits": "1", "note": "a note"},
    "/internal/v1/vouchers/redeem": {
        "code": "0000-0000-0000-0000",
        "account": ids.show("account", ids.new_id()),
        "user": ids.show("user", ids.new_id()),
    },
    "/internal/v1/catalogue/plan": CATALOGUE.model_dump(mode="json"),
    "/internal/v1/catalogue/apply": CATALOGUE.model_dump(mode="json"),
    "/internal/v1/reconciliation/findings/{finding}/resolve": {"reason": "a reason"},
    "/internal/v1/voucher-lots": {"vouchers": [ids.show("voucher", ids.new_id())]},
    "/internal/v1/charges": {"account": ids.show("account", ids.new_id()), "amount": "1"},
    "/internal/v1/charges/batch": {"charges": [{}]},
    "/internal/v1/holds": {"account": ids.show("account", ids.new_id()), "amount": "1"},
    "/internal/v1/holds/{hold}/capture": {"amount": "1"},
    "/internal/v1/holds/{hold}/extend": {"expires_in": 60},
}
OF_AN_ACCOUNT = (
    "/internal/v1/purchases",
    "/internal/v1/gift-cards",
    "/internal/v1/payment-methods",
    "/internal/v1/charges/{",
    "/internal/v1/holds/{",
)


@dataclass
class Service:
    """A service put together in this process, its pools and its app."""

    name: str
    app: FastAPI
    pools: list[Pool]
    http: httpx2.AsyncClient
    token: str = ""

    def routes(self) -> list[tuple[str, str]]:
        """List the methods and paths of its API."""
        return [(method, path) for path, methods in self.app.openapi()["paths"].items() for method in methods]

    async def ask(self, method: str, path: str) -> httpx2.Response:
        """Ask one of its routes something that it would have to look up."""
        headers = {
            "authorization": f"Bearer {self.token or Signer('gateway', GATEWAY).token(self.name)}",
            "idempotency-key": "key",
            "scrip-caller": "staff:ada",
        }
        body = BODIES.get(path, {})
        params = {"account": ids.show("account", ids.new_id())} if path.startswith(OF_AN_ACCOUNT) else None
        if "/reports/" in path:
            params = {"since": "2026-11-01", "until": "2026-11-30"}
        path = path.replace("{code}", "SPRING").replace("{batch}", "{voucher_batch}")
        for kind in ids.PREFIXES:
            path = path.replace("{" + kind + "}", ids.show(kind, ids.new_id()))
        return await self.http.request(method, path, headers=headers, json=body, params=params)


@pytest.fixture
def environment(infrastructure: Infrastructure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "services.json").write_text(json.dumps({"keys": [GATEWAY.as_dict(private=False)]}))
    (tmp_path / "private.json").write_text(json.dumps(GATEWAY.as_dict(private=True)))
    settings = {
        "SCRIP_SERVICE_KEYS_FILE": str(tmp_path / "services.json"),
        "SCRIP_GATEWAY_SERVICE_KEY_FILE": str(tmp_path / "private.json"),
        "SCRIP_PAYMENTS_SERVICE_KEY_FILE": str(tmp_path / "private.json"),
        "SCRIP_GATEWAY_ACCESS_KEY_FILE": str(tmp_path / "private.json"),
        "SCRIP_CATALOGUE": str(PROJECT / "deploy" / "catalogues" / "video.yaml"),
        "SCRIP_CREDITS_URL": "http://127.0.0.1:1",
        "SCRIP_PAYMENTS_URL": "http://127.0.0.1:1",
        "SCRIP_KAFKA": infrastructure.kafka,
        "SCRIP_REDIS_URL": infrastructure.redis_url,
        "SCRIP_SMTP_URL": infrastructure.smtp_url,
        "STRIPE_SECRET_KEY": "sk_test_none",
        "STRIPE_PUBLISHABLE_KEY": "pk_test_none",
        "STRIPE_WEBHOOK_SECRET": "whsec_none",
        "SCRIP_STRIPE_API_BASE": "http://127.0.0.1:1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return tmp_path


@asynccontextmanager
async def put_together(name: str, service_pool: ServicePool, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    database = await service_pool.database(name)
    monkeypatch.setenv(f"SCRIP_{name.upper()}_DATABASE_URL", database.app_url)
    monkeypatch.setenv(f"SCRIP_{name.upper()}_POOL_SIZE", "2")
    pools: list[Pool] = []
    make = Pool.__init__

    def noted(pool: Pool, *arguments: Any, **more: Any) -> None:
        make(pool, *arguments, **more | {"patience_seconds": 0.2})
        pools.append(pool)

    monkeypatch.setattr(chassis_pool.Pool, "__init__", noted)
    settings = importlib.import_module(f"services.{name}.settings").Settings()
    foundation = await lay(name, "api", settings, [])
    parts: list[Part] = await importlib.import_module(f"services.{name}.app").compose(settings, foundation)
    (server,) = [part for part in parts if isinstance(part, HttpServer)]
    app = cast("FastAPI", server._server.config.app)
    for part in parts:
        if isinstance(part, Writer):
            await part.start()
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://service", timeout=20) as http:
        yield Service(name, app, pools, http)
    for part in reversed(parts):
        if not isinstance(part, HttpServer):
            await part.stop()


@asynccontextmanager
async def all_taken(pools: list[Pool]) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for pool in pools:
            for _ in range(pool._pool.get_max_size()):
                await stack.enter_async_context(pool.connection())
        yield


@pytest.mark.parametrize("name", SERVICES)
async def test_every_route_answers_soon_when_all_connections_are_taken(
    name: str, environment: Path, service_pool: ServicePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with put_together(name, service_pool, monkeypatch) as service:
        if name == "gateway":
            ada = BODIES["/v1/auth/login"] | {"name": "Ada"}
            service.token = (await service.http.post("/v1/auth/register", json=ada)).json()["access_token"]
        asked = service.routes()
        async with all_taken(service.pools):
            answers = await asyncio.gather(*(service.ask(method, path) for method, path in asked))
        answered = dict(zip(asked, answers, strict=True))
        wrong = {route: answer.text for route, answer in answered.items() if answer.status_code == 500}
        assert wrong == {}
        assert all(answer.json()["code"] in CODES for answer in answers if answer.is_error)
        unavailable = [answer for answer in answers if answer.json().get("code") == codes.UNAVAILABLE.code]
        assert len(unavailable) > len(answers) / 2
