"""Webhooks that go wrong on purpose: sent twice, late, in another order, signed otherwise, or never."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

WINDOW_CLOSES_AFTER_S = 1.0
"""A window into which nothing came for so long is let go, so that nothing waits for ever."""

Fraction = Annotated[float, Field(ge=0, le=1)]


class WebhookSwitches(BaseModel):
    """What is done to every delivery from now on; what is not said is as usual."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    duplicate: int = Field(0, ge=0, le=100, description="how many more times each is sent, at the same time")
    duplicated: Fraction = Field(1.0, description="the part that is sent more than once")
    delay_ms: int = Field(0, ge=0, description="how long each waits before its first attempt, in real time")
    delay_s: float = Field(0, ge=0, description="how long each waits by the sandbox's clock, which can be moved")
    delayed: Fraction = Field(1.0, description="the part that waits")
    reorder: int = Field(0, ge=0, description="how many are gathered, shuffled and then let go")
    drop: Fraction | list[str] = Field(0.0, description="the part that is never sent, or the event types that are not")
    wrong_signature: Fraction = Field(0.0, description="the part whose first attempt is signed with a wrong secret")
    secrets: list[str] = Field([], max_length=10, description="what signs, each with a signature, in place of the own")
    rotated: Fraction = Field(1.0, description="the part of the attempts that `secrets` sign")
    paused: bool = Field(False, description="nothing is sent until this is false again")
    seed: int = Field(0, description="what the shuffling and the dropping draw from")


@dataclass(frozen=True)
class Fate:
    """What becomes of one delivery."""

    dropped: bool = False
    repeats: int = 0
    delay_ms: int = 0
    delay_s: float = 0
    signed_wrongly: bool = False


class WebhookFaults:
    """The switches in force and what they hold back; `send` is called with what they let go."""

    def __init__(self, send: Callable[[str], None]) -> None:
        self._send = send
        self._window: list[str] = []
        self._closing: asyncio.TimerHandle | None = None
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.switches = WebhookSwitches()
        self._draw = random.Random(0)  # noqa: S311 - chance that a seed repeats, not secrecy

    def switch(self, switches: WebhookSwitches) -> None:
        """Put these switches in force and let go what the former ones held back in a window."""
        self.switches = switches
        self._draw = random.Random(switches.seed)  # noqa: S311 - chance that a seed repeats, not secrecy
        self._let_go()
        if switches.paused:
            self.flowing.clear()
        else:
            self.flowing.set()

    def fate(self, kind: str) -> Fate:
        """Draw what becomes of a delivery of an event of this type."""
        switches = self.switches
        drop = switches.drop
        if kind in drop if isinstance(drop, list) else self._hits(drop):
            return Fate(dropped=True)
        waits = self._hits(switches.delayed)
        return Fate(
            repeats=switches.duplicate if self._hits(switches.duplicated) else 0,
            delay_ms=switches.delay_ms if waits else 0,
            delay_s=switches.delay_s if waits else 0,
            signed_wrongly=self._hits(switches.wrong_signature),
        )

    def secrets(self, own: str) -> list[str]:
        """Give the secrets that sign an attempt now."""
        return self.switches.secrets if self.switches.secrets and self._hits(self.switches.rotated) else [own]

    def order(self, name: str) -> None:
        """Let a delivery go, at once or with its window."""
        if self.switches.reorder < 2:
            self._send(name)
            return
        self._window.append(name)
        if len(self._window) >= self.switches.reorder:
            self._let_go()
            return
        self._stop_closing()
        self._closing = asyncio.get_running_loop().call_later(WINDOW_CLOSES_AFTER_S, self._let_go)

    def close(self) -> None:
        """Forget what is held back."""
        self._stop_closing()

    def _hits(self, fraction: float) -> bool:
        return fraction >= 1 or (fraction > 0 and self._draw.random() < fraction)

    def _stop_closing(self) -> None:
        if self._closing:
            self._closing.cancel()
            self._closing = None

    def _let_go(self) -> None:
        self._stop_closing()
        self._draw.shuffle(self._window)
        for name in self._window:
            self._send(name)
        self._window.clear()
