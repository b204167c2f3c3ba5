"""The door: who makes a request, whether he may, and not too often.

Each public method, and what `key_with` and `user_or_key_with` make, is a dependency of routes.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Query, Request, Response, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from libs.chassis.clock import Clock
from libs.chassis.errors import NotAllowedError, NotAuthenticatedError, TooManyRequestsError
from libs.chassis.pool import Pool
from libs.contracts.http.gateway_v1 import Scope
from libs.contracts.ids import AccountId
from services.gateway.clients.rate_limits import RateLimits
from services.gateway.domain.access_tokens import AccessTokens
from services.gateway.domain.api_keys import MARK
from services.gateway.domain.principals import KeyHolder, Principal, SignedInUser
from services.gateway.domain.rates import Rate, neighbourhood
from services.gateway.operations import api_keys
from services.gateway.operations.api_keys import KeyUses

_BEARER = HTTPBearer(
    scheme_name="bearer", auto_error=False, description="A user's access token, or an API key (`scrip_sk_...`)"
)
_API_KEY = APIKeyHeader(
    name="X-Api-Key", scheme_name="apiKey", auto_error=False, description="An API key (`scrip_sk_...`)"
)

Bearer = Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]
XApiKey = Annotated[str | None, Security(_API_KEY)]
Account = Annotated[AccountId | None, Query(description="another account than the key's own; with the scope admin")]


@dataclass(frozen=True, slots=True)
class Rates:
    """How often callers may come, by the kind of route."""

    auth_per_address: Rate
    login_per_email: Rate
    public_per_address: Rate
    codes_per_user: Rate
    codes_per_address: Rate
    payments_per_user: Rate
    payments_per_address: Rate
    per_principal: Rate


class Door:
    """Lets requests in. What it raises becomes a 401, 403 or 429."""

    def __init__(
        self, pool: Pool, *, tokens: AccessTokens, key_uses: KeyUses, limits: RateLimits, rates: Rates, clock: Clock
    ) -> None:
        self._pool = pool
        self._tokens = tokens
        self._key_uses = key_uses
        self._limits = limits
        self._rates = rates
        self._clock = clock

    async def anybody(self, request: Request, response: Response) -> None:
        """Let anybody in who does not come too often from one address."""
        await self._spend(self._rates.public_per_address, _address(request), response)

    async def someone_signing_in(self, request: Request, response: Response) -> None:
        """Let anybody in, but not often: passwords are tried here."""
        response.headers["Cache-Control"] = "no-store"
        await self._spend(self._rates.auth_per_address, _address(request), response)

    async def count_login(self, email: str, response: Response) -> None:
        """Count a log-in with an e-mail address, wherever it comes from."""
        await self._spend(self._rates.login_per_email, email, response)

    async def count_code(self, user: SignedInUser, request: Request, response: Response) -> None:
        """Count a code that a user names, right or wrong: codes could be guessed, by one user or by many of one."""
        await self._spend(self._rates.codes_per_address, _address(request), response)
        await self._spend(self._rates.codes_per_user, user.caller, response)

    async def count_payment(self, user: SignedInUser, request: Request, response: Response) -> None:
        """Count a payment, or a card to be saved, that a user begins: stolen cards could be tried out."""
        await self._spend(self._rates.payments_per_address, _address(request), response)
        await self._spend(self._rates.payments_per_user, user.caller, response)

    async def user(self, response: Response, bearer: Bearer) -> SignedInUser:
        """Let a signed-in user in."""
        principal = await self._enter(response, bearer, None)
        if not isinstance(principal, SignedInUser):
            raise NotAllowedError("this is for signed-in users, not for API keys")
        return principal

    async def user_with_code(self, request: Request, response: Response, bearer: Bearer) -> SignedInUser:
        """Let a signed-in user in, but not often: codes that are worth something are tried here."""
        user = await self.user(response, bearer)
        await self.count_code(user, request, response)
        return user

    def key_with(self, scope: Scope) -> Callable[..., Awaitable[KeyHolder]]:
        """Make a dependency that lets API keys with a scope in."""

        async def key(response: Response, bearer: Bearer, x_api_key: XApiKey) -> KeyHolder:
            principal = await self._enter(response, bearer, x_api_key)
            if not isinstance(principal, KeyHolder) or not principal.may(scope):
                raise NotAllowedError(f"this needs an API key with the scope {scope}")
            return principal

        return key

    def user_or_key_with(self, *scopes: Scope) -> Callable[..., Awaitable[Principal]]:
        """Make a dependency that lets signed-in users in, and API keys with one of the scopes."""

        async def user_or_key(response: Response, bearer: Bearer, x_api_key: XApiKey) -> Principal:
            principal = await self._enter(response, bearer, x_api_key)
            if isinstance(principal, KeyHolder) and not any(principal.may(scope) for scope in scopes):
                raise NotAllowedError(f"an API key needs the scope {' or '.join(scopes)} for this")
            return principal

        return user_or_key

    async def _enter(
        self, response: Response, bearer: HTTPAuthorizationCredentials | None, x_api_key: str | None
    ) -> Principal:
        principal = await self._recognise(bearer.credentials if bearer else None, x_api_key)
        response.headers["Cache-Control"] = "no-store"
        await self._spend(self._rates.per_principal, principal.caller, response)
        return principal

    async def _recognise(self, bearer: str | None, x_api_key: str | None) -> Principal:
        now = self._clock.now()
        key = x_api_key or (bearer if bearer and bearer.startswith(MARK) else None)
        if key:
            holder = await api_keys.holder_of(self._pool, key)
            self._key_uses.note(holder.key, at=now)
            return holder
        if not bearer:
            raise NotAuthenticatedError
        return self._tokens.read(bearer, now=now)

    async def _spend(self, rate: Rate, caller: str, response: Response) -> None:
        verdict = await self._limits.spend(rate, caller)
        if not verdict.allowed:
            raise TooManyRequestsError(headers=verdict.headers())
        response.headers.update(verdict.headers())


def _address(request: Request) -> str:
    return neighbourhood(request.client.host if request.client else "")
