"""`python -m deploy.embedded`: run the servers in the foreground until interrupted; `down` stops those that run."""

import argparse
import asyncio
import sys

from deploy.embedded.claim import AlreadyRunningError, stop_running
from deploy.embedded.infrastructure import Infrastructure
from deploy.embedded.interrupts import cancelled_by_signals
from deploy.embedded.jars import JarUnavailableError
from deploy.embedded.processes import ProcessFailedError
from deploy.embedded.settings import Settings


async def up(settings: Settings) -> None:
    """Start the servers, print their addresses as a shell takes them, and wait."""
    with cancelled_by_signals():
        async with Infrastructure(settings, say=_say) as infrastructure:
            for name, address in infrastructure.environment().items():
                print(f"export {name}='{address}'", flush=True)
            _say(f"Mailbox at {infrastructure.mailbox_url}. Ctrl-C stops all.")
            await infrastructure.watch()


def down(settings: Settings) -> None:
    """Stop the servers of this data folder, whoever started them."""
    _say("Stopped." if stop_running(settings.data.absolute()) else f"Nothing runs in {settings.data}.")


def _say(line: str) -> None:
    print(f"# {line}", flush=True)


def main() -> None:
    """Read the command line and do it."""
    options = argparse.ArgumentParser(prog="python -m deploy.embedded", description=__doc__)
    options.add_argument("command", nargs="?", choices=["up", "down"], default="up")
    try:
        if options.parse_args().command == "up":
            asyncio.run(up(Settings()))
            _say("Stopped.")
        else:
            down(Settings())
    except (AlreadyRunningError, JarUnavailableError, ProcessFailedError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
