"""Calls that go wrong on purpose: the ways in which Stripe's outcome can stay unknown to its caller."""

from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

FaultKind = Literal[
    "hang_before", "reset_before", "500_before", "429", "409", "slow", "hang_after", "reset_after", "500_after"
]
"""What goes wrong, and whether before anything was done or after everything was committed."""


class Fault(BaseModel):
    """One rule: which calls go wrong, how, and how often."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: FaultKind
    method: str = Field("*", description="GET, POST, DELETE or a pattern")
    path: str = Field("/v1/*", description="path or a pattern of it: /v1/payment_intents/*/confirm")
    skip: int = Field(0, ge=0, description="how many matching calls go well first")
    count: int | None = Field(1, ge=1, description="how many then go wrong; null until the rule is taken away")
    seconds: float = Field(30, gt=0, description="how long a hang or a slow call takes")
    saved: bool | None = Field(
        None, description="whether a 500 is saved under its idempotency key; by default if something was done"
    )

    def concerns(self, method: str, path: str) -> bool:
        """Tell whether a call falls under this rule."""
        return fnmatchcase(method, self.method) and fnmatchcase(path, self.path)

    @property
    def saves_its_answer(self) -> bool:
        """Whether its 500 is what a retry under the same key gets, as Stripe's documentation has it."""
        return self.kind == "500_after" if self.saved is None else self.saved


class ActiveFault(BaseModel):
    """A rule and how often it was met."""

    rule: Fault
    seen: int = 0
    struck: int = 0

    def take(self, method: str, path: str) -> Fault | None:
        """Give the rule if this call is one that goes wrong."""
        if not self.rule.concerns(method, path):
            return None
        self.seen += 1
        if self.seen <= self.rule.skip or (self.rule.count is not None and self.struck >= self.rule.count):
            return None
        self.struck += 1
        return self.rule


class Faults:
    """The rules in force, asked in their order."""

    def __init__(self) -> None:
        self.active: list[ActiveFault] = []

    def replace(self, rules: list[Fault]) -> None:
        """Put these rules in force, and no others."""
        self.active = [ActiveFault(rule=rule) for rule in rules]

    def take(self, method: str, path: str) -> Fault | None:
        """Give the first rule by which this call goes wrong, and count it."""
        for fault in self.active:
            if rule := fault.take(method, path):
                return rule
        return None


class HungUpError(Exception):
    """The connection is to be broken without an answer."""


Wait = Callable[[float], Awaitable[None]]
"""Waits for so many seconds, or until the caller has gone."""


async def strike_before(fault: Fault | None, wait: Wait) -> None:
    """Let a call hang or break before anything was done."""
    if fault is None:
        return
    if fault.kind == "hang_before":
        await wait(fault.seconds)
    if fault.kind in ("hang_before", "reset_before"):
        raise HungUpError


async def strike_after(fault: Fault | None, wait: Wait) -> None:
    """Let a call hang or break after everything was committed."""
    if fault is None:
        return
    if fault.kind == "hang_after":
        await wait(fault.seconds)
    if fault.kind in ("hang_after", "reset_after"):
        raise HungUpError
