"""What staff do with promo codes: put them, list them, retire them."""

from libs.chassis.clock import Clock
from libs.chassis.errors import NotFoundError
from libs.chassis.pool import Connection, Pool
from libs.chassis.telemetry import log
from libs.contracts.http.base import Page
from libs.contracts.http.promo_codes_v1 import PromoCodeCounted
from libs.contracts.promo_codes import PromoTerms
from services.payments.store import promo_codes


async def put_promo_code(pool: Pool, code: str, terms: PromoTerms, *, clock: Clock) -> PromoCodeCounted:
    """Have a code be active on these terms; its counters stay, and repeating it changes nothing.

    Redemptions stay what they are: a limit below their number means that there are no more.
    """
    async with pool.transaction() as conn:
        await promo_codes.put(conn, code, terms, at=clock.now())
        counted = await _there(conn, code)
    log.info("promo_code.put", code=code, kind=terms.gives.kind)
    return counted


async def retire_promo_code(pool: Pool, code: str, *, clock: Clock) -> PromoCodeCounted:
    """Have a code be active no more; purchases that have redeemed it go on. Raises NotFoundError."""
    async with pool.transaction() as conn:
        await promo_codes.retire(conn, code, at=clock.now())
        counted = await _there(conn, code)
    log.info("promo_code.retired", code=code)
    return counted


async def list_promo_codes(pool: Pool, *, limit: int, cursor: str | None) -> Page[PromoCodeCounted]:
    """List all codes, retired ones too, in alphabetical order; the cursor is the last code that was seen."""
    async with pool.connection() as conn:
        found = await promo_codes.page(conn, after=cursor, limit=limit + 1)
    return Page(data=found[:limit], next_cursor=found[limit - 1].code if len(found) > limit else None)


async def _there(conn: Connection, code: str) -> PromoCodeCounted:
    found = await promo_codes.find(conn, code)
    if found is None:
        raise NotFoundError
    return found
