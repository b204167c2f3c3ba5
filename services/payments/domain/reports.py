"""Figures of reports that are not sums, and gift cards from one period to the next."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from libs.contracts.http.reports_v1 import GiftCardRow


class GiftCards(NamedTuple):
    """What was paid for gift cards that were sold, redeemed and made void in a period; what was before has no name."""

    period: str
    sold_minor: int
    redeemed_minor: int
    voided_minor: int

    @property
    def more_minor(self) -> int:
        """How much more is owed afterwards."""
        return self.sold_minor - self.redeemed_minor - self.voided_minor


def roll_forward(currency: str, moved: Sequence[GiftCards]) -> Iterator[GiftCardRow]:
    """Tell period by period with what it opens and closes; at the end all of them together, without a name."""
    opening = sum(each.more_minor for each in moved if not each.period)
    within = [each for each in moved if each.period]
    before = opening
    for each in within:
        yield _row(each.period, currency, before, each)
        before += each.more_minor
    together = (sum(part) for part in zip((0, 0, 0), *(each[1:] for each in within), strict=True))
    yield _row(None, currency, opening, GiftCards("", *together))


def _row(period: str | None, currency: str, opening_minor: int, moved: GiftCards) -> GiftCardRow:
    return GiftCardRow(
        period=period,
        currency=currency,
        opening_minor=opening_minor,
        sold_minor=moved.sold_minor,
        redeemed_minor=moved.redeemed_minor,
        voided_minor=moved.voided_minor,
        closing_minor=opening_minor + moved.more_minor,
    )


def half_up(amount: int, among: int) -> int | None:
    """Tell an amount for each of so many, rounded to the nearest, a half upwards; None if there is nobody."""
    return (2 * amount + among) // (2 * among) if among else None


def permille(part: int, whole: int) -> int | None:
    """Tell how many of a thousand a part is, rounded down, so that only all of it is a thousand; None of nothing."""
    return 1000 * part // whole if whole else None
