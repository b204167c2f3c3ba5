"""The floor under webhooks: as many rows like theirs, each inserted and committed by itself, by pgbench."""

import asyncio
import re
from pathlib import Path

import asyncpg

from deploy.embedded.databases import ServiceDatabase
from deploy.embedded.postgres import binaries

_TABLE = """
DROP TABLE IF EXISTS bench_event;
CREATE TABLE bench_event (LIKE stripe_event INCLUDING ALL)"""

_TRANSACTION = """\
INSERT INTO bench_event (id, type, object_id, livemode, api_version, created, body, received_at)
VALUES ('evt_' || gen_random_uuid(), 'payment_intent.succeeded', 'pi_' || gen_random_uuid(), false, '2026-10-28.endive',
        now(), convert_to(:body, 'UTF8'), now());
"""


async def rows_per_second(
    database: ServiceDatabase, folder: Path, body: bytes, *, clients: int, seconds: float
) -> float:
    """Insert for so long with so many clients; answers rows a second."""
    conn = await asyncpg.connect(database.owner_url)
    await conn.execute(_TABLE)
    script = folder / "insert.sql"
    script.write_text(_TRANSACTION)
    process = await asyncio.create_subprocess_exec(
        *(str(binaries() / "pgbench"), "--no-vacuum", "--protocol=prepared", f"--file={script}"),
        *(f"--client={clients}", "--jobs=1", f"--time={seconds:.0f}", "-D", f"body={body.decode()}"),
        database.owner_url,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    rate = re.search(rb"tps = ([\d.]+)", said)
    if process.returncode != 0 or rate is None:
        raise RuntimeError(f"pgbench failed with code {process.returncode}: {said.decode()}")
    await conn.execute("DROP TABLE bench_event")
    await conn.close()
    return float(rate[1])
