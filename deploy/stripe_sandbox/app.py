"""The sandbox as an application: Stripe's calls, the pages, and the switches, over one state."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deploy.stripe_sandbox import (
    balance,
    catalogue,
    charges,
    checkout,
    control,
    coupons,
    customers,
    disputes,
    events,
    fraud_warnings,
    incidents,
    pages,
    payment_intents,
    payment_methods,
    promotion_codes,
    refunds,
    scenarios,
    setup_intents,
    webhook_endpoints,
)
from deploy.stripe_sandbox.agenda import Agenda
from deploy.stripe_sandbox.routes import Operation
from deploy.stripe_sandbox.sandbox import Sandbox
from deploy.stripe_sandbox.settings import API_VERSION, Settings
from deploy.stripe_sandbox.wire import answer

PLAYED = (
    balance,
    catalogue,
    charges,
    checkout,
    coupons,
    customers,
    disputes,
    events,
    fraud_warnings,
    payment_intents,
    payment_methods,
    promotion_codes,
    refunds,
    setup_intents,
    webhook_endpoints,
)

Endpoint = Callable[[Request], Awaitable[Response]]


def operations() -> list[Operation]:
    """Give every call of Stripe's that is played, fixed paths before patterns of them."""
    played = [operation for module in PLAYED for operation in module.routes.operations]
    return sorted(played, key=lambda operation: operation.path.count("{"))


def create_app(settings: Settings, base_url: str) -> FastAPI:
    """Build the application; `base_url` is where browsers reach it."""
    sandbox = Sandbox(settings, base_url)
    if settings.scenario:
        scenarios.begin_from_file(sandbox, settings.scenario)
    app = FastAPI(
        title="Stripe sandbox",
        version=API_VERSION,
        lifespan=_alive,
        openapi_url="/sandbox/openapi.json",
        docs_url="/sandbox/docs",
        redoc_url=None,
    )
    app.state.sandbox = sandbox
    app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"])
    app.include_router(control.router)
    app.include_router(incidents.router)
    app.include_router(scenarios.router)
    app.include_router(pages.router)
    app.router.routes.extend(Route(each.path, _endpoint(sandbox, each), methods=[each.method]) for each in operations())
    every_method = ["GET", "POST", "DELETE", "PUT", "PATCH"]
    app.router.routes.append(Route("/v1/{rest:path}", _endpoint(sandbox, None), methods=every_method))
    return app


def _endpoint(sandbox: Sandbox, operation: Operation | None) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        return await answer(sandbox, operation, request)

    return endpoint


@asynccontextmanager
async def _alive(app: FastAPI) -> AsyncIterator[None]:
    sandbox: Sandbox = app.state.sandbox
    sandbox.dispatcher.start()
    agenda = asyncio.create_task(Agenda(sandbox).run())
    yield
    agenda.cancel()
    await asyncio.gather(agenda, return_exceptions=True)
    await sandbox.dispatcher.close()
    sandbox.close()
