"""Group commit: requests that come while a batch is being applied are the next batch; an idle one goes at once.

One loop for a process, one batch at a time. A batch's effects and the answers under its callers' idempotency keys are
one transaction.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from libs.chassis import failpoints, idempotency
from libs.chassis.clock import Clock
from libs.chassis.errors import IdempotencyKeyReusedError, UnavailableError
from libs.chassis.idempotency import Answer, Given, Key
from libs.chassis.pool import TRANSIENT, Connection, Pool
from libs.chassis.service_client import deadline
from libs.chassis.telemetry import IDEMPOTENT_REPLAYS, log
from services.credits.domain.postings import Capture, ChargeRefund, Posting, Release, Result, Settle
from services.credits.operations.ledger import Ledger

LARGEST_BATCH = 500
"""Postings of one transaction, unless a single request has more."""
LONGEST_QUEUE = 20_000
"""Requests that wait; a queue without end would answer nobody."""

Shape = Callable[[Sequence[Result], datetime], Answer]
"""Makes a request's answer of what became of its postings, and of the batch's instant."""


@dataclass(eq=False, slots=True)
class Request:
    """Postings of one caller's, and who waits for the answer."""

    postings: Sequence[Posting]
    key: Key
    shape: Shape
    waiter: asyncio.Future[Answer]

    def tell(self, outcome: Answer | Exception) -> None:
        """Answer, unless the caller has gone away."""
        if self.waiter.done():
            return
        if isinstance(outcome, Exception):
            self.waiter.set_exception(outcome)
        else:
            self.waiter.set_result(outcome)


class Writer:
    """Applies what HTTP requests ask of the ledger, in batches."""

    def __init__(self, pool: Pool, ledger: Ledger, clock: Clock) -> None:
        self._pool = pool
        self._ledger = ledger
        self._clock = clock
        self._queue: deque[Request] = deque()
        self._news = asyncio.Event()
        self._stopping = False
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to write."""
        self._loop = asyncio.create_task(self._keep_writing(), name="writer")

    async def stop(self) -> None:
        """Finish what is queued."""
        self._stopping = True
        self._news.set()
        if self._loop is not None:
            await self._loop

    async def write(self, postings: Sequence[Posting], *, key: Key, shape: Shape) -> Answer:
        """Have postings applied, once for a key, and answer what `shape` makes of it.

        A caller that goes away drops its wait, never its postings. Raises IdempotencyKeyReusedError; UnavailableError
        if it is not known to be done: the same request, with the same key, may be repeated.
        """
        if self._stopping or len(self._queue) >= LONGEST_QUEUE:
            raise UnavailableError
        waiter: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queue.append(Request(postings, key, shape, waiter))
        self._news.set()
        try:
            async with asyncio.timeout_at(deadline.get()):
                return await waiter
        except TimeoutError as error:
            raise UnavailableError from error

    async def _keep_writing(self) -> None:
        while self._queue or not self._stopping:
            if self._queue:
                await self._apply(self._take())
            else:
                self._news.clear()
                await self._news.wait()

    def _take(self) -> list[Request]:
        """Take what waits, up to the size cap; what frees credits goes before what needs some."""
        batch = [self._queue.popleft()]
        size = len(batch[0].postings)
        while self._queue and (size := size + len(self._queue[0].postings)) <= LARGEST_BATCH:
            batch.append(self._queue.popleft())
        return sorted(batch, key=_rank)

    async def _apply(self, batch: Sequence[Request]) -> None:
        """Apply a batch and tell its waiters; if one of them spoils it, halve it until the culprit is alone."""
        try:
            outcomes = await self._write(batch)
        except TRANSIENT as error:
            log.warning("writer.interrupted", error=repr(error), requests=len(batch))
            for request in batch:
                request.tell(UnavailableError())
        except Exception as error:
            if len(batch) == 1:
                log.error("writer.culprit", error=repr(error))
                batch[0].tell(error)
                return
            half = len(batch) // 2
            await self._apply(batch[:half])
            await self._apply(batch[half:])
        else:
            for request, outcome in zip(batch, outcomes, strict=True):
                request.tell(outcome)

    async def _write(self, batch: Sequence[Request]) -> list[Answer | Exception]:
        """Apply a batch and keep its answers. One request alone is hardly ever repeated: it is looked up if it is."""
        look_up = len(batch) > 1
        while True:
            try:
                async with self._pool.transaction() as conn:
                    known = await idempotency.given(conn, [request.key for request in batch]) if look_up else {}
                    outcomes = await self._write_in(conn, batch, known)
                    failpoints.reach("credits.write.before_commit")
            except _TwinWasFasterError:
                look_up = True
                continue
            failpoints.reach("credits.write.after_commit")
            return outcomes

    async def _write_in(
        self, conn: Connection, batch: Sequence[Request], known: dict[tuple[str, str], Given]
    ) -> list[Answer | Exception]:
        fresh: dict[tuple[str, str], Request] = {}
        for request in batch:
            if request.key.name not in known:
                fresh.setdefault(request.key.name, request)
        at, results = await self._ledger.apply(conn, [p for request in fresh.values() for p in request.postings])
        answers = list(_answers(fresh.values(), results, at))
        if answers and not await idempotency.give(conn, answers, at=self._clock.now()):
            raise _TwinWasFasterError
        known |= {key.name: Given(key.fingerprint, answer) for key, answer in answers}
        return [_outcome(request, known, first=fresh.get(request.key.name) is request) for request in batch]


class _TwinWasFasterError(Exception):
    """One of our keys was answered before: this must not happen again, and is looked up instead."""


def _answers(fresh: Iterable[Request], results: Sequence[Result], at: datetime) -> Iterator[tuple[Key, Answer]]:
    begin = 0
    for request in fresh:
        end = begin + len(request.postings)
        yield request.key, request.shape(results[begin:end], at)
        begin = end


def _outcome(request: Request, known: Mapping[tuple[str, str], Given], *, first: bool) -> Answer | Exception:
    fingerprint, answer = known[request.key.name]
    if fingerprint != request.key.fingerprint:
        return IdempotencyKeyReusedError()
    if answer is None:  # a request that answers in steps has the key, and is at work
        return UnavailableError()
    if first:
        return answer
    IDEMPOTENT_REPLAYS.inc()
    return answer._replace(replayed=True)


def _rank(request: Request) -> int:
    kind = type(request.postings[0]) if request.postings else Posting
    return 0 if kind in (Release, ChargeRefund) else 1 if kind in (Capture, Settle) else 2
