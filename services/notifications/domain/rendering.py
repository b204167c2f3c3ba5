"""Rendering: messages become the words people read, by the templates.

A message has a folder with its subject, text and HTML; the layouts around them are shared. Everything shown comes from
strangers: HTML is escaped, a missing word is an error, and every text is made one line before it is shown, so that
nobody can write a header, or a paragraph of his own, into our mail.
"""

import unicodedata
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from jinja2 import BaseLoader, Environment, StrictUndefined, select_autoescape
from markupsafe import Markup

from libs.contracts import ids
from libs.contracts.catalogue import Unit
from libs.contracts.credits import MICRO, format_credits
from services.notifications.domain.messages import Message

_BIDIRECTIONAL = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True, slots=True)
class Content:
    """What a mail says, and to whom by name."""

    name: str
    subject: str
    text: str
    html: str


class Templates:
    """Turns messages into the words people read."""

    def __init__(self, loader: BaseLoader, *, unit: Unit, sender: str) -> None:
        self._jinja = Environment(
            loader=loader,
            autoescape=select_autoescape(["html"], default=False),
            undefined=StrictUndefined,
            finalize=_shown,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self._jinja.filters["credits"] = lambda micro: count_credits(micro, unit)
        self._jinja.filters["instant"] = lambda at: f"{at.astimezone(UTC):%-d %B %Y, %H:%M} UTC"
        self._jinja.filters["card"] = lambda card: f"{card.brand.capitalize()} ending in {card.last4}"
        self._jinja.filters["id"] = lambda value, kind: ids.show(kind, value)
        self._jinja.globals["sender"] = sender

    def render(self, message: Message, *, name: str, code: str | None = None) -> Content:
        """Write a message to a person, with the code that it brings, if any.

        Raises jinja2.UndefinedError if the template asks for what it does not tell.
        """
        facts = {**dict(message), "name": name} | ({"code": code} if code else {})

        def part(file: str) -> str:
            return self._jinja.get_template(f"{message.template}/{file}").render(facts)

        return Content(one_line(name), one_line(part("subject.txt")), part("body.txt"), part("body.html"))


def _shown(value: Any) -> Any:
    """Make a text one line wherever it is shown; what is HTML already is ours."""
    return one_line(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def count_credits(micro: int, unit: Unit) -> str:
    """Write a number of credits as the catalogue calls them: "1 credit", "12.5 credits"."""
    return f"{format_credits(micro)} {unit.singular if micro == MICRO else unit.plural}"


def one_line(text: str) -> str:
    """Make a stranger's text fit for a line: no breaks, no control characters, nothing that turns the text around."""
    return " ".join("".join(" " if _breaks_a_line(char) else char for char in text).split())


def _breaks_a_line(char: str) -> bool:
    return unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} or char in _BIDIRECTIONAL
