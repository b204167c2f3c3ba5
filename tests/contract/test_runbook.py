"""What the runbook tells operators to run can be run, as it stands, by the services' own roles."""

import asyncio
import os
import re
import sys
from datetime import UTC, datetime
from itertools import product

import pytest

from deploy.embedded.databases import SERVICES
from deploy.generate.documents import PROJECT
from libs.chassis import outbox
from libs.chassis.migrations import statements
from libs.chassis.pool import Pool
from libs.contracts import ids
from libs.contracts.events import AccountOpened
from tests.support.databases import ServicePool

RUNBOOK = (PROJECT / "docs" / "runbook.md").read_text("utf-8")
SQL = re.findall(r"^```sql\n-- (every service|\w+)[^\n]*\n(.*?)^```", RUNBOOK, flags=re.DOTALL | re.MULTILINE)
SCRIPTS = re.findall(r"<<'END'\n(.*?)^END$", RUNBOOK, flags=re.DOTALL | re.MULTILINE)
REPUBLISH, AUDIT = SCRIPTS

IN_EACH = [
    pytest.param(service, text, id=f"{service}: {' '.join(text.split())[:60]}")
    for (where, text), service in product(SQL, SERVICES)
    if where in (service, "every service")
]


def test_every_statement_says_where_it_belongs() -> None:
    assert len(SQL) == RUNBOOK.count("```sql") > 10


@pytest.mark.parametrize(("service", "text"), IN_EACH)
async def test_a_statement_can_be_run_by_the_services_own_role(
    service_pool: ServicePool, service: str, text: str
) -> None:
    pool = await service_pool(service, size=2)
    async with pool.transaction() as conn:
        for statement in statements(text):
            await conn.execute(statement)


async def run(script: str, **environment: str) -> str:
    """Run a script as the shell would."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-"),
        cwd=PROJECT,
        env={**os.environ, **environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate(script.encode())
    assert process.returncode == 0
    return said.decode()


async def tell(pool: Pool) -> None:
    """Have something in the outbox that was published."""
    opened = AccountOpened(account=ids.new_id(), user=ids.new_id(), email="ada@example.com", name="Ada")
    async with pool.transaction() as conn:
        await outbox.append(conn, opened, at=datetime.now(UTC))
        await conn.execute("UPDATE outbox SET published_at = recorded_at")


async def test_the_script_for_a_lost_broker_has_everything_published_again(service_pool: ServicePool) -> None:
    pool = await service_pool("gateway", size=2)
    await tell(pool)
    url = service_pool.urls("gateway").app_url
    assert await run(REPUBLISH, DATABASE_URL=url, SINCE="2020-01-01T00:00:00+00:00") == "1 rows\n"
    async with pool.connection() as conn:
        assert await conn.fetchval("SELECT count(*) FROM outbox WHERE published_at IS NULL") == 1


@pytest.mark.parametrize("service", SERVICES)
async def test_the_script_that_audits_finds_a_fresh_deployment_right(service_pool: ServicePool, service: str) -> None:
    await service_pool(service, size=2)
    said = await run(AUDIT, DATABASE_URL=service_pool.urls(service).app_url, SERVICE=service)
    assert said.splitlines()
    assert all(line.endswith("\t0") for line in said.splitlines())
