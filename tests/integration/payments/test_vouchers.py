"""Vouchers: their codes are told once and stored nowhere, and each is redeemed once, ever."""

import asyncio
import re
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from libs.chassis.errors import (
    DomainError,
    IdempotencyKeyReusedError,
    InvalidRequestError,
    NotAllowedError,
    NotFoundError,
)
from libs.contracts import ids
from libs.contracts.credits import MICRO
from libs.contracts.http.vouchers_v1 import IssueVouchers
from services.payments.domain.errors import AmountOutOfLimitsError, InvalidCodeError
from services.payments.operations import vouchers
from tests.integration.payments.gifts import a_code, everything_stored, issued, redeem, redemptions
from tests.integration.payments.shop import Shop

EVE = "staff:eve"


async def test_a_redeemed_voucher_is_told_once_with_its_credits(shop: Shop) -> None:
    made = await issued(shop, credits="12.5", credits_expire_after_days=30)
    account = ids.new_id()
    done = await redeem(shop, made.vouchers[0].code, account)
    [told] = await redemptions(shop)
    assert (told.account, told.voucher, told.credits) == (account, made.vouchers[0].id, 12_500_000)
    assert (told.kind, told.paid) == ("promotional", None)
    assert told.expires_at == done.redemption.expires_at == told.occurred_at + timedelta(days=30)
    assert not done.replayed


async def test_a_hundred_accounts_redeem_one_code_at_once_and_one_has_it(shop: Shop) -> None:
    code = await a_code(shop)
    results = await asyncio.gather(*(redeem(shop, code) for _ in range(100)), return_exceptions=True)
    refused = [result for result in results if isinstance(result, InvalidCodeError)]
    assert len(refused) == 99
    assert len(await redemptions(shop)) == 1


async def test_one_account_redeeming_many_times_at_once_is_answered_the_same(shop: Shop) -> None:
    code, account = await a_code(shop), ids.new_id()
    results = await asyncio.gather(*(redeem(shop, code, account) for _ in range(20)))
    assert {result.redemption for result in results} == {results[0].redemption}
    assert [result.replayed for result in results].count(False) == 1
    assert len(await redemptions(shop)) == 1


async def test_its_account_is_answered_the_same_for_ever_and_another_is_refused(shop: Shop) -> None:
    made = await issued(shop, expires_at=shop.clock.now() + timedelta(days=1))
    code, account = made.vouchers[0].code, ids.new_id()
    first = await redeem(shop, code, account, key="k")
    again = await redeem(shop, code, account, key="k")
    assert (again.redemption, again.replayed) == (first.redemption, True)
    await vouchers.void_batch(shop.pool, made.batch.id, caller=EVE, at=shop.clock.now())
    shop.travel(timedelta(days=400))
    assert (await redeem(shop, code, account, key="another")).redemption == first.redemption
    with pytest.raises(InvalidCodeError):
        await redeem(shop, code)


async def test_another_code_under_the_same_key_is_refused_and_stays_good(shop: Shop) -> None:
    one, other = [each.code for each in (await issued(shop, count=2)).vouchers]
    account = ids.new_id()
    await redeem(shop, one, account, key="k")
    with pytest.raises(IdempotencyKeyReusedError):
        await redeem(shop, other, account, key="k")
    assert not (await redeem(shop, other, account)).replayed


async def test_what_is_wrong_with_a_code_cannot_be_told_from_the_answer(shop: Shop) -> None:
    void, used, good = await issued(shop), await a_code(shop), await a_code(shop)
    soon = await a_code(shop, expires_at=shop.clock.now() + timedelta(hours=1))
    await vouchers.void_batch(shop.pool, void.batch.id, caller=EVE, at=shop.clock.now())
    await redeem(shop, used)
    shop.travel(timedelta(hours=2))
    unknown = good[:-1] + ("0" if good[-1] != "0" else "1")
    answers = [await refusal(shop, code) for code in (void.vouchers[0].code, used, soon, unknown, "not a code", "é")]
    assert len(set(answers)) == 1
    assert answers[0][0] == "PAY003"
    assert len(await redemptions(shop)) == 1


async def refusal(shop: Shop, code: str) -> tuple[str, str, int]:
    with pytest.raises(DomainError) as caught:
        await redeem(shop, code)
    return caught.value.code.code, caught.value.detail, len(caught.value.facts)


async def test_a_code_is_known_however_it_is_typed(shop: Shop) -> None:
    code = await a_code(shop)
    typed = code.lower().replace("-", " \u2013 ").replace("1", "l").replace("0", "o")
    assert (await redeem(shop, f"  {typed}\n")).redemption.credits == 50 * MICRO


async def test_codes_are_stored_nowhere_and_told_again_under_the_same_key(shop: Shop) -> None:
    first = await issued(shop, key="k", count=20)
    assert len({voucher.code for voucher in first.vouchers}) == 20
    assert all(re.fullmatch(r"([0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}", v.code) for v in first.vouchers)
    await redeem(shop, first.vouchers[0].code)
    stored = (await everything_stored(shop)).upper().replace("-", "")
    assert [v.code for v in first.vouchers if v.code.replace("-", "") in stored] == []
    again = await issued(shop, key="k", count=20)
    assert again.vouchers == first.vouchers
    assert again.batch == first.batch.model_copy(update={"redeemed": 1})
    with pytest.raises(IdempotencyKeyReusedError):
        await issued(shop, key="k", count=21)
    others = await issued(shop, key="k", count=20, caller="staff:bob")
    assert {v.code for v in others.vouchers}.isdisjoint({v.code for v in first.vouchers})


