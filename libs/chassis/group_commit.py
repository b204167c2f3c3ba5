"""Group commit: what comes while a batch is being committed is the next batch; what comes alone goes at once."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

from libs.chassis.pool import TRANSIENT
from libs.chassis.telemetry import log

Item = TypeVar("Item")
Result = TypeVar("Result")


class GroupCommit(Generic[Item, Result]):
    """Has items done in batches, by a `commit` that does all of one, and answers each in their order, or none.

    At most `largest` items are in a batch, and at most `at_once` batches under way, so that one that hangs does not
    hold up the others.
    """

    def __init__(
        self, commit: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]], *, largest: int, at_once: int
    ) -> None:
        self._commit = commit
        self._largest = largest
        self._at_once = at_once
        self._queue: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._working: set[asyncio.Task[None]] = set()

    async def do(self, item: Item) -> Result:
        """Have an item done; a caller that goes away drops its wait, never its item.

        Raises what `commit` raises: for something that may pass to all of a batch, for all else to the item alone.
        """
        waiter: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._queue.append((item, waiter))
        if len(self._working) < self._at_once:
            task = asyncio.create_task(self._work(), context=Context())  # what is the caller's own is not the batch's
            self._working.add(task)
            task.add_done_callback(self._working.discard)
        return await waiter

    async def _work(self) -> None:
        while self._queue:
            number = min(self._largest, len(self._queue))
            await self._do_all([self._queue.popleft() for _ in range(number)])

    async def _do_all(self, batch: Sequence[tuple[Item, "asyncio.Future[Result]"]]) -> None:
        """Do a batch and tell who waits; if one item spoils it, halve it until the culprit is alone."""
        try:
            results = await self._commit([item for item, _ in batch])
        except Exception as error:
            if len(batch) == 1 or isinstance(error, TRANSIENT):
                _fail(batch, error)
                return
            log.warning("group_commit.batch_spoilt", items=len(batch), error=repr(error))
            half = len(batch) // 2
            await self._do_all(batch[:half])
            await self._do_all(batch[half:])
        except BaseException as error:  # we are stopped, and nobody would tell who waits
            _fail(batch, error)
            raise
        else:
            for (_, waiter), result in zip(batch, results, strict=True):
                if not waiter.done():
                    waiter.set_result(result)


def _fail(batch: Sequence[tuple[Item, "asyncio.Future[Result]"]], error: BaseException) -> None:
    for _, waiter in batch:
        if not waiter.done():
            waiter.set_exception(error)
