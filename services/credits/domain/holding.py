"""Holds: credits reserved before work, then captured for what it cost, or freed.

A hold whose instant has come has been freed before anything of its account is decided (`decisions.settle_what_is_due`).
"""

from uuid import UUID

from msgspec.structs import replace

from services.credits.domain.accounts import Account, HeldCredits, Part
from services.credits.domain.books import BREAKAGE, HELD, REVENUE, Books, why_not
from services.credits.domain.postings import Capture, Extend, Hold, Outcome, Posting, Release, Result


def hold(books: Books, account: Account, posting: Hold) -> Result:
    """Reserve available credits in burn order; what is reserved outlives its lot's expiry."""
    reason = why_not_held(account, posting.amount)
    if reason is None and books.guard is not None:
        reason = books.guard.admit(account, posting)
    if reason is not None:
        return books.refused(account, posting, reason)
    books.begin(account, posting)
    parts = books.burn(account, posting.amount, HELD)
    cause = posting.cause
    made = books.holds[posting.id] = HeldCredits(
        posting.id,
        account.id,
        "pending",
        posting.amount,
        0,
        books.at,
        posting.expires_at,
        posting.ends_by,
        cause.reference_type,
        cause.reference_id,
        cause.description,
        cause.details,
        [Part(lot.id, taken, taken) for lot, taken in parts if lot is not None],
        posting.actor,
        new=True,
    )
    account.due_by(posting.expires_at)
    return about(made, books.accepted(account, posting))


def why_not_held(account: Account, amount: int) -> Outcome | None:
    """Tell why an account cannot reserve an amount; None if it can."""
    return "holds_blocked" if account.uncovered is not None else why_not(account, amount, account.available)


def capture(books: Books, account: Account, posting: Capture) -> Result:
    """Burn what is reserved, which was promised; beyond it, if the deployment allows, as a charge would."""
    found = open_hold(books, account, posting.hold)
    if not isinstance(found, HeldCredits):
        return books.refused(account, posting, found)
    beyond = max(posting.amount - found.left, 0)
    if beyond and not books.rules.capture_above_hold:
        return about(found, books.refused(account, posting, "above_hold"))
    if beyond and (reason := _why_not_beyond(books, account, posting, found, beyond)):
        return about(found, books.refused(account, posting, reason))
    books.begin(account, posting)
    burn_held(books, account, found, posting.amount - beyond)
    if beyond:
        books.burn(account, beyond, REVENUE)
    account.spent += posting.amount
    found.captured += posting.amount
    found.changed = True
    if posting.final:
        free_rest(books, account, found)
    if not found.left:
        settled(books, found, "captured")
    return about(found, books.accepted(account, posting, credits=posting.amount))


def _why_not_beyond(
    books: Books, account: Account, posting: Capture, found: HeldCredits, beyond: int
) -> Outcome | None:
    """Tell why an account, or who placed the hold, may not spend so much beyond it; None if they may."""
    reason = why_not(account, beyond, account.available + account.overdraft_limit)
    if reason is None and books.guard is not None:
        reason = books.guard.admit(account, replace(posting, amount=beyond, actor=found.actor))
    return reason


def release(books: Books, account: Account, posting: Release) -> Result:
    """Free what is still reserved."""
    found = open_hold(books, account, posting.hold)
    if not isinstance(found, HeldCredits):
        return books.refused(account, posting, found)
    return free(books, account, found, posting, "captured" if found.captured else "released")


def extend(books: Books, account: Account, posting: Extend) -> Result:
    """Let a hold live longer, never shorter; nothing moves, and no sequence is taken."""
    found = open_hold(books, account, posting.hold)
    if not isinstance(found, HeldCredits):
        return books.refused(account, posting, found)
    if posting.expires_at > found.ends_by:
        return about(found, books.refused(account, posting, "too_long"))
    found.expires_at = max(found.expires_at, posting.expires_at)
    found.changed = True
    return about(found, books.accepted(account, posting))


def free(books: Books, account: Account, found: HeldCredits, posting: Posting, state: str) -> Result:
    """Free what a hold still reserves, and settle it; of a lease that may be nothing, and then nothing moves."""
    freed = found.left
    if freed:
        books.begin(account, posting)
        free_rest(books, account, found)
    settled(books, found, state)
    return about(found, books.accepted(account, posting, credits=freed))


def about(found: HeldCredits, result: Result) -> Result:
    """Answer with the hold as it is now."""
    result.hold = found.as_it_is()
    return result


def open_hold(books: Books, account: Account, hold: UUID) -> HeldCredits | Outcome:
    """Find a hold that can still be used, or tell why there is none."""
    found = books.holds.get(hold)
    if found is None or found.account != account.id or found.set_aside:
        return "no_hold"
    if found.state == "expired":
        return "hold_expired"
    return found if found.state == "pending" else "hold_settled"


def burn_held(books: Books, account: Account, found: HeldCredits, amount: int) -> None:
    """Burn so much of what a hold reserves, in the order in which it was reserved."""
    move_held(books, account, found, amount, REVENUE)


def move_held(books: Books, account: Account, found: HeldCredits, amount: int, target: str) -> None:
    """Move away so much of what a hold reserves."""
    for part in found.parts:
        taken = min(part.left, amount)
        if taken:
            part.left -= taken
            amount -= taken
            account.held -= taken
            books.move(account, part.lot, HELD, target, taken)


def free_rest(books: Books, account: Account, found: HeldCredits) -> None:
    """Give every part back to its lot; what its lot's expiry has overtaken is written off."""
    if books.guard is not None and not found.set_aside:
        for part in found.parts:  # each when it was reserved
            books.guard.give_back(account, found.actor, part.left, counted_at=part.at or found.placed_at)
    for part in found.parts:
        freed, part.left = part.left, 0
        if not freed:
            continue
        lot = books.lots[part.lot]
        account.held -= freed
        if lot.expired(books.at):
            account.expired += freed
            books.move(account, lot.id, HELD, BREAKAGE, freed)
            books.tell_expired(account, lot, freed)
        else:
            books.bring(account, lot, freed, HELD)


def settled(books: Books, found: HeldCredits, state: str) -> None:
    """Note how a hold ended."""
    found.state, found.settled_at, found.changed = state, books.at, True
