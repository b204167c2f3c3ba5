"""A stack in the background: started by `up`, kept by a process of its own, stopped by `down`."""

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx2
from rich.console import Console

from deploy.cli.customer import Refused, good
from deploy.cli.state import State, read_state
from deploy.embedded.claim import AlreadyRunningError
from deploy.embedded.processes import ProcessFailedError
from deploy.embedded.readiness import answers
from deploy.embedded.settings import PROJECT
from deploy.embedded.stack import Stack, StackSettings
from libs.contracts.errors import ALREADY_REGISTERED

DEMO_EMAIL = "demo@scrip.example"
DEMO_PASSWORD = "prepaid credits"  # noqa: S105 - printed for whoever tries the local stack
_LOOK_EVERY_SECONDS = 0.05
_PATIENCE_SECONDS = 60


async def serve(settings: StackSettings) -> bool:
    """Run the stack until interrupted; what dies is started again."""
    stack = Stack(settings, say=lambda line: print(line, flush=True))
    try:
        await stack.start()
        await stack.keep()
    finally:
        await stack.stop()
    return True


async def up(settings: StackSettings, console: Console) -> bool:
    """Start a stack in the background and say where it is. Raises ProcessFailedError if it does not start.

    Whoever interrupts this before all is said wants no stack.
    """
    home = settings.data.absolute()
    if _was_ready(home) and await answers(f"{read_state(home).addresses.gateway}/livez"):
        raise AlreadyRunningError(f"a stack runs in {home} already: `make down` stops it")
    keeper = _Keeper(home)
    try:
        while keeper.is_starting(console):  # noqa: ASYNC110 - what we wait for is another process
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
        await _introduce(read_state(home), console)
    except BaseException:
        keeper.stop()
        raise
    return True


def _was_ready(home: Path) -> bool:
    return (home / "stack.json").exists()


class _Keeper:
    """The process that keeps a stack, and outlives us; what it says goes to a log."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._log = home / "logs" / "stack.log"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        (home / "stack.json").unlink(missing_ok=True)
        with self._log.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "deploy.cli", "serve"],
                stdout=out,
                stderr=out,
                cwd=PROJECT,
                start_new_session=True,
            )
        self._shown = 0

    def is_starting(self, console: Console) -> bool:
        """Show what it has said since, and tell whether the stack is not ready yet. Raises ProcessFailedError."""
        ready = _was_ready(self._home)
        if not ready and self._process.poll() is not None:
            raise ProcessFailedError(f"the stack did not start:\n{self._log.read_text()[-3000:]}")
        said = self._log.read_text()
        console.print(said[self._shown :], end="", markup=False)
        self._shown = len(said)
        return not ready

    def stop(self) -> None:
        """Have it stop the stack, and wait for that."""
        self._process.terminate()
        self._process.wait(_PATIENCE_SECONDS)


async def _introduce(state: State, console: Console) -> None:
    """Say where everything is, with a login and a key to try it by."""
    for name, address in asdict(state.addresses).items():
        if address:
            console.print(f"  {name:14} {address}")
    async with httpx2.AsyncClient(base_url=state.addresses.gateway, timeout=30) as http:
        session = await _demo_session(http)
        body = {"name": "demo", "scopes": ["usage:write", "charges:write", "holds:write", "credits:read"]}
        headers = {"Authorization": f"Bearer {session['access_token']}", "Idempotency-Key": f"demo-{time.time_ns()}"}
        key = json.loads(good(await http.post("/v1/api-keys", json=body, headers=headers)))["secret"]
    console.print(f"  {'demo login':14} {DEMO_EMAIL} / {DEMO_PASSWORD}")
    console.print(f"  {'account':14} {session['user']['account']}")
    console.print(f"  {'API key':14} {key}")
    console.print("Stop it with `make down`; audit it with `.venv/bin/scrip verify`.")


async def _demo_session(http: httpx2.AsyncClient) -> dict[str, Any]:
    login = {"email": DEMO_EMAIL, "password": DEMO_PASSWORD}
    try:
        answer = good(await http.post("/v1/auth/register", json={**login, "name": "Demo"}))
    except Refused as refused:
        if refused.code != ALREADY_REGISTERED.code:
            raise
        answer = good(await http.post("/v1/auth/login", json=login))
    session: dict[str, Any] = json.loads(answer)
    return session


async def status(state: State, console: Console) -> None:
    """Say of each address whether it answers, and of each service whether it is ready."""
    for name, address in asdict(state.addresses).items():
        if address:
            path = "/readyz" if name in state.environments else "/"
            console.print(f"  {name:14} {address:30} {'ready' if await answers(address + path) else 'not ready'}")
