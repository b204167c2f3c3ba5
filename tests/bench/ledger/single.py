"""Single requests: charges and holds over HTTP, and the floor under them, a plain SQL transaction each."""

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg

from deploy.embedded.databases import SERVICES
from deploy.embedded.keys import make_keys
from deploy.embedded.postgres import binaries
from libs.chassis.tokens import signer
from libs.contracts import ids
from tests.bench.ledger.cell import Cell

LOADER = Path(__file__).with_name("load.c")
Mode = Literal["charge", "hold", "batch"]

_TABLES = """
DROP TABLE IF EXISTS bench_sql, bench_sql_entry;
CREATE TABLE bench_sql (n int PRIMARY KEY, available bigint NOT NULL) WITH (fillfactor = 60);
CREATE TABLE bench_sql_entry (n int NOT NULL, id bigint GENERATED ALWAYS AS IDENTITY, amount bigint NOT NULL,
                              at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (n, id));
INSERT INTO bench_sql SELECT n, 1000000000000000 FROM generate_series(1, {accounts}) AS n;
VACUUM (ANALYZE) bench_sql"""

_TRANSACTION = """\\set n random(1, {accounts})
BEGIN;
UPDATE bench_sql SET available = available - 500000 WHERE n = :n AND available >= 500000;
INSERT INTO bench_sql_entry (n, amount) VALUES (:n, 500000);
COMMIT;
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a load of requests met: how many a second were answered, and how long an answer took."""

    per_second: float
    p50_ms: float
    p99_ms: float


async def sql(cell: Cell, *, accounts: int, clients: int, seconds: int) -> Asked:
    """Run pgbench: an update that needs enough, and an insert, in a transaction each time."""
    conn = await asyncpg.connect(cell.database.owner_url)
    for statement in _TABLES.format(accounts=accounts).split(";\n"):
        await conn.execute(statement)
    await conn.close()
    script = cell.folder / "transaction.sql"
    script.write_text(_TRANSACTION.format(accounts=accounts))
    said = await _run(
        *(str(binaries() / "pgbench"), "--no-vacuum", "--protocol=prepared", f"--file={script}"),
        *(f"--client={clients}", "--jobs=1", f"--time={seconds}", cell.database.owner_url),
    )
    rate = re.search(r"tps = ([\d.]+)", said)
    latency = re.search(r"latency average = ([\d.]+)", said)
    if rate is None or latency is None:
        raise RuntimeError(f"pgbench said nothing we understand: {said}")
    return Asked(float(rate[1]), float(latency[1]), 0)


@asynccontextmanager
async def api(cell: Cell) -> AsyncIterator[int]:
    """Run one process that answers; gives its port."""
    process = cell.worker("api", "api")
    await process.start()
    try:
        yield int(process.env["SCRIP_CREDITS_PORT"])
    finally:
        await process.stop()


async def load(
    cell: Cell, port: int, mode: Mode, *, accounts: Sequence[UUID], connections: int, seconds: float
) -> Asked:
    """Ask for so long over so many connections. Raises RuntimeError if an answer was no success."""
    loader, file = _compiled(cell.folder), cell.folder / "accounts"
    file.write_text("\n".join(ids.show("account", account) for account in accounts))
    token = signer("gateway", make_keys(cell.folder, SERVICES).private("gateway")).token("credits")
    said = json.loads(await _run(str(loader), str(port), str(connections), str(seconds), mode, token, str(file)))
    if said["failed"]:
        raise RuntimeError(f"{said['failed']} of {said['requests']} requests failed")
    return Asked(said["requests"] / said["seconds"], said["p50_us"] / 1000, said["p99_us"] / 1000)


def _compiled(folder: Path) -> Path:
    """Compile the load generator, once. Raises RuntimeError where there is no C compiler."""
    loader, compiler = folder / "load", shutil.which("cc")
    if compiler is None:
        raise RuntimeError("the load generator is written in C: install a C compiler, such as gcc")
    if not loader.exists():
        subprocess.run([compiler, "-O2", "-D_GNU_SOURCE", "-o", str(loader), str(LOADER)], check=True)
    return loader


async def _run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{urlsplit(command[0]).path} failed with code {process.returncode}")
    return said.decode()
