"""Identity: sign up, log in, go on, log out, and who am I."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from libs.chassis.clock import Clock
from libs.contracts.http.gateway_v1 import Login, Me, Refresh, Register, Session
from services.gateway.api import problems
from services.gateway.api.door import Door
from services.gateway.domain.principals import SignedInUser
from services.gateway.operations import auth
from services.gateway.operations.auth import Identity


def routes(door: Door, identity: Identity, clock: Clock) -> APIRouter:
    """Make the routes by which people sign in."""
    router = APIRouter(tags=["identity"])
    signing_in = APIRouter(prefix="/v1/auth", dependencies=[Depends(door.someone_signing_in)])
    _add_beginnings(signing_in, door, identity, clock)
    _add_sessions(signing_in, identity, clock)
    router.include_router(signing_in)

    @router.get("/v1/me", operation_id="getMe", summary="Who is signed in", responses=problems(401, 403))
    async def me(user: Annotated[SignedInUser, Depends(door.user)]) -> Me:
        """Tell who is signed in, and his balance."""
        return await auth.who_is(identity, user)

    return router


def _add_beginnings(router: APIRouter, door: Door, identity: Identity, clock: Clock) -> None:
    @router.post("/register", operation_id="register", summary="Sign up", status_code=201, responses=problems(409, 422))
    async def register(order: Register) -> Session:
        """Sign up. The new account is given the welcome bonus; `balance` is null if the ledger cannot be reached."""
        return await auth.register(identity, order, now=clock.now())

    @router.post("/login", operation_id="logIn", summary="Log in", responses=problems(401, 422))
    async def log_in(order: Login, response: Response) -> Session:
        """Log in with e-mail address and password."""
        await door.count_login(order.email, response)
        return await auth.log_in(identity, order, now=clock.now())


def _add_sessions(router: APIRouter, identity: Identity, clock: Clock) -> None:
    @router.post("/refresh", operation_id="refresh", summary="Renew tokens", responses=problems(401, 422))
    async def refresh(order: Refresh) -> Session:
        """Trade a refresh token for new tokens. Each works once: one that comes again ends its whole session."""
        return await auth.refresh(identity, order.refresh_token, now=clock.now())

    @router.post("/logout", operation_id="logOut", summary="Log out", status_code=204, responses=problems(422))
    async def log_out(order: Refresh) -> None:
        """End the session of a refresh token. Access tokens that were given out end by themselves within minutes."""
        await auth.log_out(identity.pool, order.refresh_token, now=clock.now())
