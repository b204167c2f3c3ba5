"""Funding: lots that come, are taken back with their payment, or expire."""

from libs.contracts.credits import LARGEST
from services.credits.domain.accounts import Account, Lot
from services.credits.domain.books import AVAILABLE, BREAKAGE, DEBT, PROMOTION, STRIPE, Books
from services.credits.domain.postings import PRIORITY, Grant, Outcome, Posting, Result, TakeBack

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


def take_back(books: Books, account: Account, posting: TakeBack) -> Result:
    """Follow a payment's refunds by their total: what is left in the lot is taken, what is spent becomes a debt.

    A total that fell, as a refund failed after all, gives back. One above what was granted takes all of that: what is
    taken depends on totals alone, so that whatever is told next still finds its way. Older revisions change nothing.
    """
    cause = posting.cause
    lot = books.funded.get((posting.kind, cause.reference_type or "", cause.reference_id or ""))
    if lot is None or lot.account != account.id:
        return books.refused(account, posting, "no_lot")
    if posting.revision <= lot.revision:
        return books.refused(account, posting, "duplicate")
    total = min(posting.amount, lot.granted)
    change = total - lot.taken_back
    lot.revision, lot.taken_back, lot.changed = posting.revision, total, True
    if change == 0:
        return books.refused(account, posting, "unchanged")
    books.begin(account, posting)
    made = 0
    if change > 0:
        made = _take(books, account, lot, change)
    else:
        books.bring(account, lot, -change, STRIPE)
    account.refunded += change
    return books.accepted(account, posting, credits=change, debt_made=made)


def _take(books: Books, account: Account, lot: Lot, amount: int) -> int:
    """Take credits from their lot; answers what was spent already, which is owed now."""
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
