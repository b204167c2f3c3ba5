"""The sandbox as a server on a port."""

import socket

import uvicorn

from deploy.stripe_sandbox.app import create_app
from deploy.stripe_sandbox.connection import BreakableConnection
from deploy.stripe_sandbox.settings import Settings


def serve(settings: Settings) -> None:
    """Listen and answer until told to stop; the first line printed is the address."""
    listener = socket.create_server((settings.host, settings.port), backlog=512)
    base_url = (settings.public_url or f"http://{settings.host}:{listener.getsockname()[1]}").rstrip("/")
    config = uvicorn.Config(
        create_app(settings, base_url),
        http=BreakableConnection,
        ws="none",
        access_log=False,
        log_level="warning" if settings.quiet else "info",
        timeout_graceful_shutdown=1,
        lifespan="on",
    )
    print(f"Stripe sandbox on {base_url}", flush=True)
    uvicorn.Server(config).run(sockets=[listener])
