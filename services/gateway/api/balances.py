"""What an account has: asked from credits each time, since its ledger is the truth; and live."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import AwareDatetime

from libs.chassis.clock import Clock
from libs.contracts.http.credits_v1 import Balance
from libs.contracts.http.history_v1 import PastBalance
from libs.contracts.ids import AccountId
from services.gateway.api import problems
from services.gateway.api.door import Door
from services.gateway.clients.credits import CreditsClient
from services.gateway.clients.history import HistoryClient
from services.gateway.clients.live_balances import LiveBalances, Watcher
from services.gateway.domain.principals import Principal, SignedInUser, account_of
from services.gateway.operations import live

_RECONNECT_MS = 1000


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream about to begin: whose, what it hears by, and the balance now."""

    user: SignedInUser
    watcher: Watcher
    first: Balance


def routes(
    door: Door, credits: CreditsClient, history: HistoryClient, balances: LiveBalances, clock: Clock
) -> APIRouter:
    """Make the routes that show what an account has."""
    router = APIRouter(tags=["balance"])
    _add_reading(router, door, credits, history)
    _add_stream(router, door, credits, balances, clock)
    return router


def _add_reading(router: APIRouter, door: Door, credits: CreditsClient, history: HistoryClient) -> None:
    reader = door.user_or_key_with("credits:read")

    @router.get("/v1/balance", operation_id="getBalance", summary="The balance", responses=problems(401, 403, 404, 422))
    async def balance(
        principal: Annotated[Principal, Depends(reader)],
        at: Annotated[AwareDatetime | None, Query(description="an instant: what the balance was then")] = None,
        account: Annotated[AccountId | None, Query(description="another account; with the scope admin")] = None,
    ) -> Balance | PastBalance:
        """Tell the balance, or what it was."""
        owner = account_of(principal, account)
        return await credits.balance(owner) if at is None else await history.balance_at(owner, at)


def _add_stream(router: APIRouter, door: Door, credits: CreditsClient, balances: LiveBalances, clock: Clock) -> None:
    async def begin(user: Annotated[SignedInUser, Depends(door.user)]) -> AsyncIterator[Stream]:
        """Read the balance while an answer may still be a problem document, and hear of changes from before that."""
        async with balances.watch(user.account) as watcher:
            yield Stream(user, watcher, await credits.balance(user.account))

    @router.get(
        "/v1/balance/stream",
        operation_id="streamBalance",
        summary="Follow the balance live",
        response_class=EventSourceResponse,
        responses=problems(401, 403, 422),
    )
    async def stream(
        begun: Annotated[Stream, Depends(begin)],
        last_event_id: Annotated[int | None, Header(description="the last `id` that was seen")] = None,
        after: Annotated[int | None, Query(description="the same, for who cannot send headers")] = None,
    ) -> AsyncIterator[ServerSentEvent]:
        """Tell the balance now, then each change, as events `balance` with a LiveBalance as data.

        A change is told within a second, under the heaviest load two. An event's `id` is the ledger's sequence: who
        comes back with it is told only what is newer. The stream ends with the access token.
        """
        seen = last_event_id if last_event_id is not None else after if after is not None else -1
        yield ServerSentEvent(comment="balance", retry=_RECONNECT_MS)
        async for change in live.follow(
            credits, begun.watcher, begun.first, after=seen, until=begun.user.until, clock=clock
        ):
            yield ServerSentEvent(data=change, event="balance", id=str(change.sequence))
