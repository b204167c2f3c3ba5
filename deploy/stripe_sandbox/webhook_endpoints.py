"""Webhook endpoints: who listens, to what, and the secret that signs."""

from typing import Annotated, Literal

from pydantic import Field

from deploy.stripe_sandbox import shapes
from deploy.stripe_sandbox.call import Call
from deploy.stripe_sandbox.errors import InvalidRequestError, Object
from deploy.stripe_sandbox.ids import new_id
from deploy.stripe_sandbox.lists import ListParams, page
from deploy.stripe_sandbox.params import ClearableMetadata, ClearableText, Flag, NoParams, Params, Text, Texts, merged
from deploy.stripe_sandbox.routes import Routes

routes = Routes()

Types = Annotated[Texts, Field(min_length=1)]


class EndpointCreate(Params):
    """A new endpoint."""

    url: Text
    enabled_events: Types
    api_version: Literal["2026-10-28.endive"] = "2026-10-28.endive"
    description: ClearableText = None
    metadata: ClearableMetadata = {}


class EndpointUpdate(Params):
    """A change of an endpoint."""

    url: Text | None = None
    enabled_events: Types | None = None
    description: ClearableText = None
    disabled: Flag | None = None
    metadata: ClearableMetadata = {}


@routes.post("/v1/webhook_endpoints")
def create_endpoint(call: Call, params: EndpointCreate) -> Object:
    """Make an endpoint; this answer alone shows its secret."""
    _check_url(params.url)
    endpoint = call.put(
        shapes.webhook_endpoint(
            new_id("we"),
            created=call.now,
            api_version=params.api_version,
            description=params.description,
            enabled_events=params.enabled_events,
            metadata=merged({}, params.metadata),
            url=params.url,
        ),
        _secret=new_id("whsec", 32),
    )
    return {**endpoint, "secret": endpoint["_secret"]}


@routes.get("/v1/webhook_endpoints")
def list_endpoints(call: Call, params: ListParams) -> Object:
    """List endpoints."""
    return page(call, "webhook_endpoint", params, where=lambda _: True, url="/v1/webhook_endpoints")


@routes.get("/v1/webhook_endpoints/{webhook_endpoint}")
def retrieve_endpoint(call: Call, _params: Params, webhook_endpoint: str) -> Object:
    """Give an endpoint."""
    return call.find("webhook_endpoint", webhook_endpoint)


@routes.post("/v1/webhook_endpoints/{webhook_endpoint}")
def update_endpoint(call: Call, params: EndpointUpdate, webhook_endpoint: str) -> Object:
    """Change an endpoint."""
    before = call.find("webhook_endpoint", webhook_endpoint)
    given = params.given("url", "enabled_events", "description")
    if params.url:
        _check_url(params.url)
    if params.disabled is not None:
        given["status"] = "disabled" if params.disabled else "enabled"
    return call.put(before, **given, metadata=merged(before["metadata"], params.metadata))


@routes.delete("/v1/webhook_endpoints/{webhook_endpoint}")
def delete_endpoint(call: Call, _params: NoParams, webhook_endpoint: str) -> Object:
    """Delete an endpoint; what it has not heard it never will."""
    endpoint = call.find("webhook_endpoint", webhook_endpoint)
    call.records.remove("webhook_endpoint", webhook_endpoint)
    return shapes.deleted(endpoint)


def _check_url(url: str) -> None:
    if not url.startswith(("http://", "https://")):
        raise InvalidRequestError("Invalid URL: URL must be publicly accessible.", code="url_invalid", param="url")
