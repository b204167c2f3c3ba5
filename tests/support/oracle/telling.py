"""What payments and services report, on the ledger's operations and on the oracle: compared is what others are told."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from hypothesis import strategies as st

from libs.chassis.pool import Pool
from libs.contracts import ids
from libs.contracts.credits import MICRO, parse_credits
from libs.contracts.envelope import CloudEvent
from libs.contracts.events import PaymentRefunded, PaymentSucceeded
from services.credits.domain import usage_events
from services.credits.domain.books import Rules
from services.credits.domain.errors import LotMissingError, ReferenceReusedError
from services.credits.domain.postings import REFUSALS, Posting, Result
from services.credits.operations import payments, usage
from services.credits.operations.ledger import Ledger
from tests.support.books import assert_books_balance
from tests.support.ledger import TIMELINE, paid, refunded, used
from tests.support.oracle.comparing import answered
from tests.support.oracle.model import Oracle
from tests.support.oracle.paper import Answer
from tests.support.oracle.scripts import StoppedClock

ACCOUNTS = 3


@dataclass(frozen=True)
class Report:
    """Usage of one batch: which account, under which id, how many credits it costs."""

    usages: list[tuple[int, int, int]]


@dataclass(frozen=True)
class Payment:
    """A purchase is paid, or that is told again, perhaps with other credits, perhaps of another account."""

    account: int
    purchase: int
    credits: int


@dataclass(frozen=True)
class Refund:
    """Some of a purchase's credits go back, in total."""

    purchase: int
    credits: int
    revision: int


Step = Report | Payment | Refund
PURCHASES = st.integers(0, 3)
REPORTS = st.builds(
    Report,
    st.lists(st.tuples(st.integers(0, ACCOUNTS - 1), st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=6),
)
STEPS = st.one_of(
    REPORTS,
    REPORTS,
    st.builds(Payment, account=st.integers(0, ACCOUNTS - 1), purchase=PURCHASES, credits=st.sampled_from([8, 8, 8, 9])),
    st.builds(Refund, purchase=PURCHASES, credits=st.integers(0, 10), revision=st.integers(2, 6)),
)
STORIES = st.lists(STEPS, min_size=1, max_size=15)


class Telling:
    """The operations on an empty database, and an oracle beside them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._clock = StoppedClock()
        self._ledger = Ledger(self._clock, Rules())
        self._oracle = Oracle()
        self._accounts = [ids.new_id() for _ in range(ACCOUNTS)]
        self._purchases = [ids.new_id() for _ in range(4)]
        self._owner: dict[int, int] = {}
        self._told: list[tuple[object, ...]] = []

    async def run(self, story: Sequence[Step]) -> None:
        """Tell a story; in the end compare what was told of it."""
        for step in story:
            if isinstance(step, Report):
                await self._report(step)
            else:
                await self._settle(self._event(step))
            assert await self._outbox() == self._told
        await assert_books_balance(self._pool)

    async def _report(self, step: Report) -> None:
        events = [used(self._accounts[who], quantity=credits, id=str(id)) for who, id, credits in step.usages]
        read = [usage_events.read(event.encode()) for event in events]
        now = self._clock.now()
        results, _ = await usage.burn(self._pool, self._ledger, [usage.rated(TIMELINE, event, now) for event in read])
        before = {(key, content) for key, contents in self._oracle.refused.items() for content in contents}
        answers = self._apply(results)
        for event, result, answer in zip(read, results, answers, strict=True):
            name = result.posting.key, result.posting.fingerprint
            if answer.outcome in _REFUSED and name not in before:
                before.add(name)
                account = self._oracle.accounts.get(event.account)
                told = (account.sequence if account else 0, event.id, max(answer.available, 0), event.quantity * MICRO)
                code = REFUSALS[result.outcome][0].code
                self._told.append(("scrip.usage.rejected.v1", event.account, *told, code))

    async def _settle(self, event: PaymentSucceeded | PaymentRefunded) -> None:
        try:
            results = await payments.settle(self._pool, self._ledger, [event])
        except (LotMissingError, ReferenceReusedError) as error:
            outcome = "no_lot" if isinstance(error, LotMissingError) else "conflict"
            assert [answer.outcome for answer in self._imagine(payments._postings(event))] == [outcome]
            return
        for result, answer in zip(results, self._apply(results), strict=True):
            if answer.outcome == "accepted":
                kind = "granted" if isinstance(event, PaymentSucceeded) else "taken_back"
                said = (answer.sequence, answer.moved, answer.debt_made, max(answer.available, 0))
                self._told.append((f"scrip.credits.{kind}.v1", result.posting.account, *said))

    def _apply(self, results: Sequence[Result]) -> list[Answer]:
        answers = self._oracle.apply([result.posting for result in results], at=self._clock.now())
        assert [answered(result) for result in results] == answers
        return answers

    def _imagine(self, postings: Sequence[Posting]) -> list[Answer]:
        """Ask the oracle what would happen. What it refuses changes nothing but for an account that it opens."""
        opened = set(self._oracle.accounts)
        answers = self._oracle.apply(postings, at=self._clock.now())
        self._oracle.accounts = {id: account for id, account in self._oracle.accounts.items() if id in opened}
        return answers

    def _event(self, step: Payment | Refund) -> PaymentSucceeded | PaymentRefunded:
        purchase = self._purchases[step.purchase]
        if isinstance(step, Payment):
            self._owner.setdefault(step.purchase, step.account)
            return paid(self._accounts[step.account], str(step.credits), purchase=purchase)
        told = paid(self._accounts[self._owner.get(step.purchase, 0)], "8", purchase=purchase)
        return refunded(told, str(step.credits), revision=step.revision)

    async def _outbox(self) -> list[tuple[object, ...]]:
        async with self._pool.connection() as conn:
            rows = await conn.fetch("SELECT payloads FROM outbox ORDER BY id")
        events = [CloudEvent.decode(payload) for row in rows for payload in row["payloads"]]
        return [_said(event) for event in events if event.type != "scrip.balance.low.v1"]


_REFUSED = ("unknown_account", "not_open", "in_debt", "insufficient", "conflict")


def _said(event: CloudEvent) -> tuple[object, ...]:
    data = event.data
    account: UUID = ids.read("account", data["account"])
    available = parse_credits(data["available"])
    if event.type == "scrip.usage.rejected.v1":
        required = parse_credits(data["required"])
        return event.type, account, data["sequence"], data["usage_id"], available, required, data["code"]
    debt = parse_credits(data.get("debt", "0"))
    return event.type, account, data["sequence"], parse_credits(data["credits"]), debt, available
