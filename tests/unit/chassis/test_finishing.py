import asyncio

import pytest

from libs.chassis.finishing import finish


async def test_what_has_begun_is_done_before_the_cancellation_goes_on() -> None:
    begun, may_end, done = asyncio.Event(), asyncio.Event(), []

    async def work() -> None:
        begun.set()
        await may_end.wait()
        done.append("all of it")

    caller = asyncio.create_task(finish(work(), within_seconds=60))
    await begun.wait()
    caller.cancel()
    await asyncio.sleep(0)
    assert not caller.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert done == ["all of it"]


async def test_what_takes_too_long_is_cancelled_too() -> None:
    begun, ended = asyncio.Event(), []

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cut short")

    caller = asyncio.create_task(finish(work(), within_seconds=0))
    await begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ended == ["cut short"]


async def test_what_the_work_gives_or_raises_is_its_callers() -> None:
    async def give() -> int:
        return 7

    async def fail() -> int:
        raise LookupError

    assert await finish(give(), within_seconds=1) == 7
    with pytest.raises(LookupError):
        await finish(fail(), within_seconds=1)
