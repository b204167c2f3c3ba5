"""What a usage costs: a price book compiled once, then rated by the thousand."""

from .books import Prices, Rating
from .changes import changes
from .errors import PriceBookError
from .places import line_of
from .tiers import period_of
from .timeline import Timeline

__all__ = ["PriceBookError", "Prices", "Rating", "Timeline", "changes", "line_of", "period_of"]
