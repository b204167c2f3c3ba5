"""Applying a catalogue file: the database is brought to what it says at once, then Stripe, object by object.

What is to be at Stripe is recorded with what is sold, in one transaction. Each object is then a step of its own: looked
for, made or changed under a key of its record's id and revision, recorded. So an apply that was interrupted is gone on
with by the next one, and two at once are one: who comes second is told to wait.
"""

from collections.abc import Sequence

from libs.chassis.clock import Clock
from libs.chassis.failpoints import reach
from libs.chassis.leading import leading
from libs.chassis.pool import Connection, Pool
from libs.chassis.telemetry import log
from libs.contracts import ids
from libs.contracts.catalogue import Catalogue
from libs.contracts.http.catalogue_v1 import (
    CatalogueChange,
    CatalogueItem,
    CataloguePlan,
    CatalogueProgress,
    CatalogueRefusal,
    CatalogueState,
)
from libs.contracts.http.catalogue_v1 import Counterpart as ShownCounterpart
from services.payments.clients.stripe import StripeRefusedError
from services.payments.clients.stripe_catalogue import StripeCatalogue
from services.payments.domain import catalogue_words as words
from services.payments.domain.catalogue import (
    Counterpart,
    Difference,
    Item,
    differences,
    items,
    otherwise,
    promo_terms,
    terms,
    wanted_at_stripe,
)
from services.payments.store import catalogue as store
from services.payments.store import promo_codes

_AT_ONCE = 10
"""How many objects one step brings to Stripe, so that its answer comes in time."""

_EVERY_CODE = 1_000_000


async def plan(
    pool: Pool, stripe: StripeCatalogue, file: Catalogue, *, running: Catalogue, clock: Clock
) -> CataloguePlan:
    """Say what applying a file would change. Stripe is not asked: what we recorded of it counts."""
    at = clock.now()
    async with pool.connection() as conn:
        there = await _items(conn)
        known = await store.counterparts(conn, livemode=stripe.livemode)
    changed = [change for now, before in otherwise(items(file), there) for change in words.of_item(now, before)]
    differing = differences(wanted_at_stripe(file, at=at), known, at=at)
    again = {each.before.id for each in differing if each.before is not None}
    due = [words.of_due(each) for each in known if each.due and each.id not in again]
    restart = words.of_restart(running, file)
    return CataloguePlan(changes=[*changed, *due, *map(words.of_difference, differing), *restart])


async def apply(pool: Pool, stripe: StripeCatalogue, file: Catalogue, *, by: str, clock: Clock) -> CatalogueProgress:
    """Take one step: record what is to be so, tell Stripe some of it, and say how much is left.

    Raises UnavailableError while Stripe does not answer; what is done stays so.
    """
    async with pool.connection() as conn, leading(conn, store.LOCK) as leads:
        if not leads:
            return CatalogueProgress(done=[], left=0, busy=True)
        done = await _record(conn, file, livemode=stripe.livemode, clock=clock)
        if done:
            log.info("catalogue.recorded", by=by, changes=len(done))
        for _ in range(_AT_ONCE):
            known = await store.counterparts(conn, livemode=stripe.livemode)
            due = sorted((each for each in known if each.due), key=lambda each: each.turn)
            if not due:
                break
            try:
                await _tell(conn, stripe, due[0], known)
            except StripeRefusedError as error:
                await store.renew(conn, due[0].id, revision=due[0].revision)
                refused = CatalogueRefusal(step=words.of_due(due[0]), reason=str(error.__cause__ or error))
                log.error("catalogue.refused", step=refused.step.change, item=due[0].name, reason=refused.reason)
                return CatalogueProgress(done=done, left=len(due), refused=refused)
            done.append(words.of_step(due[0]))
        left = sum(each.due for each in await store.counterparts(conn, livemode=stripe.livemode))
    return CatalogueProgress(done=done, left=left)


async def show(pool: Pool, stripe: StripeCatalogue) -> CatalogueState:
    """Show what was applied last: everything that is sold or was, with what stands for it at Stripe."""
    async with pool.connection() as conn:
        products = await store.products(conn)
        codes = await promo_codes.page(conn, after=None, limit=_EVERY_CODE)
        known = await store.counterparts(conn, livemode=stripe.livemode)
    told = [(Item("promo_code", one.code, terms(one.terms), active=one.active), one.changed_at) for one in codes]
    shown = [
        CatalogueItem(
            kind=item.kind,
            id=item.id,
            terms=dict(item.terms),
            active=item.active,
            changed_at=changed_at,
            stripe=[_shown(each) for each in known if each.name == f"{item.kind}:{item.id}"],
        )
        for item, changed_at in [*products, *told]
    ]
    return CatalogueState(livemode=stripe.livemode, data=shown)


async def _items(conn: Connection) -> list[Item]:
    codes = await promo_codes.page(conn, after=None, limit=_EVERY_CODE)
    told = [Item("promo_code", one.code, terms(one.terms), active=one.active) for one in codes]
    return [*(item for item, _ in await store.products(conn)), *told]


async def _record(conn: Connection, file: Catalogue, *, livemode: bool, clock: Clock) -> list[CatalogueChange]:
    """Bring the database to what the file says, and record what is to be at Stripe; says what was otherwise."""
    at = clock.now()
    async with conn.transaction():
        changed = otherwise(items(file), await _items(conn))
        known = await store.counterparts(conn, livemode=livemode)
        differing = differences(wanted_at_stripe(file, at=at), known, at=at)
        written = {promo.code: promo_terms(promo) for promo in file.promo_codes}
        for now, _ in changed:
            if now.kind != "promo_code":
                await store.put(conn, now, at=at)
            elif now.active:
                await promo_codes.put(conn, now.id, written[now.id], at=at)
            else:
                await promo_codes.retire(conn, now.id, at=at)
        await _intend(conn, differing, livemode=livemode, clock=clock)
        reach("payments.catalogue.before_commit")
    reach("payments.catalogue.after_commit")
    return [change for now, before in changed for change in words.of_item(now, before)]


async def _intend(conn: Connection, differing: Sequence[Difference], *, livemode: bool, clock: Clock) -> None:
    for each in differing:
        await store.intend(conn, ids.new_id(), each.wanted, livemode=livemode, at=clock.now())


async def _tell(conn: Connection, stripe: StripeCatalogue, each: Counterpart, known: Sequence[Counterpart]) -> None:
    """Have Stripe say so of an object, making it if it is not there and is to be of use."""
    owner = next((one.stripe_id for one in known if one.fingerprint == each.owner), None)
    reach("payments.catalogue.before_call")
    homeless = each.owner is not None and owner is None  # what was never made has nothing that belongs to it
    found = None if homeless else await stripe.find(each, owner=owner)
    stripe_id = found.id if found else None
    if found is None and each.active:
        stripe_id = await stripe.create(each, owner=owner)
    elif found is not None and not found.says(each.said):
        await stripe.change(each, found.id)
    reach("payments.catalogue.before_answer")
    await store.know(conn, each.id, told=each.revision, stripe_id=stripe_id)
    reach("payments.catalogue.after_answer")


def _shown(each: Counterpart) -> ShownCounterpart:
    return ShownCounterpart(
        kind=each.kind, stripe_id=each.stripe_id, fixed=dict(each.fixed), said=dict(each.said), told=not each.due
    )
