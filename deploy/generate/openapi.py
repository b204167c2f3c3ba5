"""The services' HTTP APIs as OpenAPI documents, from the very routers they serve, made without any server."""

import inspect
import pkgutil
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from types import ModuleType
from typing import Any

from fastapi import APIRouter, FastAPI

from deploy.generate.documents import REFERENCE, Documents, to_json
from libs.chassis.http import create_app
from libs.contracts.catalogue import Catalogue
from libs.contracts.price_book import PriceBook
from services.credits import api as credits_api
from services.gateway import api as gateway_api
from services.gateway.api.door import Door
from services.gateway.clients.payments import PaymentsClient
from services.notifications import api as notifications_api
from services.payments import api as payments_api
from services.payments.domain.quotes import Terms
from services.payments.domain.return_addresses import ReturnAddresses

_NOTHING: Any = None
"""In place of what answers requests: nobody asks."""


def documents() -> Documents:
    """Write a document per service."""
    return {REFERENCE / f"openapi-{service}.json": to_json(app(service).openapi()) for service in _ROUTERS}


def app(service: str) -> FastAPI:
    """Make a service's app as the service makes it, to be described and not to be run."""
    made = create_app(f"Scrip {service}", checks={})
    for router in _ROUTERS[service]():
        made.include_router(router)
    return made


def _gateway() -> list[APIRouter]:
    """Make the routers of every module of the gateway's that has some."""
    door = Door(_NOTHING, tokens=_NOTHING, key_uses=_NOTHING, limits=_NOTHING, rates=_NOTHING, clock=_NOTHING)
    needed = {"door": door, "payments": PaymentsClient(_NOTHING), "further_paths": ()}
    return [_router(module, **needed) for module in _modules(gateway_api)]


def _payments() -> list[APIRouter]:
    sold = Catalogue(name="nothing", price_book=PriceBook(version="none"))
    terms = Terms(sold, ReturnAddresses(frozenset()), checkout_life=timedelta(), payment_life=timedelta())
    needed = {"terms": terms, "catalogue": sold, "publishable_key": ""}
    return [_router(module, **needed) for module in _modules(payments_api)]


def _credits() -> list[APIRouter]:
    return [_router(module) for module in _modules(credits_api)]


def _notifications() -> list[APIRouter]:
    return [_router(notifications_api)]


_ROUTERS: dict[str, Callable[[], list[APIRouter]]] = {
    "gateway": _gateway,
    "payments": _payments,
    "credits": _credits,
    "notifications": _notifications,
}


def _modules(api: ModuleType) -> list[ModuleType]:
    """Find the modules of a package that have routes."""
    modules = [import_module(f"{api.__name__}.{found.name}") for found in pkgutil.iter_modules(api.__path__)]
    return [module for module in modules if hasattr(module, "routes")]


def _router(module: ModuleType, **needed: object) -> APIRouter:
    """Make a module's router, with what making it needs; what only answering needs is nothing."""
    parameters = inspect.signature(module.routes).parameters
    made: APIRouter = module.routes(**{name: needed.get(name, _NOTHING) for name in parameters})
    return made
