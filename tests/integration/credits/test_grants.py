from asyncio import gather
from datetime import timedelta

import pytest

from libs.contracts import ids
from libs.contracts.http.history_v1 import LotQuery, TransactionQuery
from services.credits.domain.errors import LotMissingError, ReferenceReusedError
from services.credits.operations import history
from tests.support.ledger import Credits, paid, refunded, used


async def test_opening_an_account_twice_grants_the_welcome_bonus_once(credits: Credits) -> None:
    account = ids.new_id()
    await gather(*(credits.open(account) for _ in range(8)))
    assert (await credits.balance(account)).by_kind == {"promotional": 10_000_000}


async def test_a_payment_told_many_times_at_once_grants_one_lot(credits: Credits) -> None:
    account = await credits.open()
    payment = paid(account, "50")
    told = await gather(*(credits.tell(payment, payment) for _ in range(10)))
    assert [outcome for outcomes in told for outcome in outcomes].count("accepted") == 1
    assert await credits.available(account) == 60_000_000


async def test_a_payment_for_an_account_not_yet_open_opens_it(credits: Credits) -> None:
    account = ids.new_id()
    assert await credits.tell(paid(account, "50")) == ["accepted"]
    assert await credits.available(account) == 50_000_000


async def test_a_purchase_told_again_with_other_credits_is_refused_whole(credits: Credits) -> None:
    account = await credits.open()
    payment = paid(account, "50")
    await credits.tell(payment)
    with pytest.raises(ReferenceReusedError):
        await credits.tell(paid(account, "60", purchase=payment.purchase))
    assert await credits.available(account) == 60_000_000


async def test_a_purchase_cannot_fund_a_second_account(credits: Credits) -> None:
    one, two = await credits.open(), await credits.open()
    payment = paid(one, "50")
    await credits.tell(payment)
    with pytest.raises(ReferenceReusedError):
        await credits.tell(paid(two, "50", purchase=payment.purchase))
    assert await credits.available(two) == 10_000_000


async def test_a_full_refund_takes_back_what_is_left_and_makes_the_rest_a_debt(credits: Credits) -> None:
    account = await credits.open()
    payment = paid(account, "50")
    await credits.tell(payment)
    await credits.use(used(account, quantity=15))  # the bonus of 10 first, then 5 of the 50
    await credits.tell(refunded(payment, "50", revision=2))
    balance = await credits.balance(account)
    assert (balance.available, balance.debt) == (0, 5_000_000)
    assert balance.totals.refunded == 50_000_000


async def test_what_is_taken_back_depends_on_totals_not_on_repetition_or_order(credits: Credits) -> None:
    account = await credits.open()
    payment = paid(account, "50")
    await credits.tell(payment)
    half, whole = refunded(payment, "25", revision=2), refunded(payment, "50", revision=3)
    assert await credits.tell(whole) == ["accepted"]
    assert await credits.tell(half, whole, half) == ["duplicate"] * 3
    assert await credits.available(account) == 10_000_000


async def test_a_refund_that_failed_after_all_gives_back(credits: Credits) -> None:
    account = await credits.open()
    payment = paid(account, "50")
    await credits.tell(payment)
    await credits.use(used(account, quantity=30))
    await credits.tell(refunded(payment, "50", revision=2))
    assert (await credits.balance(account)).debt == 20_000_000
    await credits.tell(refunded(payment, "0", revision=3))
    balance = await credits.balance(account)
    assert (balance.available, balance.debt) == (30_000_000, 0)


async def test_a_refund_of_a_payment_never_told_waits_for_it(credits: Credits) -> None:
    account = await credits.open()
    with pytest.raises(LotMissingError):
        await credits.tell(refunded(paid(account, "50"), "50", revision=2))


async def test_a_grant_repays_debt_before_it_can_be_spent(credits: Credits) -> None:
    account = await credits.open()
    payment = paid(account, "50")
    await credits.tell(payment)
    await credits.use(used(account, quantity=60))
    await credits.tell(refunded(payment, "50", revision=2))
    assert await credits.use(used(account)) == ["PAY001"]
    await credits.tell(paid(account, "80"))
    balance = await credits.balance(account)
    assert (balance.available, balance.debt) == (30_000_000, 0)
    assert await credits.use(used(account)) == ["burnt"]


async def test_expired_credits_are_written_off_once_and_cannot_be_spent(credits: Credits) -> None:
    account = await credits.open()
    now = credits.clock.now()
    await credits.tell(paid(account, "50", expires_at=now - timedelta(seconds=1)))
    assert await credits.available(account) == 10_000_000
    assert await credits.use(used(account, quantity=11), used(account, quantity=10)) == ["PAY001", "burnt"]
    assert (await credits.balance(account)).totals.expired == 50_000_000


async def test_transactions_and_lots_come_in_pages_newest_first(credits: Credits) -> None:
    account = await credits.open()
    for _ in range(5):
        await credits.tell(paid(account, "1"))
    first = await history.transactions(credits.pool, account, TransactionQuery(limit=4))
    rest = await history.transactions(credits.pool, account, TransactionQuery(limit=4, cursor=first.next_cursor))
    assert [t.sequence for t in first.data + rest.data] == [6, 5, 4, 3, 2, 1]
    assert rest.next_cursor is None
    lots = await history.lots(credits.pool, account, LotQuery(limit=4))
    more = await history.lots(credits.pool, account, LotQuery(limit=4, cursor=lots.next_cursor))
    assert len({lot.id for lot in lots.data + more.data}) == 6
