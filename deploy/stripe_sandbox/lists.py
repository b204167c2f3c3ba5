"""Pages of a list: newest first, from or up to an object, as Stripe cuts them."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Annotated

from pydantic import Field

from deploy.stripe_sandbox import shapes
from deploy.stripe_sandbox.call import Call
from deploy.stripe_sandbox.errors import InvalidRequestError, Object
from deploy.stripe_sandbox.params import Params, Text, Whole


class ListParams(Params):
    """What every list takes."""

    limit: Annotated[Whole, Field(ge=1, le=100)] = 10
    starting_after: Text | None = None
    ending_before: Text | None = None


def page(
    call: Call,
    kind: str,
    params: ListParams,
    *,
    where: Callable[[Object], bool],
    url: str,
    shape: Callable[[Object], Object] = lambda item: item,
) -> Object:
    """Cut one page of a kind: those that `where` lets through, given as `shape` makes them."""
    walk = (item for item in _walk(call, kind, params) if where(item))
    found = list(islice(walk, params.limit + 1))
    items = [shape(item) for item in found[: params.limit]]
    if params.ending_before:
        items.reverse()
    return shapes.listing(items, url=url, has_more=len(found) > params.limit)


def _walk(call: Call, kind: str, params: ListParams) -> Iterator[Object]:
    if params.starting_after and params.ending_before:
        raise InvalidRequestError("You may only specify one of these parameters: starting_after, ending_before.")
    if params.ending_before:
        edge = call.named(kind, params.ending_before, "ending_before")
        return call.records.oldest_first(kind, newer_than=edge["id"])
    edge_id = call.named(kind, params.starting_after, "starting_after")["id"] if params.starting_after else None
    return call.records.newest_first(kind, older_than=edge_id)
