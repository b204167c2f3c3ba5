"""Points: bought for any amount of money, earned by activities, spent by reference."""

import pytest

from deploy.cli.customer import Customer
from deploy.cli.service_apis import credits_api
from deploy.cli.state import read_state
from deploy.embedded.stack import Stack
from libs.chassis.errors import DomainError
from libs.contracts.errors import CREDIT_LIMIT_EXCEEDED
from libs.contracts.http.grants_v1 import ActivityAward, ActivityReport
from tests.e2e.catalogues.story import available, bought, by_kind, history, refunded, usd
from tests.e2e.test_path import mail_to
from tests.e2e.test_spending import Worker

CATALOGUE = "points"


async def earned(stack: Stack, customer: Customer, activity: str, reference: str) -> int:
    """Report an activity; answers how many micro-credits it earned. Raises DomainError."""
    report = ActivityReport(account=customer.account, activity=activity, reference=reference)
    async with credits_api(read_state(stack.home)) as credits:
        return (await credits.post("/activities", report, ActivityAward, caller="service:shop")).credits


async def test_ten_dollars_buy_a_thousand_points_on_top_of_the_welcome(customer: Customer, stack: Stack) -> None:
    assert await available(customer) == "25"
    ten = await bought(customer, amount_money=usd(1000))
    assert (str(ten.quote.price), ten.quote.description) == ("10.00 USD", "1000 points")
    assert await available(customer) == "1025"
    assert "1000 points" in await mail_to(stack, customer, "receipt")
    await bought(customer, amount_money=usd(500))
    assert await by_kind(customer) == {"promotional": "25", "purchased": "1500"}
    assert await history(customer) == [("bonus", "25"), ("purchase", "1000"), ("purchase", "500")]


async def test_activities_earn_points_as_often_as_they_may(customer: Customer, stack: Stack) -> None:
    for _ in range(2):
        assert await earned(stack, customer, "daily-visit", "first") == 5_000_000
    with pytest.raises(DomainError) as refused:
        await earned(stack, customer, "daily-visit", "second")
    assert refused.value.code == CREDIT_LIMIT_EXCEEDED
    await earned(stack, customer, "review", "of a book")
    await earned(stack, customer, "referral", "of a friend")
    assert await available(customer) == "150"
    assert await history(customer) == [("bonus", "25"), ("earned", "5"), ("earned", "20"), ("earned", "100")]


async def test_what_was_spent_for_a_reference_comes_back_and_a_refunded_payment_takes_its_points(
    customer: Customer, worker: Worker, stack: Stack
) -> None:
    purchase = await bought(customer, amount_money=usd(1000))
    order = {"amount": "300", "reference": {"type": "order", "id": "17"}}
    charge = await worker.done("/v1/charges", order)
    assert (await worker.done("/v1/charges", order))["id"] == charge["id"]
    assert await by_kind(customer) == {"purchased": "725"}
    await worker.done(f"/v1/charges/{charge['id']}/refunds", {})
    assert await by_kind(customer) == {"promotional": "25", "purchased": "1000"}
    await refunded(customer, purchase, credits=1000)
    assert await by_kind(customer) == {"promotional": "25"}
    assert "10.00 USD" in await mail_to(stack, customer, "refund")
    assert await history(customer) == [
        ("bonus", "25"),
        ("purchase", "1000"),
        ("charge", "-300"),
        ("charge_refund", "300"),
        ("hold", "-1000"),
        ("payment_refund", "0"),
    ]


async def test_points_that_are_spent_when_their_payment_is_refunded_are_owed(
    customer: Customer, worker: Worker
) -> None:
    purchase = await bought(customer, amount_money=usd(1000))
    await worker.done("/v1/charges", {"amount": "900", "reference": {"type": "order", "id": "18"}})
    await customer.refund(purchase)
    balance = await customer.wait_until(lambda b: b.debt > 0)
    assert (balance.available, balance.debt) == (0, 875_000_000)
    await customer.pay(await customer.buy(amount_money=usd(1000)))
    balance = await customer.wait_until(lambda b: b.debt == 0)
    assert balance.available == 125_000_000
