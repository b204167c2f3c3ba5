import asyncio

from libs.chassis.pacing import paced


async def test_parts_come_in_order_with_pauses_as_long_as_leave_others_their_share() -> None:
    loop = asyncio.get_running_loop()
    began, seen = loop.time(), []
    async for part in paced("abcd", pauses=3):
        seen.append(part)
        await asyncio.sleep(0.01)
    assert seen == list("abcd")
    assert loop.time() - began >= 4 * 0.01 + 3 * 0.03


async def test_a_single_part_waits_for_nothing() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert [part async for part in paced([1], pauses=1_000_000)] == [1]
    assert loop.time() - began < 1
