"""Charges over HTTP: burnt once, refused with a reason, given back."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from libs.contracts import ids
from libs.contracts.http.spending_v1 import Charge, ChargeBatchDone, ChargeMade, ChargeRefunded
from tests.integration.credits.serving import Api, problem
from tests.support.ledger import Credits

BOOKING = {"type": "booking", "id": "b-1"}


async def a_charge(api: Api, account: UUID, amount: str = "4", **more: Any) -> str:
    answer = await api.charge(account, amount, **more)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_a_charge_burns_and_says_what_is_left(credits: Credits, api: Api) -> None:
    account = await credits.open()
    more: dict[str, Any] = {
        "reference": BOOKING,
        "description": "A lesson",
        "metadata": {"Room": "7"},
        "properties": {"hours": 2},
    }
    answer = await api.charge(account, "2.5", **more)
    made = ChargeMade.model_validate_json(answer.content)
    assert (made.account, made.credits, made.refunded) == (account, 2_500_000, 0)
    assert (made.description, made.metadata, made.properties) == ("A lesson", {"Room": "7"}, {"hours": 2})
    assert answer.json()["reference"] == BOOKING
    assert (made.balance.available, made.balance.held, made.balance.sequence) == (7_500_000, 0, 2)
    shown = await api.get(f"/charges/{ids.show('charge', made.id)}", account=account)
    assert Charge.model_validate_json(shown.content) == Charge(**made.model_dump(exclude={"balance"}))


async def test_a_metered_charge_costs_what_the_price_book_says(credits: Credits, api: Api) -> None:
    account = await credits.open()
    answer = await api.charge(account, None, meter="video", quantity="1.5", properties={"resolution": "720p"})
    made = ChargeMade.model_validate_json(answer.content)
    assert (made.credits, made.meter, str(made.quantity)) == (10_000_000, "video", "1.5")


async def test_what_is_not_covered_is_a_402_that_says_what_lacks_and_changes_nothing(
    credits: Credits, api: Api
) -> None:
    account = await credits.open()
    answer = await api.charge(account, "10.000001")
    assert problem(answer) == (402, "PAY001")
    assert (answer.json()["required"], answer.json()["available"]) == ("10.000001", "10")
    assert await credits.available(account) == 10_000_000


async def test_a_retry_under_its_key_is_answered_to_the_letter_and_burns_nothing(credits: Credits, api: Api) -> None:
    account = await credits.open()
    first = await api.charge(account, "3", key="once")
    again = await api.charge(account, "3", key="once")
    assert (again.status_code, again.content) == (201, first.content)
    assert ("idempotency-replayed" in first.headers, again.headers["idempotency-replayed"]) == (False, "true")
    assert await credits.available(account) == 7_000_000


async def test_a_refusal_under_a_key_stays_one_whatever_comes_in_between(credits: Credits, api: Api) -> None:
    account = await credits.open()
    assert problem(await api.charge(account, "11", key="once")) == (402, "PAY001")
    await credits.tell_payment(account, "50")
    again = await api.charge(account, "11", key="once")
    assert problem(again) == (402, "PAY001")
    assert (again.json()["required"], again.json()["available"]) == ("11", "10")


async def test_another_order_under_a_known_key_is_refused(credits: Credits, api: Api) -> None:
    account = await credits.open()
    await api.charge(account, "3", key="once")
    assert problem(await api.charge(account, "4", key="once")) == (422, "PAY009")
    assert problem(await api.hold(account, "3", key="once")) == (422, "PAY009")
    assert await credits.available(account) == 7_000_000


async def test_the_same_key_of_another_caller_is_another_key(credits: Credits, api: Api) -> None:
    account = await credits.open()
    body = {"account": ids.show("account", account), "amount": "1"}
    answers = [await api.post("/charges", body, key="once", caller=caller) for caller in ("user:1", "user:2")]
    assert len({answer.json()["id"] for answer in answers}) == 2


async def test_a_reference_is_charged_once_whatever_the_key(credits: Credits, api: Api) -> None:
    account, other = await credits.open(), await credits.open()
    first = await a_charge(api, account, "3", reference=BOOKING)
    assert await a_charge(api, account, "3", reference=BOOKING) == first
    assert await a_charge(api, other, "3", reference=BOOKING) != first
    assert await credits.available(account) == 7_000_000


async def test_a_reference_that_was_charged_another_amount_is_refused(credits: Credits, api: Api) -> None:
    account = await credits.open()
    first = await a_charge(api, account, "3", reference=BOOKING)
    answer = await api.charge(account, "4", reference=BOOKING)
    assert problem(answer) == (409, "PAY041")
    assert (answer.json()["charge"], answer.json()["charged"]) == (first, "3")
    assert await credits.available(account) == 7_000_000


async def test_fifty_charges_at_once_on_a_balance_for_ten_accept_exactly_ten(credits: Credits, api: Api) -> None:
    account = await credits.open()
    answers = await asyncio.gather(*(api.charge(account) for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [201] * 10 + [402] * 40
    assert await credits.available(account) == 0


async def test_a_full_refund_restores_the_very_lots(credits: Credits, api: Api) -> None:
    account = await credits.open_with("50")
    charge = await a_charge(api, account, "12")
    answer = await api.post(f"/charges/{charge}/refunds", {}, account=account)
    done = ChargeRefunded.model_validate_json(answer.content)
    assert (answer.status_code, done.credits, done.charge.refunded) == (201, 12_000_000, 12_000_000)
    assert done.balance.available == 60_000_000
    balance = await credits.balance(account)
    assert balance.by_kind == {"promotional": 10_000_000, "purchased": 50_000_000}
    assert balance.totals.spent == 0


async def test_refunds_in_parts_never_exceed_the_charge(credits: Credits, api: Api) -> None:
    account = await credits.open()
    refunds = f"/charges/{await a_charge(api, account, '4')}/refunds"
    assert (await api.post(refunds, {"amount": "1.5"}, account=account)).json()["charge"]["refunded"] == "1.5"
    above = await api.post(refunds, {"amount": "2.500001"}, account=account)
    assert (problem(above), above.json()["left"]) == ((422, "PAY040"), "2.5")
    assert (await api.post(refunds, {}, account=account)).json()["credits"] == "2.5"
    assert problem(await api.post(refunds, {}, account=account)) == (422, "PAY040")
    assert await credits.available(account) == 10_000_000


async def test_a_refund_retried_under_its_key_gives_back_once(credits: Credits, api: Api) -> None:
    account = await credits.open()
    refunds = f"/charges/{await a_charge(api, account, '4')}/refunds"
    answers = [await api.post(refunds, {"amount": "1"}, key="once", account=account) for _ in range(3)]
    assert len({answer.content for answer in answers}) == 1
    assert problem(await api.post(refunds, {"amount": "2"}, key="once", account=account)) == (422, "PAY009")
    assert await credits.available(account) == 7_000_000


async def test_refunds_of_one_charge_at_once_give_back_no_more_than_it_burnt(credits: Credits, api: Api) -> None:
    account = await credits.open()
    refunds = f"/charges/{await a_charge(api, account, '4')}/refunds"
    answers = await asyncio.gather(*(api.post(refunds, {"amount": "1"}, account=account) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [201] * 4 + [422] * 6
    given = sorted(a.json()["charge"]["refunded"] for a in answers if a.status_code == 201)
    assert given == ["1", "2", "3", "4"]


async def test_a_charge_of_another_account_is_not_there(credits: Credits, api: Api) -> None:
    account, other = await credits.open(), await credits.open()
    charge = await a_charge(api, account)
    assert problem(await api.get(f"/charges/{charge}", account=other)) == (404, "PAY010")
    assert problem(await api.post(f"/charges/{charge}/refunds", {}, account=other)) == (404, "PAY010")
    assert await credits.available(account) == 6_000_000


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": "0"},
        {"amount": "-1"},
        {"amount": "0.0000001"},
        {"amount": "9223372036854.775808"},
        {"amount": 5},
        {"amount": 0.5},
        {"amount": True},
        {"amount": "1e3"},
        {"amount": "1", "meter": "video"},
        {"amount": "1", "quantity": "2"},
        {},
        {"meter": "video", "quantity": "-1"},
        {"amount": "1", "colour": "red"},
        {"amount": "1", "reference": "booking"},
        {"amount": "1", "reference": {"type": "Booking!", "id": "1"}},
        {"amount": "1", "reference": {"type": "booking", "id": ""}},
        {"amount": "1", "description": "\x00"},
        {"amount": "1", "description": "x" * 501},
        {"amount": "1", "metadata": {"a": 1}},
        {"amount": "1", "metadata": {"a b": "1"}},
        {"amount": "1", "metadata": {str(i): "" for i in range(51)}},
        {"amount": "1", "account": "me"},
        {"amount": "1", "account": None},
    ],
    ids=str,
)
async def test_an_order_that_cannot_be_read_is_a_clear_problem(
    credits: Credits, api: Api, wrong: dict[str, Any]
) -> None:
    account = await credits.open()
    answer = await api.post("/charges", {"account": ids.show("account", account)} | wrong)
    assert problem(answer) == (422, "PAY007")
    assert answer.json()["errors"][0]["where"].startswith("body")
    assert await credits.available(account) == 10_000_000


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"amount":"\\ud800"}'])
async def test_a_body_that_is_no_json_object_is_a_clear_problem(api: Api, body: bytes) -> None:
    assert problem(await api.post("/charges", body or b" ")) == (422, "PAY007")


async def test_an_order_that_has_no_price_is_refused_with_its_code(credits: Credits, api: Api) -> None:
    account = await credits.open()
    assert problem(await api.charge(account, None, meter="teleport")) == (422, "PAY021")
    assert problem(await api.charge(account, None, meter="video", properties={"resolution": "8k"})) == (422, "PAY022")


async def test_unknown_and_frozen_accounts_are_not_charged(credits: Credits, api: Api) -> None:
    assert problem(await api.charge(ids.new_id())) == (404, "PAY028")
    account = await credits.open()
    async with credits.pool.connection() as conn:
        await conn.execute("UPDATE account SET state = 'frozen' WHERE id = $1", account)
    assert problem(await api.charge(account)) == (409, "PAY023")
    assert await credits.available(account) == 10_000_000


async def test_who_has_no_token_key_or_caller_is_refused(credits: Credits, api: Api) -> None:
    account = await credits.open()
    body = {"account": ids.show("account", account), "amount": "1"}
    assert problem(await api.post("/charges", body, headers={"Authorization": "Bearer x"})) == (401, "PAY011")
    assert problem(await api.post("/charges", body, headers={"Authorization": ""})) == (401, "PAY011")
    assert problem(await api.post("/charges", body, key="x" * 256)) == (400, "PAY008")
    assert problem(await api.post("/charges", body, headers={"Idempotency-Key": ""})) == (400, "PAY008")
    assert problem(await api.post("/charges", body, caller="")) == (422, "PAY007")
    assert await credits.available(account) == 10_000_000


async def test_a_batch_answers_each_charge_by_itself(credits: Credits, api: Api) -> None:
    account, poor = await credits.open(), await credits.open()
    name, poor_name = ids.show("account", account), ids.show("account", poor)
    rows = [
        {"account": name, "amount": "4"},
        {"account": poor_name, "amount": "11"},
        {"account": name, "amount": "-1"},
        "nonsense",
        {"account": name, "meter": "teleport"},
        {"account": ids.show("account", ids.new_id()), "amount": "1"},
        {"account": name, "amount": "7"},
        {"account": name, "amount": "6", "reference": BOOKING},
        {"account": name, "amount": "6", "reference": BOOKING},
    ]
    answer = await api.post("/charges/batch", {"charges": rows})
    done = ChargeBatchDone.model_validate_json(answer.content)
    assert [row.status for row in done.data] == [201, 402, 422, 422, 422, 404, 402, 201, 201]
    codes = [row.problem.code for row in done.data if row.problem]
    assert codes == ["PAY001", "PAY007", "PAY007", "PAY021", "PAY028", "PAY001"]
    assert done.data[7].charge is not None
    assert done.data[8].charge is not None
    assert done.data[7].charge.id == done.data[8].charge.id
    assert (await credits.available(account), await credits.available(poor)) == (0, 10_000_000)


async def test_a_batch_retried_under_its_key_burns_once(credits: Credits, api: Api) -> None:
    account = await credits.open()
    body = {"charges": [{"account": ids.show("account", account), "amount": "1"}] * 3}
    first, again = [await api.post("/charges/batch", body, key="once") for _ in range(2)]
    assert first.content == again.content
    assert await credits.available(account) == 7_000_000


async def test_a_batch_for_one_account_charges_no_other(credits: Credits, api: Api) -> None:
    account, other = await credits.open(), await credits.open()
    rows = [{"amount": "1"}, {"amount": "1", "account": ids.show("account", other)}]
    answer = await api.post("/charges/batch", {"account": ids.show("account", account), "charges": rows})
    assert [row["status"] for row in answer.json()["data"]] == [201, 404]
    assert await credits.available(other) == 10_000_000


async def test_a_batch_of_nothing_or_too_much_is_refused(api: Api) -> None:
    for rows in (0, 1001):
        assert problem(await api.post("/charges/batch", {"charges": [{}] * rows})) == (422, "PAY007")


async def test_charges_and_refunds_are_transactions_that_can_be_listed(credits: Credits, api: Api) -> None:
    account = await credits.open()
    charge = await a_charge(api, account, "4", metadata={"room": "7"})
    await api.post(f"/charges/{charge}/refunds", {"amount": "1"}, account=account)
    await api.placed(account, "2")
    page = await api.get(f"/accounts/{ids.show('account', account)}/transactions")
    told = [(row["type"], row["credits"], row["balance_after"]) for row in page.json()["data"]]
    assert told == [("hold", "-2", "5"), ("charge_refund", "1", "7"), ("charge", "-4", "6"), ("bonus", "10", "10")]
    assert page.json()["data"][2]["metadata"] == {"room": "7"}


async def test_a_body_beyond_bounds_and_a_wrong_method_are_clear_problems(api: Api) -> None:
    assert problem(await api.post("/charges", b" " * 9_000_000)) == (413, "PAY025")
    assert problem(await api.get("/charges")) == (405, "PAY026")


async def test_an_answer_carries_the_request_id_and_the_charge_is_measured(credits: Credits, api: Api) -> None:
    account = await credits.open()
    body = {"account": ids.show("account", account), "amount": "1"}
    for order in (body, body | {"amount": "99"}):
        answer = await api.post("/charges", order, headers={"X-Request-Id": "req-1"})
        assert answer.headers["x-request-id"] == "req-1"
    assert answer.json()["request_id"] == "req-1"
    metrics = (await api.http.get("/metrics")).text
    assert 'route="/internal/v1/charges",status="402"' in metrics
