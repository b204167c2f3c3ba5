"""What a batch has to know before it can be decided: read set by set, once its accounts are locked."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from libs.chassis.pool import Connection
from services.credits.domain.accounts import Lot
from services.credits.domain.books import Books
from services.credits.domain.limits import Guard
from services.credits.domain.postings import (
    Capture,
    Charge,
    ChargeRefund,
    Extend,
    Grant,
    Hold,
    Lease,
    Posting,
    Release,
    Reserve,
    SetAside,
    Settle,
    Spend,
    TakeBack,
    Transfer,
    Usage,
)
from services.credits.domain.tallies import Actor
from services.credits.store import books as store
from services.credits.store import counts, limits

P = TypeVar("P", bound=Posting)

REMEMBERED = timedelta(days=36)
"""For how long the key of a dated event is known: a day longer than the oldest one that is taken."""
_EVER = datetime.min.replace(tzinfo=UTC)


class Asked:
    """The postings of a batch, by their class: a batch of thousands is looked through once."""

    def __init__(self, postings: Sequence[Posting]) -> None:
        self.postings = postings
        self._by_class: dict[type[Posting], list[Any]] = {}
        for posting in postings:
            self._by_class.setdefault(type(posting), []).append(posting)

    def of(self, *classes: type[P]) -> list[P]:
        """Give those of some classes."""
        return [posting for kind in classes for posting in self._by_class.get(kind, ())]

    @property
    def accounts(self) -> set[UUID]:
        """Whose balances they may change."""
        accounts = {posting.account for posting in self.postings}
        return accounts.union(transfer.to for transfer in self.of(Transfer))

    @property
    def receiving(self) -> set[UUID]:
        """Who is granted something, and has an account from then on."""
        return {grant.account for grant in self.of(Grant)}


async def read(conn: Connection, books: Books, asked: Asked) -> None:
    """Read what the postings may touch, and what is due in their accounts.

    Most batches of usage need one look for their keys: the rows of their accounts, which were read as they were
    locked, say the rest.
    """
    books.repeats = len({posting.key for posting in asked.postings}) < len(asked.postings)
    await _read_keys(conn, books, asked.of(Usage))
    await _read_references(conn, books, asked)
    await _read_counts(conn, books, asked)
    due = books.due = [a.id for a in books.accounts.values() if a.next_due is not None and a.next_due <= books.at]
    await _read_holds(conn, books, asked, due)
    await _read_actors(conn, books, asked.postings)
    if wanted := [posting.charge for posting in asked.of(ChargeRefund)]:
        books.charges = {charge.id: charge for charge in await store.charges(conn, wanted)}
    await _read_lots(conn, books, _whole(books, asked).union(due))
    await _look_ahead(conn, books, due)


async def _read_keys(conn: Connection, books: Books, usages: Sequence[Usage]) -> None:
    """Recognise usage by its key; all else has a name of its own that happens once: a reference, a revision, an id.

    One that does not say when it was is looked for in the whole journal.
    """
    if not usages:
        return
    dated = [posting.key for posting in usages if not posting.undated]
    undated = [posting.key for posting in usages if posting.undated]
    for keys, since in ((dated, books.at - REMEMBERED), (undated, _EVER)):
        if keys:
            posted, refused = await store.known(conn, keys, since=since, until=books.at)
            books.known |= posted
            books.refused_usage |= refused


async def _read_references(conn: Connection, books: Books, asked: Asked) -> None:
    funding: list[Grant | SetAside | TakeBack] = [*asked.of(Grant), *asked.of(SetAside), *asked.of(TakeBack)]
    if funding:
        names = {(p.kind, p.cause.reference_type or "", p.cause.reference_id or "") for p in funding}
        _attach(books, await store.funded_lots(conn, names))
    charging = {
        (p.account, p.cause.reference_type, p.cause.reference_id)
        for p in asked.of(Charge)
        if p.cause.reference_type and p.cause.reference_id
    }
    if charging:
        books.charged = await store.charged_references(conn, charging)


async def _read_counts(conn: Connection, books: Books, asked: Asked) -> None:
    """Read what was used before of meters whose prices depend on it. Until then such a posting costs what it may."""
    names: set[tuple[UUID, str, str]] = set()
    for posting in asked.of(Usage, Charge, Hold):
        if (metered := posting.metered) is not None:
            posting.amount = metered.rating.credits
            names.add((posting.account, metered.meter, metered.period))
    if names:
        books.counts = await counts.read(conn, names)


async def _read_holds(conn: Connection, books: Books, asked: Asked, due: Sequence[UUID]) -> None:
    settling: list[Capture | Release | Extend] = [*asked.of(Capture), *asked.of(Release), *asked.of(Extend)]
    named = [posting.hold for posting in settling]
    leasing: list[Settle | Reserve] = [*asked.of(Settle), *asked.of(Reserve)]
    named += [posting.lease for posting in leasing]
    named += [posting.id for posting in asked.of(SetAside)]
    named += [id for posting in asked.of(TakeBack) for id in posting.set_aside]
    if named or due:
        books.holds = {hold.id: hold for hold in await store.holds(conn, named, due, books.at)}


async def _read_actors(conn: Connection, books: Books, postings: Sequence[Posting]) -> None:
    """Set a guard, if there is a limit to keep to: the deployment's, or one of those who spend."""
    rules = books.rules.limits
    everybody = rules.actor_per_hour is not None
    limited = {id for id, account in books.accounts.items() if everybody or account.limits_actors}
    actors: dict[tuple[UUID, str], Actor] = {}
    if limited:
        asked = {(p.account, p.actor) for p in postings if p.actor is not None and p.account in limited}
        asked.update((h.account, h.actor) for h in books.holds.values() if h.actor is not None)
        actors = await limits.actors(conn, asked) if asked else {}
        if everybody:
            actors.update({name: Actor(*name) for name in asked - actors.keys()})
    if actors or rules.any or books.rules.count_accounts:
        books.guard = Guard(rules, actors, at=books.at, told=books.told)


