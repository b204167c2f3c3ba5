"""The services' own APIs, as a command asks them on behalf of staff."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from deploy.cli.state import State
from libs.chassis.service_client import ServiceClient
from libs.chassis.tokens import signer


@asynccontextmanager
async def credits_api(state: State) -> AsyncIterator[ServiceClient]:
    """Open the credits service of a running stack."""
    async with _opened(state, "credits", state.addresses.credits) as client:
        yield client


@asynccontextmanager
async def payments_api(state: State) -> AsyncIterator[ServiceClient]:
    """Open the payments service of a running stack."""
    async with _opened(state, "payments", state.addresses.payments) as client:
        yield client


@asynccontextmanager
async def _opened(state: State, service: str, url: str) -> AsyncIterator[ServiceClient]:
    """Open a service with the gateway's key."""
    key = Path(state.environments["gateway"]["SCRIP_GATEWAY_SERVICE_KEY_FILE"])
    client = ServiceClient(service, base_url=url, signer=signer("gateway", key))
    try:
        yield client
    finally:
        await client.stop()
