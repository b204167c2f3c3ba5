"""What a usage event looks like, and what can be none."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from libs.contracts.client import InvalidUsageError
from libs.contracts.client.reports import Report, write_report
from libs.contracts.envelope import CloudEvent
from libs.contracts.events.usage_v1 import UsageCost, UsageData
from libs.contracts.ids import new_id, show

ACCOUNT = new_id()
THEN = datetime(2026, 11, 21, 12, 5, tzinfo=UTC)


def a_report(**changes: Any) -> Report:
    facts: dict[str, Any] = {
        "account": ACCOUNT,
        "meter": "video.generation",
        "quantity": 3,
        "properties": {"resolution": "720p", "watermark": False, "shots": 2},
        "source": "/video/renderer",
        "id": None,
        "time": None,
    }
    return write_report(**{**facts, **changes})


def test_a_report_is_a_cloud_event_about_the_account_by_its_key() -> None:
    report = a_report(id="render-1", time=THEN)
    assert CloudEvent.decode(report.payload) == report.event
    assert report.key == report.event.subject == show("account", ACCOUNT)
    assert (report.event.id, report.event.source, report.event.type) == (
        "render-1",
        "/video/renderer",
        "video.generation",
    )
    assert report.event.time == THEN
    assert UsageData.model_validate(report.event.data) == UsageData(
        quantity=Decimal(3), properties={"resolution": "720p", "watermark": False, "shots": 2}
    )


def test_an_account_is_named_by_its_id_in_either_form() -> None:
    assert a_report(account=ACCOUNT).key == a_report(account=show("account", ACCOUNT)).key


def test_every_report_has_a_uuidv7_of_its_own_and_a_time_unless_they_are_given() -> None:
    first, second = a_report().event, a_report().event
    assert UUID(first.id).version == UUID(second.id).version == 7
    assert first.id != second.id
    assert first.time is not None


def test_who_used_it_may_be_named() -> None:
    assert a_report(actor="user:ada").event.actor == "user:ada"
    assert b"actor" not in a_report().payload


def test_what_it_cost_may_be_said() -> None:
    cost = UsageCost(amount_micros=300, currency="usd")
    assert a_report(cost=cost).event.data["cost"] == {"amount_micros": 300, "currency": "usd"}
    assert b"cost" not in a_report().payload


@pytest.mark.parametrize("quantity", [0, 3, "4.2", "0.000001", Decimal("4.200000"), 10**12])
def test_quantities_are_exact(quantity: Decimal | int | str) -> None:
    assert UsageData.model_validate(a_report(quantity=quantity).event.data).quantity == Decimal(quantity)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"quantity": 4.2}, r"quantity: 4\.2 is not exact"),
        ({"quantity": "a lot"}, "quantity: not a decimal number"),
        ({"quantity": "NaN"}, "quantity: "),
        ({"quantity": -1}, "quantity: .* greater than or equal to 0"),
        ({"quantity": "0.0000001"}, "quantity: .* 6 decimal places"),
        ({"quantity": 10**12 + 1}, "quantity: .* less than or equal to 1000000000000"),
        ({"account": "ada"}, "account: this is not the id of"),
        ({"account": "usr_" + "0" * 32}, "account: "),
        ({"meter": ""}, "meter: "),
        ({"actor": "ada"}, "actor: "),
        ({"meter": "video\x00"}, "meter: .*NUL"),
        ({"source": ""}, "source: "),
        ({"id": "x" * 256}, "id: "),
        ({"time": THEN.replace(tzinfo=None)}, "time: .*timezone"),
        ({"properties": {"Resolution": "720p"}}, "properties.Resolution"),
        ({"properties": {"resolution": 7.2}}, "properties.resolution"),
        ({"properties": {"prompt": "x" * 501}}, "properties.prompt"),
        ({"properties": {f"p{n}": 1 for n in range(51)}}, "properties: "),
    ],
)
def test_what_can_be_no_usage_event_is_said_at_once(wrong: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidUsageError, match=reason):
        a_report(**wrong)
