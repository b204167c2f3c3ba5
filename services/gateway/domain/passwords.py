"""Passwords: hashed with argon2id, which costs 64 MiB and some 80 ms each, so only a few at a time."""

import asyncio
import os

from pwdlib import PasswordHash

_AT_ONCE = max(2, os.cpu_count() or 1)

_NOBODYS = "$argon2id$v=19$m=65536,t=3,p=4$0ejeRPuVekg85PDg2S+DBw$PaAZsgxIi4N9gLcVE8+SJa1NTQ67eZ22AEO1Ye6V0bs"
"""The hash of a password that was drawn and forgotten; to check one against it costs what checking any costs."""


class Passwords:
    """Hashes and checks passwords in threads; argon2 lets others run meanwhile."""

    def __init__(self) -> None:
        self._argon2id = PasswordHash.recommended()
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def hash(self, password: str) -> str:
        """Hash a password for keeping."""
        async with self._gate:
            return await asyncio.to_thread(self._argon2id.hash, password)

    async def fits(self, password: str, known: str | None) -> bool:
        """Tell whether the password has this hash. Without one (nobody has that e-mail) it is False after as long."""
        async with self._gate:
            fits = await asyncio.to_thread(self._argon2id.verify, password, known or _NOBODYS)
        return fits and known is not None
