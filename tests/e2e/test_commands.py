"""The commands people type, as processes of their own: what they print, and that they leave nothing behind."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from deploy.cli.customer import wait_for
from deploy.cli.state import read_state
from deploy.embedded.stack import SANDBOX_KEY
from libs.contracts import ids
from tests.support.stripe_sandbox import stripe_client

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def command(folder: Path, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start `scrip` with its data in a folder of its own."""
    env = {**os.environ, "SCRIP_DATA": str(folder), "PYTHONUNBUFFERED": "1"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.cli", *words),
        cwd=ROOT,
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def run(folder: Path, *words: str) -> tuple[int, str]:
    """Run `scrip` to its end; answers its exit code and what it printed."""
    async with command(folder, *words) as process, asyncio.timeout(120):
        printed, _ = await process.communicate()
        return process.returncode or 0, printed.decode()


def left_behind(folder: Path) -> list[str]:
    """Name the processes that have to do with a data folder."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            told = [
                *words,
                process.environ().get("SCRIP_DATA", ""),
                process.environ().get("SCRIP_CATALOGUE", ""),
            ]
        except psutil.Error:
            continue
        if any(str(folder) in word for word in told) and process.pid != os.getpid():
            found.append(" ".join(words))
    return found


async def until_printed(process: asyncio.subprocess.Process, words: str) -> None:
    """Wait until a process has printed these words."""
    assert process.stdout is not None
    async with asyncio.timeout(90):
        async for line in process.stdout:
            if words in line.decode():
                return
    raise AssertionError(f"it ended without printing {words!r}")


async def pay_past_us(folder: Path) -> None:
    """Have Stripe take money for a purchase that we have never heard of."""
    address = read_state(folder).addresses.stripe
    assert address is not None
    async with stripe_client(address, key=SANDBOX_KEY) as stripe:
        metadata = {"purchase": ids.show("purchase", ids.new_id()), "account": ids.show("account", ids.new_id())}
        await stripe.v1.payment_intents.create_async(
            {
                "amount": 999,
                "currency": "usd",
                "payment_method": "pm_card_visa",
                "confirm": True,
                "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
                "metadata": metadata,
            }
        )


async def test_a_stack_is_put_up_looked_at_audited_and_taken_down(tmp_path: Path) -> None:
    code, said = await run(tmp_path, "up")
    assert code == 0, said
    assert "demo@scrip.example" in said
    assert "scrip_sk_" in said
    code, said = await run(tmp_path, "up")
    assert code != 0
    assert "runs in" in said
    code, said = await run(tmp_path, "status")
    assert said.count(" ready") == 6, said
    code, said = await run(tmp_path, "verify")
    assert code == 0, said
    assert "none broken" in said
    code, said = await run(tmp_path, "reconcile", "--since", "2026-01-01")
    assert code == 0, said
    assert "none open" in said
    await pay_past_us(tmp_path)
    code, said = await run(tmp_path, "reconcile", "--since", "2026-01-01")
    assert code == 1, said
    [finding] = re.findall("fnd_[0-9a-f]{32}", said)
    code, said = await run(tmp_path, "resolve", finding, "--reason", "a test of ours at the dashboard")
    assert code == 0, said
    code, said = await run(tmp_path, "reconcile", "--since", "2026-01-01")
    assert (code, "none open" in said) == (0, True), said
    code, said = await run(tmp_path, "resolve", finding.replace("0", "1"), "--reason", "nobody knows it")
    assert code != 0
    assert "PAY" in said
    code, said = await run(tmp_path, "down")
    assert (code, said.strip()) == (0, "Stopped.")
    await until_none_is_left(tmp_path)
    code, said = await run(tmp_path, "verify")
    assert code != 0
    assert "make up" in said


@pytest.mark.parametrize(("number", "words"), [(signal.SIGTERM, "Starting PostgreSQL"), (signal.SIGINT, "all ready")])
async def test_an_interrupted_demonstration_leaves_no_process_behind(
    tmp_path: Path, number: signal.Signals, words: str
) -> None:
    async with command(tmp_path, "demo") as process:
        await until_printed(process, words)
        process.send_signal(number)
        async with asyncio.timeout(60):
            assert process.stdout is not None
            await process.stdout.read()
            assert await process.wait() == 130
    assert left_behind(tmp_path) == []


async def test_a_killed_demonstration_leaves_no_process_behind(tmp_path: Path) -> None:
    async with command(tmp_path, "demo") as process:
        await until_printed(process, "all ready")
        process.kill()
        await process.wait()
    await until_none_is_left(tmp_path)


async def until_none_is_left(folder: Path) -> None:
    """Wait for as long as the slowest may take to end when it is told to; names what is left then."""

    async def none() -> bool:
        return not left_behind(folder)

    async def those() -> list[str]:
        return left_behind(folder)

    await wait_for(none, seconds=60, otherwise=those)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGINT, "Starting PostgreSQL"),
        (signal.SIGTERM, "Starting PostgreSQL"),
        (signal.SIGINT, "gateway  "),
    ],
)
async def test_an_interrupted_start_in_the_background_leaves_no_process_behind(
    tmp_path: Path, number: signal.Signals, words: str
) -> None:
    async with command(tmp_path, "up") as process:
        await until_printed(process, words)
        process.send_signal(number)
        async with asyncio.timeout(60):
            assert process.stdout is not None
            assert "everything is stopped" in (await process.stdout.read()).decode()
            assert await process.wait() == 130
    assert left_behind(tmp_path) == []
