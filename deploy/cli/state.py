"""What a shell can learn of a running stack."""

import json
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded.stack import Addresses


class NotRunningError(Exception):
    """No stack runs here."""


@dataclass(frozen=True, slots=True)
class State:
    """Where a running stack answers, and its services' settings."""

    addresses: Addresses
    environments: dict[str, dict[str, str]]

    def database_url(self, service: str) -> str:
        """Tell where a service's database is, as the service's own role."""
        return self.environments[service][f"SCRIP_{service.upper()}_DATABASE_URL"]


def read_state(folder: Path) -> State:
    """Read what the stack in this data folder wrote of itself. Raises NotRunningError."""
    try:
        state = json.loads((folder / "stack.json").read_text("utf-8"))
    except FileNotFoundError as error:
        raise NotRunningError(f"no stack runs in {folder}: start one with `make up`") from error
    return State(Addresses(**state["addresses"]), state["environments"])
