"""Requests as they come and answers as they go, in Stripe's HTTP."""

from dataclasses import dataclass

import orjson
from starlette.requests import Request
from starlette.responses import Response

from deploy.stripe_sandbox.errors import Object
from deploy.stripe_sandbox.ids import new_id
from deploy.stripe_sandbox.settings import API_VERSION


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    request_id: str
    method: str
    path: str
    query: str
    body: str
    ids: dict[str, str]
    """The ids in the path, by the names that the route gives them."""
    authorization: str | None
    idempotency_key: str | None
    stripe_version: str | None

    @property
    def form(self) -> str:
        """Where the parameters are: in the body of a POST, else in the query."""
        return self.body if self.method == "POST" else self.query


@dataclass(frozen=True)
class Reply:
    """An answer before it is written."""

    status: int
    body: Object
    replayed_from: str | None = None
    """The request that was first answered so, under the same idempotency key."""


async def read(request: Request) -> Asked:
    """Take a request in."""
    headers = request.headers
    return Asked(
        request_id=new_id("req", 14),
        method=request.method,
        path=request.url.path,
        query=request.url.query,
        body=(await request.body()).decode(errors="replace"),
        ids=dict(request.path_params),
        authorization=headers.get("authorization"),
        idempotency_key=headers.get("idempotency-key"),
        stripe_version=headers.get("stripe-version"),
    )


def written(asked: Asked, reply: Reply) -> Response:
    """Write an answer out, indented as Stripe's are."""
    headers = {
        "Request-Id": asked.request_id,
        "Stripe-Version": asked.stripe_version or API_VERSION,
        "Access-Control-Expose-Headers": "Request-Id",
    }
    if asked.idempotency_key and asked.method == "POST":
        headers["Idempotency-Key"] = asked.idempotency_key
        headers["Original-Request"] = reply.replayed_from or asked.request_id
    if reply.replayed_from:
        headers["Idempotent-Replayed"] = "true"
    if reply.status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="Stripe"'
    body = orjson.dumps(reply.body, option=orjson.OPT_INDENT_2)
    return Response(body, reply.status, headers, media_type="application/json")
