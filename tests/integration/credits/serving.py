"""The credits service in this process, put together as `python -m services.credits api` does, and asked over HTTP."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2

from deploy.embedded.databases import ServiceDatabase
from deploy.embedded.infrastructure import Infrastructure
from deploy.embedded.ports import free_ports
from libs.chassis import migrations
from libs.chassis.runner import Part
from libs.chassis.service import lay
from libs.chassis.tokens import Signer, new_key
from libs.contracts import ids
from libs.contracts.catalogue import Catalogue
from services.credits.app import compose
from services.credits.settings import Settings

SERVICE = Path(__file__).parents[3] / "services" / "credits"
SCHEMA = migrations.read("chassis", migrations.PLUMBING) + migrations.read("credits", SERVICE / "migrations")
CALLER = "key:key_tests"
GATEWAYS_KEY = "gateway.json"
"""In the folder of a running API: the key by which it is asked; payments has one too."""
PAYMENTS_KEY = "payments.json"


@dataclass
class Api:
    """A running API of the credits service."""

    http: httpx2.AsyncClient
    signer: Signer

    async def post(
        self,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        caller: str = CALLER,
        account: UUID | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx2.Response:
        """Have something done, under a key of its own unless one is named; a body of bytes goes as it is."""
        given = {
            "Content-Type": "application/json",
            "Idempotency-Key": key or uuid4().hex,
            "Scrip-Caller": caller,
            **self._token(),
            **(headers or {}),
        }
        content = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        params = {"account": ids.show("account", account)} if account else None
        return await self.http.post(f"/internal/v1{path}", content=content, headers=given, params=params)

    async def get(self, path: str, *, account: UUID | None = None, **params: str | int) -> httpx2.Response:
        """Ask."""
        asked = params | ({"account": ids.show("account", account)} if account else {})
        return await self.http.get(f"/internal/v1{path}", params=asked, headers=self._token())

    async def put(self, path: str, body: Any, *, caller: str = CALLER) -> httpx2.Response:
        """Have something be so."""
        return await self.http.put(f"/internal/v1{path}", json=body, headers={"Scrip-Caller": caller, **self._token()})

    async def delete(self, path: str) -> httpx2.Response:
        """Have something be gone."""
        return await self.http.delete(f"/internal/v1{path}", headers=self._token())

    async def charge(
        self, account: UUID, amount: str | None = "1", *, key: str | None = None, **more: Any
    ) -> httpx2.Response:
        """Charge an account; gives the answer."""
        body = {"account": ids.show("account", account), **({"amount": amount} if amount else {}), **more}
        return await self.post("/charges", body, key=key)

    async def hold(
        self, account: UUID, amount: str | None = "1", *, key: str | None = None, **more: Any
    ) -> httpx2.Response:
        """Place a hold; gives the answer."""
        body = {"account": ids.show("account", account), **({"amount": amount} if amount else {}), **more}
        return await self.post("/holds", body, key=key)

    async def placed(self, account: UUID, amount: str, **more: Any) -> str:
        """Place a hold; gives its id."""
        answer = await self.hold(account, amount, **more)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def _token(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.signer.token('credits')}"}


@asynccontextmanager
async def serving(
    database: ServiceDatabase, infrastructure: Infrastructure, *, catalogue: Catalogue, folder: Path
) -> AsyncIterator[Api]:
    """Run the API."""
    keys, port = folder / "services.json", free_ports(1)[0]
    known = {name: new_key(name) for name in ("gateway", "payments")}
    keys.write_text(json.dumps({"keys": [key.as_dict(private=False) for key in known.values()]}))
    for name, key in known.items():
        (folder / f"{name}.json").write_text(json.dumps(key.as_dict(private=True)))
    (folder / "catalogue.yaml").write_text(catalogue.model_dump_json())
    given: dict[str, Any] = {
        "database_url": database.app_url,
        "catalogue": folder / "catalogue.yaml",
        "kafka": infrastructure.kafka,
        "port": port,
        "service_keys_file": keys,
        "clock_offset_file": folder / "clock",
    }
    settings = Settings(**given)
    parts = await compose(settings, await lay("credits", "api", settings, SCHEMA))
    started: list[Part] = []
    try:
        for part in parts:
            await part.start()
            started.append(part)
        url = f"http://127.0.0.1:{port}"
        async with httpx2.AsyncClient(base_url=url, timeout=30, trust_env=False) as http:
            yield Api(http, Signer("gateway", known["gateway"]))
    finally:
        for part in reversed(started):
            await part.stop()


def problem(answer: httpx2.Response) -> tuple[int, str]:
    """Tell a problem's status and code."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["code"]
