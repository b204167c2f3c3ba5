"""Scripts in which what was spent of a lot is taken back, repaid by another, and then comes back in every way.

Steps drawn one by one seldom come to that: a lot that is used, taken back, owed and repaid, and then given again.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Literal

from hypothesis import strategies as st

from tests.support.oracle.scripts import STEPS, WISHES, Batch, Settle, Step, Travel, Wish

Spent = Literal["charge", "hold", "lease"]
SPENT: tuple[Spent, ...] = ("charge", "charge", "hold", "hold", "lease")
OWED = (1, 2, 4, 5, 7)
"""Sizes of lots whose take-backs may become a debt, by how wishes are read."""


def a_dispute(
    account: int,
    which: int,
    size: int,
    *,
    spent: tuple[Spent, int],
    repaid: int,
    won_last: bool,
    expires: bool = False,
    together: bool = False,
    between: Sequence[Wish] = (),
) -> list[Step]:
    """Tell how a lot is used, lost and owed; another comes; then the lot is won, and what was spent comes back."""
    verb, amount = spent[0], min(spent[1], size * 2)
    used = [
        Wish("grant", account, size, which, 24, not together),
        Wish(verb, account, amount, 0, 2, False),
        Wish("take_back", account, size * 4, which, 1, False),
        Wish("grant", account, repaid, (which + 2) % 6, 24, True),
    ]
    won = Wish("take_back", account, size % 3, which, 2, False)
    back = Wish("refund" if verb == "charge" else "release", account, 1, 0, 1, amount % 2 == 0)
    middle: list[Step] = [Batch(list(between))] if between else []
    if expires:
        return [Batch(used), *middle, Batch([won]), Travel(3), Settle()]
    last = [back, won] if won_last else [won, back]
    if together:
        return [*(Batch([wish]) for wish in used), *middle, Batch(last)]
    return [Batch(used), *middle, *(Batch([wish]) for wish in last)]


DISPUTES = st.builds(
    a_dispute,
    st.sampled_from([3, 2, 3, 2, 1, 0]),  # the last have nothing else
    st.integers(0, 5),
    st.sampled_from(OWED),
    spent=st.tuples(st.sampled_from(SPENT), st.integers(1, 14)),
    repaid=st.sampled_from([12, 7, 5, 3, 2, 1]),
    won_last=st.booleans(),
    expires=st.booleans(),
    together=st.booleans(),
    between=st.lists(WISHES, max_size=3),
)
ALONE = STEPS.map(lambda step: [step])
SCRIPTS = st.lists(st.one_of(ALONE, ALONE, ALONE, ALONE, ALONE, DISPUTES), min_size=5, max_size=13).map(
    lambda parts: list(chain.from_iterable(parts))
)
