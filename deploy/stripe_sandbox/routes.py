"""Which call of Stripe's API is played by which function."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, get_type_hints

from deploy.stripe_sandbox.errors import Object
from deploy.stripe_sandbox.params import NoParams

F = TypeVar("F", bound=Callable[..., Object])


@dataclass(frozen=True)
class Operation:
    """One call: where it lives, which parameters it takes, what it does.

    `run` takes the call, the parameters and the ids in the path by their names, all in one step of the event
    loop, and gives the answer's object.
    """

    method: str
    path: str
    params: type[NoParams]
    run: Callable[..., Any]
    publishable: bool
    """Whether a publishable key may make it."""


class Routes:
    """The calls of one module, gathered by decorators."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []

    def get(self, path: str, *, publishable: bool = False) -> Callable[[F], F]:
        """Play a GET."""
        return self._route("GET", path, publishable=publishable)

    def post(self, path: str, *, publishable: bool = False) -> Callable[[F], F]:
        """Play a POST."""
        return self._route("POST", path, publishable=publishable)

    def delete(self, path: str) -> Callable[[F], F]:
        """Play a DELETE."""
        return self._route("DELETE", path, publishable=False)

    def _route(self, method: str, path: str, *, publishable: bool) -> Callable[[F], F]:
        def gather(run: F) -> F:
            hints = get_type_hints(run)
            params = hints.get("params") or hints["_params"]
            self.operations.append(Operation(method, path, params, run, publishable))
            return run

        return gather
