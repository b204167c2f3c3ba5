"""Leases: holds for work whose cost is not known before. Heartbeats settle what was metered and reserve ahead again.

When they stop, the hold expires as any does: what was metered is settled by then, and the rest is freed.
"""

import json
from decimal import Decimal

from msgspec.structs import replace

from services.credits.domain.accounts import Account, HeldCredits, Part
from services.credits.domain.books import HELD, REVENUE, Books, why_not
from services.credits.domain.holding import about, burn_held, free_rest, hold, open_hold, settled, why_not_held
from services.credits.domain.postings import Lease, Outcome, Reserve, Result, Settle


def begin(books: Books, account: Account, posting: Lease) -> Result:
    """Reserve credits ahead, as a hold that is to be settled by the prices of now."""
    result = hold(books, account, posting)
    if result.outcome != "accepted":
        return result
    made = books.holds[posting.id]
    made.reserve, made.metered, made.price_version = posting.amount, Decimal(0), posting.cause.price_version
    return about(made, result)


def settle(books: Books, account: Account, posting: Settle) -> Result:
    """Burn what was metered since the last time: of what is reserved, then of what is available and may be spent.

    What neither covers stays to be settled next time. A heartbeat that comes late, with less than is settled, burns
    nothing.
    """
    found = _open_lease(books, account, posting)
    if not isinstance(found, HeldCredits):
        return books.refused(account, posting, found)
    before = found.metered or Decimal(0)
    owed = max(posting.amount - found.captured, 0)
    reserved = min(owed, found.left)
    beyond = _admitted(books, account, found, owed - reserved)
    burnt = reserved + beyond
    if burnt or (posting.final and found.left):
        posting.cause = replace(posting.cause, details=_details(found, max(posting.quantity - before, Decimal(0))))
        books.begin(account, posting)
        burn_held(books, account, found, reserved)
        if beyond:
            books.burn(account, beyond, REVENUE)
        account.spent += burnt
        found.captured += burnt
        found.metered = max(before, posting.quantity)
    found.changed = True
    if posting.final:
        free_rest(books, account, found)
        settled(books, found, "captured" if found.captured else "released")
    return about(found, books.accepted(account, posting, credits=burnt))


def _details(found: HeldCredits, quantity: Decimal) -> str:
    """Say what was used since the last time, of what kind."""
    kept = json.loads(found.details or "{}")
    said = {"meter": kept["meter"], "quantity": format(quantity, "f"), "properties": kept["properties"]}
    return json.dumps(said | ({"actor": found.actor} if found.actor else {}), separators=(",", ":"))


def _admitted(books: Books, account: Account, found: HeldCredits, owed: int) -> int:
    """Tell how much of what is owed beyond what is reserved there is, and may be spent: it counts as spent then."""
    if why_not(account, 0, 0) is not None:
        return 0
    covered = min(owed, max(account.available + account.overdraft_limit, 0))
    if books.guard is None or not covered:
        return covered
    return books.guard.admit_some(account, found.actor, covered)


def reserve(books: Books, account: Account, posting: Reserve) -> Result:
    """Reserve up to an amount again, of what is available, and let the lease live on.

    While some of its cost is owed nothing is reserved, so that the work is told to stop.
    """
    found = _open_lease(books, account, posting)
    if not isinstance(found, HeldCredits):
        return books.refused(account, posting, found)
    found.expires_at = max(found.expires_at, min(posting.expires_at, found.ends_by))
    found.changed = True
    wanted = min(posting.amount - found.left, account.available)
    if posting.cost <= found.captured and wanted > 0 and _admits(books, account, posting, found, wanted):
        books.begin(account, posting)
        parts = books.burn(account, wanted, HELD)
        found.parts += [Part(lot.id, taken, taken, books.at) for lot, taken in parts if lot is not None]
        found.reserved += wanted
    return about(found, books.accepted(account, posting))


def _admits(books: Books, account: Account, posting: Reserve, found: HeldCredits, wanted: int) -> bool:
    if why_not_held(account, wanted) is not None:
        return False
    asked = replace(posting, amount=wanted, actor=found.actor)
    return books.guard is None or books.guard.admit(account, asked) is None


def _open_lease(books: Books, account: Account, posting: Settle | Reserve) -> HeldCredits | Outcome:
    found = open_hold(books, account, posting.lease)
    return "no_hold" if isinstance(found, HeldCredits) and found.reserve is None else found
