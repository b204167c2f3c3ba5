"""The credits service's own API, as a command asks it on behalf of staff."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from deploy.cli.state import State
from libs.chassis.service_client import ServiceClient
from libs.chassis.tokens import signer


@asynccontextmanager
async def credits_api(state: State) -> AsyncIterator[ServiceClient]:
    """Open the credits service of a running stack, with the gateway's key."""
    key = Path(state.environments["gateway"]["SCRIP_GATEWAY_SERVICE_KEY_FILE"])
    client = ServiceClient("credits", base_url=state.addresses.credits, signer=signer("gateway", key))
    try:
        yield client
    finally:
        await client.stop()
