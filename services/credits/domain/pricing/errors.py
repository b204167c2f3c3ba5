"""What can be wrong with a price book."""

Where = tuple[str | int, ...]
"""Leads to a place in a document, such as ("meters", "video", "prices", 0)."""


class PriceBookError(ValueError):
    """The book cannot be used: `where` in it, and `why`."""

    def __init__(self, where: Where, why: str) -> None:
        super().__init__(f"{'.'.join(map(str, where))}: {why}")
        self.where = where
        self.why = why
