"""Credits set aside while the money that paid for them may go back: nobody spends them, nobody else frees them."""

from typing import Any
from uuid import UUID

import httpx2

from libs.contracts import ids
from libs.contracts.credits import MICRO
from libs.contracts.events import PaymentSucceeded
from services.credits.operations import payments
from services.credits.operations.expiry import settle_due
from services.credits.operations.returns import hold_of
from tests.integration.credits.serving import Api, problem
from tests.integration.credits.travelling import Travel
from tests.support.ledger import Credits, paid, refunded


async def bought(credits: Credits, amount: str = "50") -> PaymentSucceeded:
    payment = paid(await credits.open(), amount)
    await credits.tell(payment)
    return payment


async def set_aside(api: Api, payment: PaymentSucceeded, refund: UUID, amount: str, **more: Any) -> httpx2.Response:
    account, name = ids.show("account", payment.account), ids.show("refund", refund)
    order = {"purchase": ids.show("purchase", payment.purchase), "whole": False, **more}
    order.setdefault("lots", [{"kind": "purchased", "credits": amount}])
    return await api.put(f"/accounts/{account}/refunds/{name}/set-aside", order)


async def lots(api: Api, payment: PaymentSucceeded) -> list[dict[str, str]]:
    account, purchase = ids.show("account", payment.account), ids.show("purchase", payment.purchase)
    found: list[dict[str, str]] = (await api.get(f"/accounts/{account}/purchases/{purchase}/lots")).json()["lots"]
    return found


async def has(credits: Credits, payment: PaymentSucceeded) -> tuple[int, int, int]:
    balance = await credits.balance(payment.account)
    return balance.available // MICRO, balance.held // MICRO, balance.debt // MICRO


async def test_what_is_set_aside_is_held_once_and_shown_with_its_lot(credits: Credits, api: Api) -> None:
    payment, refund = await bought(credits), ids.new_id()
    for _ in range(2):
        answer = await set_aside(api, payment, refund, "30")
        assert answer.json() == {"lots": [{"kind": "purchased", "set_aside": "30"}]}
    assert await has(credits, payment) == (30, 30, 0)
    assert await lots(api, payment) == [
        {"kind": "purchased", "granted": "50", "remaining": "20", "taken_back": "0", "set_aside": "30"}
    ]


async def test_all_or_nothing_is_set_aside_if_it_is_to_be_whole(credits: Credits, api: Api) -> None:
    payment = await bought(credits)
    assert (await api.charge(payment.account, "35")).status_code == 201
    refused = await set_aside(api, payment, ids.new_id(), "50", whole=True)
    assert problem(refused) == (409, "PAY046")
    assert await has(credits, payment) == (25, 0, 0)
    assert (await set_aside(api, payment, ids.new_id(), "50")).json()["lots"][0]["set_aside"] == "25"


async def test_it_is_set_aside_of_frozen_and_closed_accounts_too(credits: Credits, api: Api) -> None:
    payment = await bought(credits)
    account = ids.show("account", payment.account)
    await api.post(f"/accounts/{account}/freeze", {"reason": "a dispute"})
    assert (await set_aside(api, payment, ids.new_id(), "10")).status_code == 200
    await api.post(f"/accounts/{account}/close", {"reason": "a dispute", "force": True})
    assert (await set_aside(api, payment, ids.new_id(), "10")).status_code == 200
    assert await has(credits, payment) == (40, 20, 0)


async def test_nobody_releases_captures_or_lists_what_is_set_aside(credits: Credits, api: Api) -> None:
    payment, refund = await bought(credits), ids.new_id()
    await set_aside(api, payment, refund, "30")
    hold = ids.show("hold", hold_of(refund.hex, "purchased"))
    for verb, body in (("release", {}), ("capture", {"amount": "1"}), ("extend", {"expires_in": 60})):
        answer = await api.post(f"/holds/{hold}/{verb}", body, account=payment.account)
        assert problem(answer) == (404, "PAY010")
    assert (await api.get("/holds", account=payment.account)).json()["data"] == []
    assert problem(await api.get(f"/holds/{hold}", account=payment.account)) == (404, "PAY010")


async def test_a_refund_takes_what_was_set_aside_for_it_and_frees_the_rest(credits: Credits, api: Api) -> None:
    payment, refund = await bought(credits), ids.new_id()
    await set_aside(api, payment, refund, "30")
    told = refunded(payment, "20", revision=2).model_copy(update={"refunds": [refund]})
    await payments.settle(credits.pool, credits.ledger, [told, told])
    assert await has(credits, payment) == (40, 0, 0)
    assert (await lots(api, payment))[0]["taken_back"] == "20"


async def test_what_is_set_aside_for_another_refund_stays_so(credits: Credits, api: Api) -> None:
    payment, refund, another = await bought(credits), ids.new_id(), ids.new_id()
    await set_aside(api, payment, refund, "30")
    await set_aside(api, payment, another, "20")
    told = refunded(payment, "30", revision=2).model_copy(update={"refunds": [refund]})
    await payments.settle(credits.pool, credits.ledger, [told])
    assert await has(credits, payment) == (10, 20, 0)


async def test_what_is_over_is_free_also_when_later_news_of_the_payment_came_before(credits: Credits, api: Api) -> None:
    payment, refund, another = await bought(credits), ids.new_id(), ids.new_id()
    await set_aside(api, payment, refund, "30")
    await set_aside(api, payment, another, "15")
    older = refunded(payment, "10", revision=2).model_copy(update={"refunds": [refund]})
    later = refunded(payment, "20", revision=3).model_copy(update={"refunds": [another]})
    for told in ([later], [older, older], [later, older]):
        await payments.settle(credits.pool, credits.ledger, told)
    assert await has(credits, payment) == (40, 0, 0)
    assert (await lots(api, payment))[0]["taken_back"] == "20"


async def test_what_nobody_tells_the_end_of_is_free_after_a_month(credits: Credits, api: Api, travel: Travel) -> None:
    payment = await bought(credits)
    await set_aside(api, payment, ids.new_id(), "30")
    await travel(days=29)
    await settle_due(credits.pool, credits.ledger, credits.clock)
    assert await has(credits, payment) == (30, 30, 0)
    await travel(days=2)
    await settle_due(credits.pool, credits.ledger, credits.clock)
    assert await has(credits, payment) == (60, 0, 0)


async def test_what_cannot_be_set_aside_is_refused(credits: Credits, api: Api) -> None:
    payment = await bought(credits)
    unheard = paid(payment.account, "10")
    assert problem(await set_aside(api, unheard, ids.new_id(), "10")) == (404, "PAY010")
    for lots_named in (
        [{"kind": "purchased", "credits": "0"}],
        [{"kind": "purchased", "credits": 1}],
        [{"kind": "gold", "credits": "1"}],
        [{"kind": "purchased"}],
    ):
        refused = await set_aside(api, payment, ids.new_id(), "1", lots=lots_named)
        assert problem(refused) == (422, "PAY007")
    assert await lots(api, unheard) == []
    assert await has(credits, payment) == (60, 0, 0)