def _whole(books: Books, asked: Asked) -> set[UUID]:
    """Name the accounts whose heads alone cannot answer: they are asked for more, or lots come or come back."""
    demand: dict[UUID, int] = {}
    for posting in asked.of(Usage, Spend, Charge, Hold, Lease):
        demand[posting.account] = demand.get(posting.account, 0) + posting.amount
    accounts = books.accounts
    whole = {id for id, amount in demand.items() if id in accounts and amount >= accounts[id].head_remaining}
    for transfer in asked.of(Transfer):
        whole.update((transfer.account, transfer.to))
    whole.update(
        posting.account for posting in asked.of(Release, Grant, SetAside, TakeBack, ChargeRefund, Settle, Reserve)
    )
    whole.update(_capturing(books, [*asked.of(Capture), *asked.of(Release)]))
    return whole & accounts.keys()


def _capturing(books: Books, postings: Sequence[Capture | Release]) -> set[UUID]:
    """Name the accounts whose holds may give something back, or be captured for more than they have."""
    times = Counter(posting.hold for posting in postings)
    return {
        posting.account
        for posting in postings
        if isinstance(posting, Capture)
        and (
            (hold := books.holds.get(posting.hold)) is None  # it is perhaps placed in this very batch
            or times[hold.id] > 1
            or posting.amount > hold.left
            or (posting.final and posting.amount < hold.left)
        )
    }


async def _read_lots(conn: Connection, books: Books, whole: Collection[UUID]) -> None:
    named = {part.lot for hold in books.holds.values() for part in hold.parts if hold.account in whole}
    named.update(leg.lot for charge in books.charges.values() for leg in charge.legs if leg.lot is not None)
    if whole:
        _attach(books, await store.open_lots(conn, list(whole), list(named)))
    for id, account in books.accounts.items():
        if id in whole:
            account.sort(fifo=books.rules.fifo)
        else:
            account.show_head()


def _attach(books: Books, lots: Iterable[Lot]) -> None:
    """Take lots into the books; of a head, its account knows what remains."""
    for lot in lots:
        if lot.id in books.lots:
            continue
        books.lots[lot.id] = lot
        books.funded[lot.kind, lot.reference_type, lot.reference_id] = lot
        account = books.accounts.get(lot.account) if lot.account else None
        if account is None:
            continue
        account.lots.append(lot)
        if lot.id == account.head_lot and lot.remaining != account.head_remaining:
            lot.remaining, lot.changed = account.head_remaining, True


async def _look_ahead(conn: Connection, books: Books, due: Sequence[UUID]) -> None:
    """Find out when accounts that were due fall due next."""
    if not due:
        return
    next_holds = await store.next_hold_expiries(conn, due, books.at)
    for id in due:
        account = books.accounts[id]
        account.next_due, account.changed = next_holds.get(id), True
        if account.resumes_at is not None and account.resumes_at > books.at:
            account.due_by(account.resumes_at)
        for lot in account.lots:
            if lot.remaining and not lot.expired(books.at):
                account.due_by(lot.expires_at)