async def test_twins_under_one_key_issue_one_batch(shop: Shop) -> None:
    both = await asyncio.gather(*(issued(shop, key="k", count=50) for _ in range(5)))
    assert all(each.vouchers == both[0].vouchers for each in both)
    assert len((await vouchers.list_batches(shop.pool, caller=EVE, limit=10, cursor=None)).data) == 1


async def test_ten_thousand_are_issued_at_once(shop: Shop) -> None:
    made = await issued(shop, count=10_000)
    assert len({voucher.code for voucher in made.vouchers}) == 10_000
    assert made.batch.count == 10_000


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": 0},
        {"count": 10_001},
        {"count": "2"},
        {"credits": "0"},
        {"credits": 5},
        {"kind": "purchased"},
        {"note": ""},
        {"credits_expire_after_days": 0},
        {"code": "MINE"},
    ],
)
def test_an_order_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        IssueVouchers.model_validate({"count": 1, "credits": "50", "note": "Spring"} | wrong)


async def test_an_order_that_cannot_be_is_refused_and_nothing_is_kept(shop: Shop) -> None:
    with pytest.raises(InvalidRequestError):
        await issued(shop, expires_at=shop.clock.now())
    with pytest.raises(InvalidRequestError):
        await issued(shop, count=10_000, credits="9000000000")
    with pytest.raises(AmountOutOfLimitsError):
        await issued(shop, count=3, alone=149 * MICRO)
    assert (await issued(shop, count=3, alone=150 * MICRO)).batch.count == 3
    assert len((await vouchers.list_batches(shop.pool, caller=EVE, limit=10, cursor=None)).data) == 1


@pytest.mark.parametrize("caller", ["user:usr_1", "key:key_1", "staff"])
async def test_only_staff_issue_list_and_void(shop: Shop, caller: str) -> None:
    made = await issued(shop)
    with pytest.raises(NotAllowedError):
        await issued(shop, caller=caller)
    with pytest.raises(NotAllowedError):
        await vouchers.list_batches(shop.pool, caller=caller, limit=10, cursor=None)
    with pytest.raises(NotAllowedError):
        await vouchers.void_batch(shop.pool, made.batch.id, caller=caller, at=shop.clock.now())
    with pytest.raises(NotAllowedError):
        await vouchers.void(shop.pool, made.vouchers[0].id, caller=caller, at=shop.clock.now())
    assert not (await redeem(shop, made.vouchers[0].code)).replayed


async def test_voiding_a_batch_leaves_what_was_redeemed(shop: Shop) -> None:
    made = await issued(shop, count=3)
    account = ids.new_id()
    await redeem(shop, made.vouchers[1].code, account)
    for _ in range(2):
        batch = await vouchers.void_batch(shop.pool, made.batch.id, caller=EVE, at=shop.clock.now())
        assert (batch.count, batch.redeemed, batch.void) == (3, 1, 2)
    assert (await redeem(shop, made.vouchers[1].code, account)).replayed
    with pytest.raises(InvalidCodeError):
        await redeem(shop, made.vouchers[0].code)
    with pytest.raises(NotFoundError):
        await vouchers.void_batch(shop.pool, ids.new_id(), caller=EVE, at=shop.clock.now())


async def test_voiding_one_says_what_became_of_it(shop: Shop) -> None:
    made = await issued(shop, count=3)
    at = shop.clock.now()
    await redeem(shop, made.vouchers[0].code)
    states = [(await vouchers.void(shop.pool, each.id, caller=EVE, at=at)).state for each in made.vouchers[:2] * 2]
    assert states == ["redeemed", "void"] * 2
    assert not (await redeem(shop, made.vouchers[2].code)).replayed
    with pytest.raises(NotFoundError):
        await vouchers.void(shop.pool, ids.new_id(), caller=EVE, at=at)


async def test_redeeming_and_voiding_at_once_end_in_one_of_both(shop: Shop) -> None:
    made = await issued(shop, count=30)
    at = shop.clock.now()
    turns = [
        turn
        for v in made.vouchers
        for turn in (redeem(shop, v.code), vouchers.void(shop.pool, v.id, caller=EVE, at=at))
    ]
    results = await asyncio.gather(*turns, return_exceptions=True)
    refused = sum(isinstance(result, InvalidCodeError) for result in results)
    (batch,) = (await vouchers.list_batches(shop.pool, caller=EVE, limit=10, cursor=None)).data
    assert (batch.redeemed, batch.void) == (30 - refused, refused)
    assert len(await redemptions(shop)) == batch.redeemed


async def test_batches_are_listed_newest_first_a_page_at_a_time(shop: Shop) -> None:
    made = [(await issued(shop, reference=f"r{number}")).batch for number in range(3)]
    first = await vouchers.list_batches(shop.pool, caller=EVE, limit=2, cursor=None)
    rest = await vouchers.list_batches(shop.pool, caller=EVE, limit=2, cursor=first.next_cursor)
    assert [*first.data, *rest.data] == made[::-1]
    assert rest.next_cursor is None
    with pytest.raises(InvalidRequestError):
        await vouchers.list_batches(shop.pool, caller=EVE, limit=2, cursor="pur_1")
