from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from libs.contracts import ids
from libs.contracts.credits import LARGEST
from libs.contracts.envelope import CloudEvent
from libs.contracts.events import BalanceChanged
from services.credits.operations.announcements import written
from services.credits.store.accounts import AccountBalance

AMOUNTS = st.integers(0, LARGEST)
INSTANTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds


@given(st.builds(AccountBalance, st.uuids(), AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS), INSTANTS)
def test_a_balance_is_written_as_its_event_would_be(balance: AccountBalance, at: datetime) -> None:
    event, ours = balance.event(at), CloudEvent.decode(written(balance, at).payload)
    assert BalanceChanged.of(ours) == event
    assert ours.model_copy(update={"id": ""}) == event.envelope(at=at).model_copy(update={"id": ""})


def test_each_announcement_has_an_id_of_its_own() -> None:
    balance = AccountBalance(ids.new_id(), 1, 2, 3, 4, 5)
    at = datetime(2026, 1, 1, tzinfo=timezone(timedelta(0)))
    told = [CloudEvent.decode(written(balance, at).payload) for _ in range(2)]
    assert told[0].id != told[1].id
    assert all(ids.read("event", event.id) for event in told)
    assert written(balance, at).key == told[0].subject
