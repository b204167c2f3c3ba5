"""One change of the sandbox's state, as an operation sees it."""

from dataclasses import dataclass, field
from typing import Any

from deploy.stripe_sandbox.errors import NoSuchObjectError, NotFoundError, Object
from deploy.stripe_sandbox.ids import new_id
from deploy.stripe_sandbox.records import Records
from deploy.stripe_sandbox.settings import Settings


@dataclass(frozen=True)
class Call:
    """Who asks, when, and what may be read and changed on the way.

    Without a request it is the sandbox itself that acts: time passing, a page, a switch.
    """

    records: Records
    settings: Settings
    now: int
    base_url: str
    request_id: str | None = None
    idempotency_key: str | None = None
    publishable: bool = False
    """Made with a publishable key, as a browser does: it sees and may do less."""
    search_lag_s: float = 0
    """How far behind a search is."""
    deliveries: list[str] = field(default_factory=list)
    """Webhook deliveries to begin once this change is committed."""
    due: list[tuple[float, str]] = field(default_factory=list)
    """What this change asks to be done later: when, and by which record."""

    def put(self, item: Object, **changes: Any) -> Object:
        """Keep an object with these changes, and give it as it now is."""
        changed = {**item, **changes}
        self.records.put(changed)
        return changed

    def find(self, kind: str, name: str) -> Object:
        """Give the object that the address names, or raise NotFoundError."""
        item = self.records.get(kind, name)
        if item is None:
            raise NotFoundError(kind, name, param="intent" if kind.endswith("_intent") else "id")
        return item

    def named(self, kind: str, name: str, param: str) -> Object:
        """Give the living object that a parameter names, or raise NoSuchObjectError."""
        item = self.records.get(kind, name)
        if item is None or item.get("deleted"):
            raise NoSuchObjectError(kind, name, param)
        return item

    def schedule(self, task: str, subject: str, *, at: float) -> None:
        """Have `task` done to an object once the sandbox's clock shows `at`."""
        name = new_id("due")
        self.records.put({"object": "sandbox.due", "id": name, "task": task, "subject": subject, "at": at})
        self.due.append((at, name))
