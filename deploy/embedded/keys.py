"""Keys of a local stack, made once in its data folder: the services' own, and the gateway's for its users' tokens."""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from libs.chassis.tokens import new_key

WEBHOOK_SECRET = "webhook-secret"  # noqa: S105 - a file's name


@dataclass(frozen=True, slots=True)
class Keys:
    """Where the keys lie."""

    folder: Path

    def private(self, name: str) -> Path:
        """Where a private key (one JWK) lies."""
        return self.folder / f"{name}.json"

    @property
    def public(self) -> Path:
        """Where the services' public keys (a JWK set) lie."""
        return self.folder / "services.json"

    def webhook_secret(self) -> str:
        """Read the secret that webhooks are signed with."""
        return (self.folder / WEBHOOK_SECRET).read_text("ascii")


def make_keys(folder: Path, services: Sequence[str]) -> Keys:
    """Make the keys that are not there yet."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys = Keys(folder)
    if not keys.public.exists():
        made = {name: new_key(name) for name in (*services, "access")}
        for name, key in made.items():
            _write(keys.private(name), json.dumps(key.as_dict(private=True)))
        _write(folder / WEBHOOK_SECRET, f"whsec_{secrets.token_urlsafe(32)}")
        _write(keys.public, json.dumps({"keys": [made[name].as_dict(private=False) for name in services]}))
    return keys


def _write(file: Path, text: str) -> None:
    file.touch(mode=0o600)
    file.write_text(text, "ascii")
