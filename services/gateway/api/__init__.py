"""HTTP in: parse, call one operation, shape the answer; one module per noun.

Each module's `routes` makes its router from what the routes need. `door` says who may come in, and how often.
"""

from typing import Any

from libs.contracts.errors import Problem

_MEANINGS = {
    400: "The request is not complete",
    401: "A valid token or key is needed",
    402: "Not paid, or not enough credits",
    403: "The token or key may not do this",
    404: "There is no such thing, or it is not yours",
    409: "It cannot be done as things stand",
    413: "The body is too large",
    422: "The request cannot be taken as it is",
    429: "Too many requests; `Retry-After` says when to come back",
    503: "Something we need does not answer; try the same request again",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe, for the API's document, the problems that a route may answer besides 429 and 503."""
    described = {status: {"model": Problem, "description": _MEANINGS[status]} for status in (*statuses, 429, 503)}
    return dict(sorted(described.items()))
