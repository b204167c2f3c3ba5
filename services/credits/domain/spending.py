"""Spending: usage, charges and their refunds, transfers."""

import json
from decimal import Decimal

from services.credits.domain.accounts import Account, BurntCharge, Leg, Lot
from services.credits.domain.books import REVENUE, TRANSIT, Books, why_not
from services.credits.domain.enforcement import block_holds
from services.credits.domain.postings import PRIORITY, Charge, ChargeRefund, Outcome, Result, Spend, Transfer, Usage


def spend(books: Books, account: Account, posting: Spend) -> Result:
    """Burn credits, down to the overdraft's limit."""
    if reason := _why_not(books, account, posting):
        if reason == "insufficient" and isinstance(posting, Usage):
            block_holds(account, posting.amount, at=books.at, told=books.told)
        return books.refused(account, posting, reason)
    _burn(books, account, posting)
    return books.accepted(account, posting)


def _why_not(books: Books, account: Account, posting: Spend) -> Outcome | None:
    reason = why_not(account, posting.amount, account.available + account.overdraft_limit)
    if reason is None and books.guard is not None:
        reason = books.guard.admit(account, posting)
    return reason


def _burn(books: Books, account: Account, posting: Spend) -> list[tuple[Lot | None, int]]:
    books.begin(account, posting)
    account.spent += posting.amount
    return books.burn(account, posting.amount, REVENUE)


def charge(books: Books, account: Account, posting: Charge) -> Result:
    """Burn credits under a name by which they can be given back; a reference is charged once."""
    cause = posting.cause
    if cause.reference_type and cause.reference_id:
        before = books.charged.get((account.id, cause.reference_type, cause.reference_id))
        if before is not None:
            return _charged_before(books, account, posting, before)
    if reason := _why_not(books, account, posting):
        return books.refused(account, posting, reason)
    legs = [Leg(lot.id if lot else None, taken) for lot, taken in _burn(books, account, posting)]
    result = books.accepted(account, posting)
    result.charge = _note(books, posting, legs).as_it_is()
    return result


def _charged_before(books: Books, account: Account, posting: Charge, before: BurntCharge) -> Result:
    """Answer with the charge that stands: its price may have changed since, what it is for may not."""
    priced = posting.cause.price_version is not None
    same = _use(before.details) == _use(posting.cause.details) if priced else before.amount == posting.amount
    result = books.refused(account, posting, "duplicate" if same else "reference_reused")
    result.charge = before.as_it_is()
    return result


def _use(details: str | None) -> object:
    kept = json.loads(details or "{}")
    return kept.get("meter"), Decimal(kept.get("quantity", 0)), kept.get("properties")


def _note(books: Books, posting: Charge, legs: list[Leg]) -> BurntCharge:
    cause = posting.cause
    made = BurntCharge(
        posting.id,
        posting.account,
        posting.amount,
        0,
        cause.reference_type,
        cause.reference_id,
        cause.description,
        cause.details,
        books.at,
        legs,
        new=True,
    )
    books.charges[made.id] = made
    if cause.reference_type and cause.reference_id:
        books.charged[made.account, cause.reference_type, cause.reference_id] = made
    return made


def refund_charge(books: Books, account: Account, posting: ChargeRefund) -> Result:
    """Give back what a charge burnt, the last burnt first, each to its lot unless policy makes it one of its own.

    What has no lot to go to, as that has expired since or there was none, comes as a lot of its own, and before the
    rest: it is what repays the overdraft that the charge left.
    """
    charge = books.charges.get(posting.charge)
    if charge is None or charge.account != account.id:
        return books.refused(account, posting, "no_charge")
    amount = posting.amount or charge.amount - charge.refunded
    if not 0 < amount <= charge.amount - charge.refunded:
        result = books.refused(account, posting, "above_charge")
        result.charge = charge.as_it_is()
        return result
    books.begin(account, posting)
    back: list[tuple[Lot, int]] = []
    anew = 0
    for leg in _last_burnt(charge, amount):
        lot = books.lots.get(leg.lot) if leg.lot else None
        if lot is None or lot.expired(books.at) or not books.rules.refunds_to_lots:
            anew += leg.amount
        else:
            back.append((lot, leg.amount))
    if anew:
        lot = _refunded(books, posting, anew)
        books.open_lot(account, lot)
        books.bring(account, lot, anew, REVENUE)
    for lot, returned in back:
        books.bring(account, lot, returned, REVENUE)
    charge.refunded += amount
    charge.changed = True
    account.spent -= amount
    result = books.accepted(account, posting, credits=amount)
    result.charge = charge.as_it_is()
    return result


def _refunded(books: Books, posting: ChargeRefund, amount: int) -> Lot:
    lives = books.rules.refunds_expire_after
    return Lot(
        posting.lot,
        0,
        kind="refunded",
        priority=PRIORITY["refunded"],
        granted=amount,
        reference_type="charge_refund",
        reference_id=str(posting.lot),
        expires_at=books.at + lives if lives is not None else None,
    )


def _last_burnt(charge: BurntCharge, amount: int) -> list[Leg]:
    """Tell of which lots the last credits were that a charge burnt, but for those given back already."""
    skip, found = charge.refunded, []
    for leg in reversed(charge.legs):
        skipped = min(skip, leg.amount)
        skip -= skipped
        taken = min(leg.amount - skipped, amount)
        amount -= taken
        if taken:
            found.append(Leg(leg.lot, taken))
    return found


def transfer(books: Books, account: Account, posting: Transfer) -> Result:
    """Move credits to another account, as one lot that expires when the first of those that it came from does."""
    other = books.accounts.get(posting.to)
    if other is None:
        return books.refused(account, posting, "unknown_account")
    if other is account:
        return books.refused(account, posting, "invalid")
    reason = why_not(account, posting.amount, account.available)
    if reason is None and other.state not in ("open", "stopped"):
        reason = "not_open"
    if reason is None and books.guard is not None:
        reason = books.guard.admit(account, posting)
    if reason is not None:
        return books.refused(account, posting, reason)
    books.begin(account, posting)
    parts = books.burn(account, posting.amount, TRANSIT)
    account.spent += posting.amount
    result = books.accepted(account, posting)
    expiries = [lot.expires_at for lot, _ in parts if lot is not None and lot.expires_at is not None]
    books.begin(other, posting)
    lot = Lot(
        posting.lot,
        0,
        kind="transferred",
        priority=PRIORITY["transferred"],
        granted=posting.amount,
        reference_type="transfer",
        reference_id=str(posting.key),
        expires_at=min(expiries, default=None),
    )
    books.open_lot(other, lot)
    books.bring(other, lot, posting.amount, TRANSIT)
    other.earned += posting.amount
    return result
