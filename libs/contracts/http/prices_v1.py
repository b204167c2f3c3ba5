"""Versions of the price book: drafted, activated from an instant on, compared. For staff."""

from typing import Any, Literal

from pydantic import AwareDatetime

from .base import Answer, Request

PriceBookState = Literal["draft", "scheduled", "active", "superseded"]


class PriceBookVersion(Answer):
    """A version of the price book, without what it says."""

    version: str
    state: PriceBookState
    active_from: AwareDatetime | None
    """From when on usage is priced by it; null for a draft."""
    by: str
    """Who drafted it or, once it is more than a draft, activated it."""
    at: AwareDatetime
    """When."""


class PriceBookVersions(Answer):
    """All versions: first the drafts, then the others, the last one to become active first."""

    data: list[PriceBookVersion]


class PriceBookDocument(PriceBookVersion):
    """A version of the price book."""

    book: dict[str, Any]
    """What it says, as in a catalogue's `price_book`."""


class ActivationOrder(Request):
    """Have a draft become active."""

    active_from: AwareDatetime | None = None
    """From when on; a minute ahead at least, and a minute ahead if it is not said."""


class PriceBookChanges(Answer):
    """The difference between two versions."""

    since: str
    version: str
    changes: list[str]
    """In words, a line for each; none if they price alike."""
