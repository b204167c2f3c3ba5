"""Funding: lots that come, are taken back with their payment, or expire."""

from collections.abc import Iterable

from libs.contracts.credits import LARGEST
from services.credits.domain.accounts import Account, HeldCredits, Lot, Part
from services.credits.domain.books import AVAILABLE, BREAKAGE, DEBT, HELD, PROMOTION, STRIPE, Books
from services.credits.domain.holding import about, free_rest, move_held, settled
from services.credits.domain.postings import PRIORITY, Cause, Grant, Outcome, Posting, Result, SetAside, TakeBack

PAID_FOR = ("purchased", "membership")


def grant(books: Books, account: Account, posting: Grant) -> Result:
    """Give a lot, once for a reference. One that was paid for is never refused: not to a closed account either."""
    cause = posting.cause
    before = books.funded.get((posting.kind, cause.reference_type or "", cause.reference_id or ""))
    if before is not None:
        same = (before.account, before.granted, before.cost_minor, before.currency) == (
            account.id,
            posting.amount,
            posting.cost_minor,
            posting.currency,
        )
        return books.refused(account, posting, "duplicate" if same else "conflict")
    if posting.cost_minor is None and (reason := _why_not(account, posting.amount)):
        return books.refused(account, posting, reason)
    paid_for = posting.kind in PAID_FOR
    lot = Lot(
        posting.lot,
        0,
        kind=posting.kind,
        priority=PRIORITY[posting.kind],
        granted=posting.amount,
        cost_minor=posting.cost_minor,
        currency=posting.currency,
        reference_type=cause.reference_type or "",
        reference_id=cause.reference_id or "",
        expires_at=posting.expires_at,
    )
    books.begin(account, posting)
    books.open_lot(account, lot)
    books.bring(account, lot, posting.amount, STRIPE if paid_for else PROMOTION)
    if paid_for:
        account.purchased += posting.amount
    else:
        account.earned += posting.amount
    return books.accepted(account, posting, credits=posting.amount)


def _why_not(account: Account, amount: int) -> Outcome | None:
    """Tell why an account cannot be given credits that nobody paid for."""
    if account.state == "closed":
        return "not_open"
    return "too_much" if account.earned + account.purchased + amount > LARGEST else None


def set_aside(books: Books, account: Account, posting: SetAside) -> Result:
    """Hold credits of a payment's lot, whatever the account's state: nobody spends what may have to go back."""
    if before := books.holds.get(posting.id):
        return about(before, books.refused(account, posting, "duplicate"))
    lot = _funded(books, account, posting.kind, posting.cause)
    if lot is None:
        return books.refused(account, posting, "no_lot")
    if 0 < posting.revision <= lot.revision:
        return books.refused(account, posting, "duplicate")
    amount = min(posting.amount, lot.remaining)
    if posting.whole and amount < posting.amount:
        return books.refused(account, posting, "spent")
    if amount == 0:
        return books.accepted(account, posting)
    books.begin(account, posting)
    lot.remaining -= amount
    lot.changed = True
    account.available -= amount
    account.held += amount
    books.move(account, lot.id, AVAILABLE, HELD, amount)
    held = books.holds[posting.id] = _aside(books, posting, lot, amount)
    account.due_by(posting.expires_at)
    return about(held, books.accepted(account, posting, credits=amount))


def _aside(books: Books, posting: SetAside, lot: Lot, amount: int) -> HeldCredits:
    return HeldCredits(
        posting.id,
        posting.account,
        "pending",
        amount,
        0,
        books.at,
        posting.expires_at,
        posting.expires_at,
        posting.cause.reference_type,
        posting.cause.reference_id,
        posting.cause.description,
        None,
        [Part(lot.id, amount, amount)],
        set_aside=True,
        new=True,
    )


def take_back(books: Books, account: Account, posting: TakeBack) -> Result:
    """Follow what went back of a payment by its total: what was set aside is taken, then what is left in the lot.

    What is spent becomes a debt, if it is owed. A total that fell, as a refund failed after all, gives back. One above
    what was granted takes all of that: what is taken depends on totals alone, so that whatever is told next still finds
    its way. Older revisions change nothing, but what was set aside for what is over by them is free.
    """
    lot = _funded(books, account, posting.kind, posting.cause)
    if lot is None:
        return books.refused(account, posting, "no_lot")
    older = posting.revision <= lot.revision
    aside = [hold for id in posting.set_aside if (hold := books.holds.get(id)) is not None and hold.state == "pending"]
    if older and not aside:
        return books.refused(account, posting, "duplicate")
    total = lot.taken_back if older else _gone(lot, posting, aside)
    change = total - lot.taken_back
    lot.revision, lot.taken_back, lot.changed = max(lot.revision, posting.revision), total, True
    if change == 0 and not aside:
        return books.refused(account, posting, "unchanged")
    books.begin(account, posting)
    made = 0
    if change > 0:
        made = _take(books, account, lot, change, aside)
    elif change < 0:
        books.bring(account, lot, -change, STRIPE)
    for hold in aside:
        free_rest(books, account, hold)
        settled(books, hold, "captured" if hold.captured else "released")
    account.refunded += change
    return books.accepted(account, posting, credits=change, debt_made=made)


def _gone(lot: Lot, posting: TakeBack, aside: Iterable[HeldCredits]) -> int:
    """Tell what is to be gone of a lot, in total: never above the grant nor, if it is not owed, what is there."""
    total = min(posting.amount, lot.granted)
    if posting.owed:
        return total
    return min(total, lot.taken_back + lot.remaining + sum(hold.left for hold in aside))


def _funded(books: Books, account: Account, kind: str, cause: Cause) -> Lot | None:
    lot = books.funded.get((kind, cause.reference_type or "", cause.reference_id or ""))
    return lot if lot is not None and lot.account == account.id else None


def _take(books: Books, account: Account, lot: Lot, amount: int, aside: Iterable[HeldCredits]) -> int:
    """Take credits, first those set aside; answers what was spent already, which is owed now."""
    for hold in aside:
        taken = min(amount, hold.left)
        move_held(books, account, hold, taken, STRIPE)
        hold.captured += taken
        amount -= taken
    taken = min(amount, lot.remaining)
    if taken:
        lot.remaining -= taken
        account.available -= taken
        books.move(account, lot.id, AVAILABLE, STRIPE, taken)
    if owed := amount - taken:
        account.debt += owed
        books.move(account, lot.id, DEBT, STRIPE, owed)
    return amount - taken


def expire(books: Books, account: Account, lot: Lot, posting: Posting) -> Result:
    """Write off what remains in a lot."""
    gone, lot.remaining, lot.changed = lot.remaining, 0, True
    books.begin(account, posting)
    account.available -= gone
    account.expired += gone
    books.move(account, lot.id, AVAILABLE, BREAKAGE, gone)
    books.tell_expired(account, lot, gone)
    return books.accepted(account, posting, credits=gone)
