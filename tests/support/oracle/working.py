"""Scripts of work that is reserved, settled and freed, over hours and midnights, where all that is spent is limited."""

from datetime import timedelta

from hypothesis import strategies as st

from services.credits.domain.books import Rules
from services.credits.domain.limits import Limits
from tests.support.oracle.scripts import ACTORS, Batch, Resume, Step, Travel, Verb, Wish

VERBS: list[Verb] = ["hold", "hold", "capture", "capture", "lease", "settle", "reserve", "release", "charge", "grant"]
FEW = st.integers(1, 9)
WHO = st.integers(0, 1)
AWHILE = st.sampled_from([0, 1, 1, 23])


def _life(account: int, amounts: tuple[int, int, int], hours: tuple[int, int]) -> list[Step]:
    """Tell of a lease that is settled and reserves again, and some time later frees what it has."""
    (begun, used, ahead), (first, second) = amounts, hours

    def wish(verb: Verb, amount: int) -> Wish:
        return Wish(verb, account, amount, 0, 24, flag=False)

    return [
        Batch([wish("lease", begun)]),
        Travel(first),
        Batch([wish("settle", used), wish("reserve", ahead)]),
        Travel(second),
        Batch([wish("release", 1)]),
    ]


WISHES = st.builds(
    Wish,
    verb=st.sampled_from(VERBS),
    account=WHO,
    amount=FEW,
    which=st.integers(0, 3),
    hours=st.sampled_from([2, 24]),
    flag=st.booleans(),
)
STEPS = st.one_of(
    st.builds(Batch, st.lists(WISHES, min_size=3, max_size=9)),
    st.builds(Batch, st.lists(WISHES, min_size=3, max_size=9)),
    st.builds(Travel, AWHILE),
    st.builds(Resume, account=WHO, actor=st.sampled_from(ACTORS)),
)
LIVES = st.builds(_life, WHO, st.tuples(FEW, FEW, FEW), st.tuples(AWHILE, AWHILE))
WORKING = st.lists(st.one_of(STEPS.map(lambda step: [step]), LIVES), min_size=6, max_size=12).map(
    lambda chapters: [step for chapter in chapters for step in chapter]
)
LIMITED = st.builds(
    Rules,
    capture_above_hold=st.just(value=True),
    limits=st.builds(
        Limits,
        per_transaction=st.sampled_from([None, 5]),
        transactions_per_day=st.sampled_from([None, 9]),
        account_per_hour=st.sampled_from([15, 25]),
        actor_per_hour=st.sampled_from([None, 8, 12]),
        resume_after=st.sampled_from([None, timedelta(hours=1)]),
    ),
)
