"""The mailbox as a supervised process."""

import sys
from pathlib import Path

from deploy.embedded.processes import Process
from deploy.embedded.readiness import answers, listens
from deploy.embedded.settings import PROJECT


class Mail:
    """One mailbox (`mailbox.py`) with its mails in `home/mail`."""

    name = "mailbox"

    def __init__(self, home: Path, *, smtp_port: int, http_port: int) -> None:
        self.url = f"smtp://127.0.0.1:{smtp_port}"
        self.page_url = f"http://127.0.0.1:{http_port}"
        self._smtp_port = smtp_port
        ports = [f"--smtp-port={smtp_port}", f"--http-port={http_port}"]
        self.process = Process(
            "mailbox",
            [sys.executable, "-m", "deploy.embedded.mailbox", *ports, f"--folder={home / 'mail'}"],
            home=home,
            ready=self._answers,
            cwd=PROJECT,
        )

    async def start(self) -> None:
        """Start it with the mails it has."""
        await self.process.start()

    async def stop(self) -> None:
        """Stop it; a mail it has acknowledged is on disk."""
        await self.process.stop()

    async def _answers(self) -> bool:
        return await listens(self._smtp_port) and await answers(f"{self.page_url}/messages")
