"""What can be wrong with a price book."""


class PriceBookError(ValueError):
    """The book cannot be used; `where` leads to the place in the document, such as ("meters", "video", "prices", 0)."""

    def __init__(self, where: tuple[str | int, ...], why: str) -> None:
        super().__init__(f"{'.'.join(map(str, where))}: {why}")
        self.where = where
        self.why = why
