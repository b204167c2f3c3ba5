"""What a usage costs: a price book compiled once, then rated by the thousand."""

from .books import Prices, Rating
from .errors import PriceBookError
from .places import line_of
from .tiers import period_of

__all__ = ["PriceBookError", "Prices", "Rating", "line_of", "period_of"]
