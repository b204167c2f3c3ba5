"""What a console printed, as a picture for people who would rather look than run."""

import re

from rich.console import Console

_FONTS_FROM_ELSEWHERE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def drawn(console: Console, *, title: str) -> str:
    """Draw what a recording console printed, as SVG; its text takes the reader's own fixed-width font."""
    return _FONTS_FROM_ELSEWHERE.sub("", console.export_svg(title=title))
