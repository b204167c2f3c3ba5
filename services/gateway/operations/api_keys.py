"""API keys: made, listed, revoked, and checked when they are used."""

from datetime import datetime
from uuid import UUID

from libs.chassis.errors import NotAuthenticatedError, NotFoundError
from libs.chassis.pool import Pool
from libs.contracts import ids
from libs.contracts.http.base import Page
from libs.contracts.http.gateway_v1 import ApiKey, NewApiKey
from services.gateway.domain import api_keys
from services.gateway.domain.api_keys import PresentedKey
from services.gateway.domain.principals import KeyHolder
from services.gateway.store import api_keys as store
from services.gateway.store.api_keys import StoredKey


class KeyUses:
    """When keys were last used, gathered here so that a request writes nothing."""

    def __init__(self) -> None:
        self._last: dict[UUID, datetime] = {}

    def note(self, key: UUID, *, at: datetime) -> None:
        """Note a use."""
        self._last[key] = at

    async def write(self, pool: Pool) -> int:
        """Write down what was gathered; returns how many keys that was. What cannot be written is gathered anew."""
        uses, self._last = self._last, {}
        if not uses:
            return 0
        try:
            async with pool.transaction() as conn:
                await store.note_uses(conn, uses)
        except Exception:
            self._last = uses | self._last
            raise
        return len(uses)


async def create(pool: Pool, account: UUID, order: NewApiKey, *, now: datetime) -> ApiKey:
    """Make a key for an account. This answer alone has its secret."""
    secret = api_keys.new_secret()
    key = StoredKey(ids.new_id(), account, order.name, sorted(set(order.scopes)), api_keys.hash_of(secret), now)
    async with pool.transaction() as conn:
        await store.add(conn, key)
    return _shown(key).model_copy(update={"secret": f"{api_keys.prefix(key.id)}_{secret}"})


async def of_account(pool: Pool, account: UUID, *, limit: int, before: UUID | None) -> Page[ApiKey]:
    """List an account's keys, newest first; the cursor is the last key's id."""
    async with pool.connection() as conn:
        found = await store.of_account(conn, account, before=before, limit=limit + 1)
    page = found[:limit]
    more = ids.show("api_key", page[-1].id) if len(found) > limit else None
    return Page[ApiKey](data=[_shown(key) for key in page], next_cursor=more)


async def revoke(pool: Pool, account: UUID, key: UUID, *, now: datetime) -> None:
    """Revoke a key: it opens nothing from now on. Raises NotFoundError for another account's."""
    async with pool.transaction() as conn:
        if not await store.revoke(conn, key, account=account, at=now):
            raise NotFoundError


async def holder_of(pool: Pool, text: str) -> KeyHolder:
    """Tell who holds a key. Raises NotAuthenticatedError if it is none of ours, or was revoked."""
    presented = PresentedKey.parse(text)
    if presented is not None:
        async with pool.connection() as conn:
            known = await store.find(conn, presented.id)
        if known is not None and presented.opens(known.secret_hash):
            return KeyHolder(known.id, known.account_id, frozenset(known.scopes))
    raise NotAuthenticatedError("the API key is not valid, or was revoked")


def _shown(key: StoredKey) -> ApiKey:
    return ApiKey(
        id=key.id,
        name=key.name,
        prefix=api_keys.prefix(key.id),
        scopes=key.scopes,
        created_at=key.created_at,
        last_used_at=key.last_used_at,
    )
