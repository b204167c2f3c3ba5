"""Whatever happens, the ledger's books are those of the oracle: the same postings, by two programs.

SCRIP_ORACLE_SCRIPTS=5000 plays as many, other ones each time.
"""

import os
from collections.abc import AsyncIterator
from itertools import count

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings

from libs.chassis.pool import Connection, Pool, set_up
from libs.contracts import ids
from services.credits.domain.books import Rules
from tests.support.databases import ServicePool
from tests.support.oracle.disputes import SCRIPTS
from tests.support.oracle.playing import Play, empty
from tests.support.oracle.scripts import RULES, Step
from tests.support.oracle.telling import STORIES, Telling
from tests.support.oracle.telling import Step as Chapter
from tests.support.oracle.working import LIMITED, WORKING

ASKED_FOR = os.environ.get("SCRIP_ORACLE_SCRIPTS")
PROFILE = settings(
    max_examples=int(ASKED_FOR or 400),
    report_multiple_bugs=False,
    derandomize=ASKED_FOR is None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

pytestmark = pytest.mark.timeout(0 if ASKED_FOR else 300)


@pytest.fixture
async def pool(service_pool: ServicePool) -> Pool:
    return await service_pool("credits", size=2)


@pytest.fixture
async def owner(pool: Pool, service_pool: ServicePool) -> AsyncIterator[Connection]:
    conn = await asyncpg.connect(service_pool.urls("credits").owner_url)
    await set_up(conn)
    yield conn
    await conn.close()


@PROFILE
@given(script=SCRIPTS, rules=RULES)
async def test_the_ledger_keeps_the_books_that_the_oracle_keeps(
    pool: Pool, owner: Connection, script: list[Step], rules: Rules
) -> None:
    await empty(owner)
    await Play(pool, rules).run(script)


@settings(PROFILE, max_examples=PROFILE.max_examples // 2)
@given(script=WORKING, rules=LIMITED)
async def test_work_that_is_reserved_is_limited_as_the_oracle_limits_it(
    pool: Pool, owner: Connection, script: list[Step], rules: Rules
) -> None:
    await empty(owner)
    await Play(pool, rules).run(script)


@settings(PROFILE, max_examples=PROFILE.max_examples // 5)
@given(story=STORIES)
async def test_others_are_told_what_the_oracle_would_tell(
    pool: Pool, owner: Connection, monkeypatch: pytest.MonkeyPatch, story: list[Chapter]
) -> None:
    await empty(owner)
    numbers = count(1)
    monkeypatch.setattr(ids, "new_id", lambda: ids.at_millis(next(numbers)))  # so that age is the order of making
    await Telling(pool).run(story)
