"""What outlives the process: every object of the sandbox in one SQLite table."""

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

import orjson

from deploy.stripe_sandbox.errors import Object

Change = tuple[str, str, Object | None]
"""A kind, an id, and the object as it now is; None where it is gone."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS record (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (kind, id)
) STRICT
"""


class Journal:
    """A file of objects. What `save` returned from survives the death of the process.

    A write-ahead log without a sync per commit: the operating system has every commit, so SIGKILL loses
    nothing; a power cut may lose the last ones, which no test of ours plays.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, timeout=1)
        try:
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute(SCHEMA)
        except sqlite3.OperationalError as error:
            self._db.close()
            raise SystemExit(f"Another sandbox uses {path}: {error}") from error

    def load(self) -> Iterator[tuple[str, Object]]:
        """Give every kind and object, oldest first."""
        for kind, body in self._db.execute("SELECT kind, body FROM record ORDER BY seq"):
            yield kind, orjson.loads(body)

    def save(self, changes: Iterable[Change]) -> None:
        """Write all changes or none of them."""
        self._db.execute("BEGIN")
        for kind, name, body in changes:
            self._write(kind, name, body)
        self._db.execute("COMMIT")

    def _write(self, kind: str, name: str, body: Object | None) -> None:
        if body is None:
            self._db.execute("DELETE FROM record WHERE kind = ? AND id = ?", (kind, name))
            return
        self._db.execute(
            "INSERT INTO record (kind, id, body) VALUES (?, ?, ?) "
            "ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
            (kind, name, orjson.dumps(body)),
        )

    def close(self) -> None:
        """Let another process have the file."""
        self._db.close()
