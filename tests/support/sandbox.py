"""The Stripe sandbox's switches and views, as tests use them."""

from typing import Any

import httpx2

from deploy.cli.customer import wait_for
from libs.contracts import ids
from libs.contracts.http.payments_v1 import Purchase


class Sandbox:
    """A running sandbox, seen from beside."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http

    async def webhooks(self, **switches: Any) -> None:
        """Have webhooks go wrong by these switches, which the sandbox's README lists."""
        (await self.http.put("/sandbox/webhooks", json=switches)).raise_for_status()

    async def faults(self, *rules: dict[str, Any]) -> None:
        """Have calls go wrong by these rules."""
        (await self.http.put("/sandbox/faults", json={"faults": list(rules)})).raise_for_status()

    async def calm(self) -> None:
        """End all faults."""
        await self.webhooks()
        await self.faults()

    async def books(self) -> dict[str, Any]:
        """Read its books."""
        found: dict[str, Any] = (await self.http.get("/sandbox/books")).json()
        return found

    async def payments_of(self, purchase: Purchase) -> list[dict[str, Any]]:
        """Read what its books have for a purchase."""
        name = ids.show("purchase", _id(purchase))
        return [p for p in (await self.books())["payment_intents"] if p["metadata"].get("purchase") == name]

    async def events(self, purchase: Purchase, *types: str) -> list[dict[str, Any]]:
        """Read the events about a purchase's payment, of these types or of all, oldest first."""
        intents = {payment["id"] for payment in await self.payments_of(purchase)}
        found = (await self.http.get("/sandbox/events")).json()["data"]
        return [
            event
            for event in found
            if (not types or event["type"] in types) and intents & _named(event["data"]["object"])
        ]

    async def redeliver(self, event: dict[str, Any], *, times: int = 1, concurrently: bool = True) -> Any:
        """Deliver an event again, at once; answers what became of each attempt."""
        body = {"times": times, "concurrently": concurrently}
        answer = await self.http.post(f"/sandbox/events/{event['id']}/redeliver", json=body)
        return answer.raise_for_status().json()

    async def forge(self, event: dict[str, Any], **wrong: Any) -> Any:
        """Deliver an event signed wrongly: timestamp_offset_s, secret."""
        answer = await self.http.post(f"/sandbox/events/{event['id']}/resend_with", json=wrong)
        return answer.raise_for_status().json()

    async def inject(self, type: str, *, like: str | None = None, **changed: Any) -> Any:
        """Send an event about an object that is not in the books, or is there otherwise."""
        body = {"type": type, "like": like, "object": changed}
        return (await self.http.post("/sandbox/events", json=body)).raise_for_status().json()

    async def delivered(self, event: dict[str, Any]) -> None:
        """Wait until an event has been answered with 2xx."""

        async def look() -> bool:
            found = (await self.http.get("/sandbox/deliveries", params={"event": event["id"]})).json()["data"]
            return bool(found) and all(delivery["state"] == "delivered" for delivery in found)

        await wait_for(look)


def _named(item: dict[str, Any]) -> set[str]:
    return {value for value in (item.get("id"), item.get("payment_intent")) if isinstance(value, str)}


def _id(purchase: Purchase) -> Any:
    return purchase.id
