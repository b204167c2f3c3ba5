"""What comes while a batch is being committed is the next batch, and nobody answers for another."""

import asyncio
from collections.abc import Sequence

import pytest

from libs.chassis.group_commit import GroupCommit


class Desk:
    """Commits numbers in batches, when it is let; a number below zero spoils its batch."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.open = asyncio.Event()
        self.lost = False

    async def commit(self, numbers: Sequence[int]) -> list[int]:
        """Commit a batch."""
        await self.open.wait()
        if self.lost:
            raise ConnectionResetError
        if min(numbers) < 0:
            raise ValueError(min(numbers))
        self.batches.append(list(numbers))
        return [number * 2 for number in numbers]


async def begun(*tasks: "asyncio.Task[int]") -> None:
    """Let tasks go as far as they can."""
    for _ in range(5):
        await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)


async def test_what_comes_meanwhile_is_done_together_in_order_and_in_bounds() -> None:
    desk = Desk()
    commits = GroupCommit(desk.commit, largest=3, at_once=1)
    first = asyncio.create_task(commits.do(1))
    await begun(first)
    others = [asyncio.create_task(commits.do(number)) for number in range(2, 7)]
    await begun(*others)
    desk.open.set()
    assert await asyncio.gather(first, *others) == [2, 4, 6, 8, 10, 12]
    assert desk.batches == [[1], [2, 3, 4], [5, 6]]


async def test_a_batch_that_hangs_does_not_hold_up_the_next() -> None:
    desk = Desk()
    hangs = asyncio.Event()

    async def commit(numbers: Sequence[int]) -> list[int]:
        if 1 in numbers:
            await hangs.wait()
        return await desk.commit(numbers)

    desk.open.set()
    commits = GroupCommit(commit, largest=3, at_once=2)
    first = asyncio.create_task(commits.do(1))
    await begun(first)
    assert await commits.do(2) == 4
    hangs.set()
    assert await first == 2


async def test_only_the_culprit_of_a_batch_fails() -> None:
    desk = Desk()
    desk.open.set()
    commits = GroupCommit(desk.commit, largest=10, at_once=1)
    answers = await asyncio.gather(*(commits.do(number) for number in (1, 2, -3, 4, 5)), return_exceptions=True)
    assert [answer if isinstance(answer, int) else type(answer) for answer in answers] == [2, 4, ValueError, 8, 10]
    assert sorted(number for batch in desk.batches for number in batch) == [1, 2, 4, 5]


async def test_what_may_pass_is_told_to_all_of_a_batch_and_the_next_one_is_done() -> None:
    desk = Desk()
    desk.open.set()
    desk.lost = True
    commits = GroupCommit(desk.commit, largest=10, at_once=1)
    answers = await asyncio.gather(*(commits.do(number) for number in (1, 2)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [ConnectionResetError] * 2
    desk.lost = False
    assert await commits.do(3) == 6


async def test_a_caller_that_goes_away_drops_its_wait_and_not_its_item() -> None:
    desk = Desk()
    commits = GroupCommit(desk.commit, largest=10, at_once=1)
    gone, stays = asyncio.create_task(commits.do(1)), asyncio.create_task(commits.do(2))
    await begun(gone, stays)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    desk.open.set()
    assert await stays == 4
    assert desk.batches == [[1, 2]]
