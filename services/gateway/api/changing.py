"""Changes that services make with a key: whose account, on whose behalf, under which idempotency key."""

from collections.abc import Awaitable, Callable
from typing import Annotated, NamedTuple, TypedDict
from uuid import UUID

from fastapi import Depends

from libs.contracts.http.gateway_v1 import Scope
from services.gateway.api.door import Account, Door
from services.gateway.api.once import IdempotencyKey, required
from services.gateway.domain.principals import KeyHolder, account_of


class Terms(TypedDict):
    """On which account a change is made, for whom, and under which key."""

    account: UUID
    caller: str
    key: str


class Change(NamedTuple):
    """What a request says of a change besides the change itself."""

    holder: KeyHolder
    account: UUID | None
    key: str | None

    @property
    def terms(self) -> Terms:
        """Check it, once the rest of the request is read. Raises NotAllowedError, IdempotencyKeyMissingError."""
        owner = account_of(self.holder, self.account)
        return Terms(account=owner, caller=self.holder.caller, key=required(self.key))


def change_with(door: Door, scope: Scope) -> Callable[..., Awaitable[Change]]:
    """Make a dependency that lets API keys with a scope in, to change something."""

    async def change(
        holder: Annotated[KeyHolder, Depends(door.key_with(scope))],
        account: Account = None,
        key: IdempotencyKey = None,
    ) -> Change:
        return Change(holder, account, key)

    return change
