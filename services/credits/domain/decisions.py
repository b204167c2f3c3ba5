"""Which rule decides which posting; what came before under the same key is answered as it was then."""

from collections.abc import Callable
from typing import Any

from libs.contracts.credits import LARGEST
from libs.contracts.events import HoldExpired
from services.credits.domain import funding, holding, leasing, spending
from services.credits.domain.accounts import Account, HeldCredits, Lot
from services.credits.domain.books import Books
from services.credits.domain.enforcement import unblock_holds
from services.credits.domain.limits import resume_in_time
from services.credits.domain.postings import (
    Capture,
    Cause,
    Charge,
    ChargeRefund,
    Extend,
    Grant,
    Hold,
    Lease,
    Posting,
    Release,
    Reserve,
    Result,
    SetAside,
    Settle,
    Spend,
    TakeBack,
    Transfer,
    Usage,
    key_of,
)

_RULES: dict[type[Posting], tuple[Callable[[Books, Account, Any], Result], int]] = {
    Spend: (spending.spend, 0),
    Usage: (spending.spend, 0),
    Charge: (spending.charge, 0),
    ChargeRefund: (spending.refund_charge, 0),
    Transfer: (spending.transfer, 1),
    Hold: (holding.hold, 1),
    Capture: (holding.capture, 1),
    Release: (holding.release, 0),
    Extend: (holding.extend, 0),
    Lease: (leasing.begin, 1),
    Settle: (leasing.settle, 0),
    Reserve: (leasing.reserve, 1),
    Grant: (funding.grant, 1),
    SetAside: (funding.set_aside, 0),
    TakeBack: (funding.take_back, 0),
}
"""Each with the least amount that it may be about: usage may cost nothing, but nothing cannot be held or given."""


def decide(books: Books, posting: Posting) -> Result:
    """Accept or refuse a posting against the books as they are now; a repeated one changes nothing."""
    if before := books.known.get(posting.key):
        same = before.fingerprint == posting.fingerprint
        return Result(posting, "duplicate" if same else "conflict", *before[1:])
    if refused := books.refused_usage.get(posting.key):
        if posting.fingerprint in refused:
            return Result(posting, "duplicate_rejected")
        refused.add(posting.fingerprint)
        return Result(posting, "conflict")
    result = _decide_anew(books, posting)
    if result.outcome == "accepted":
        if books.repeats:
            books.remember(posting, result)
        if books.late:
            _write_off_what_came_late(books)
    elif isinstance(posting, Usage):
        books.refused_usage.setdefault(posting.key, set()).add(posting.fingerprint)
    return result


def _decide_anew(books: Books, posting: Posting) -> Result:
    account = books.accounts.get(posting.account)
    if account is None:
        return Result(posting, "unknown_account")
    if posting.metered is not None:
        books.price(posting, posting.metered)
    if account.uncovered is not None:
        unblock_holds(account, at=books.at, told=books.told)
    rule, least = _RULES[type(posting)]
    if not least <= posting.amount <= LARGEST:
        return books.refused(account, posting, "invalid")
    result = rule(books, account, posting)
    if posting.metered is not None and result.outcome == "accepted" and not isinstance(posting, Hold):
        books.count(posting, posting.metered)  # what is reserved alone is not used yet
    return result


def settle_what_is_due(books: Books) -> list[Result]:
    """Free holds and write off lots whose instant has come, in the accounts whose lots were read."""
    if not books.due:
        return []
    for account in (books.accounts[id] for id in books.due):
        resume_in_time(account, at=books.at, told=books.told)
    results = [_free(books, hold) for hold in _overdue(books)]
    for account in (books.accounts[id] for id in books.due):
        gone = [lot for lot in account.lots if lot.remaining and lot.expired(books.at)]
        results += [_write_off(books, account, lot) for lot in gone]
    return results


def _overdue(books: Books) -> list[HeldCredits]:
    """Name the holds to free, the longest overdue first; one of an account that nobody has locked is not ours."""
    due = set(books.due)
    holds = [
        hold
        for hold in books.holds.values()
        if hold.state == "pending" and hold.expires_at <= books.at and hold.account in due
    ]
    return sorted(holds, key=lambda hold: (hold.expires_at, hold.id.bytes))


def _write_off_what_came_late(books: Books) -> None:
    """Write off credits whose lot had expired when they came: a payment told late, a refund that failed after all."""
    for lot in books.late:
        if lot.remaining and lot.account is not None:
            _write_off(books, books.accounts[lot.account], lot)
    books.late.clear()


def _free(books: Books, hold: HeldCredits) -> Result:
    account = books.accounts[hold.account]
    cause = Cause("release", "hold", str(hold.id), "Hold expired")
    result = holding.free(books, account, hold, _own(account, "free", hold.id.hex, cause), "expired")
    books.told.append(
        HoldExpired(
            account=account.id,
            sequence=account.sequence,
            occurred_at=books.at,
            hold=hold.id,
            credits=result.credits,
            reference_type=hold.reference_type,
            reference_id=hold.reference_id,
        )
    )
    return result


def _write_off(books: Books, account: Account, lot: Lot) -> Result:
    cause = Cause("expiry", "lot", str(lot.id), "Credits expired")
    # credits may come back to a lot that was written off, and are written off once more: another posting, another key
    what = f"{lot.id.hex}:{account.sequence}"
    return funding.expire(books, account, lot, _own(account, "expire", what, cause))


def _own(account: Account, verb: str, what: str, cause: Cause) -> Posting:
    key = key_of(verb, what)
    return Posting(account=account.id, key=key, fingerprint=key, amount=0, cause=cause)
