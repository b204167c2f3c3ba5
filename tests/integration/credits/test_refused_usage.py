"""What was refused is kept as it came."""

import pytest

from libs.contracts import ids
from services.credits.domain import usage_events
from services.credits.operations import usage
from tests.support.ledger import Credits


@pytest.mark.parametrize(
    "data",
    ['{"quantity":1e400000}', '{"quantity":NaN}', '{"a":"\\u0000"}', '{"properties":{"a":1}},"x":"\\u0000"'],
    ids=["a number beyond all bounds", "no number", "a NUL in its data", "a NUL beside its data"],
)
async def test_a_refused_event_is_kept_as_it_came_whatever_it_holds(credits: Credits, data: str) -> None:
    account = ids.show("account", await credits.open())
    raw = f'{{"id":"1","source":"/s","type":"none","subject":"{account}","data":{data}}}'.encode()
    rated = usage.rated(await credits.timeline(), usage_events.read(raw), credits.clock.now())
    _, refusals = await usage.burn(credits.pool, credits.ledger, [rated])
    assert len(refusals) == 1
    async with credits.pool.connection() as conn:
        assert await conn.fetchval("SELECT event FROM rejected_usage") == raw.decode()
