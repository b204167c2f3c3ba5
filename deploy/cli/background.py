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


async def serve(settings: StackSettings) -> bool:
    """Run the stack until interrupted; what dies is started again."""
    stack = Stack(settings, say=lambda line: print(line, flush=True))
    try:
        await stack.start()
        await stack.keep()
    finally:
        await stack.stop()
    return True


def up(settings: StackSettings, console: Console) -> None:
    """Start a stack in the background and say where it is. Raises ProcessFailedError if it does not start."""
    home = settings.data.absolute()
    log = home / "logs" / "stack.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    if (home / "stack.json").exists() and asyncio.run(_alive(home)):
        raise AlreadyRunningError(f"a stack runs in {home} already: `make down` stops it")
    with log.open("wb") as out:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "deploy.cli", "serve"], stdout=out, stderr=out, cwd=PROJECT, start_new_session=True
        )
    try:
        _follow(keeper, log, home / "stack.json", console)
    except BaseException:
        keeper.terminate()
        keeper.wait(60)
        raise
    asyncio.run(_introduce(read_state(home), console))


async def _alive(home: Path) -> bool:
    return await answers(f"{read_state(home).addresses.gateway}/livez")


def _follow(keeper: "subprocess.Popen[bytes]", log: Path, state: Path, console: Console) -> None:
    """Show what the keeper says until the stack is ready."""
    state.unlink(missing_ok=True)
    with log.open() as said:
        while not state.exists():
            if keeper.poll() is not None:
                raise ProcessFailedError(f"the stack did not start:\n{log.read_text()[-3000:]}")
            console.print(said.read(), end="", markup=False)
            time.sleep(_LOOK_EVERY_SECONDS)
        console.print(said.read(), end="", markup=False)


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
