"""The catalogue as code: planned, applied, shown."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from libs.chassis.clock import Clock
from libs.chassis.internal_api import Caller, calling_service
from libs.chassis.pool import Pool
from libs.contracts.catalogue import Catalogue
from libs.contracts.http.catalogue_v1 import CataloguePlan, CatalogueProgress, CatalogueState
from services.payments.clients.stripe_catalogue import StripeCatalogue
from services.payments.operations import catalogue


def _catalogue(document: Annotated[dict[str, Any], Body()]) -> Catalogue:
    try:
        return Catalogue.of(document)
    except ValidationError as error:
        raise RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in error.errors()]) from error


CatalogueFile = Annotated[Catalogue, Depends(_catalogue)]


def routes(pool: Pool, stripe: StripeCatalogue, clock: Clock, running: Catalogue) -> APIRouter:
    """Make the routes."""
    router = APIRouter(prefix="/internal/v1", dependencies=[Depends(calling_service)])

    @router.get("/catalogue", operation_id="getCatalogue")
    async def show_catalogue() -> CatalogueState:
        """Show what was applied last: all that is sold or was, and what stands for it at Stripe."""
        return await catalogue.show(pool, stripe)

    @router.post("/catalogue/plan", operation_id="planCatalogue")
    async def plan_catalogue(file: CatalogueFile) -> CataloguePlan:
        """Say in words what applying a catalogue file, as JSON, would change. Nothing is changed."""
        return await catalogue.plan(pool, stripe, file, running=running, clock=clock)

    @router.post("/catalogue/apply", operation_id="applyCatalogue")
    async def apply_catalogue(file: CatalogueFile, caller: Caller) -> CatalogueProgress:
        """Take a step towards what a file says; to be repeated until nothing is left. Repeating it changes nothing."""
        return await catalogue.apply(pool, stripe, file, by=caller, clock=clock)

    return router
