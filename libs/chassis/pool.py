"""Connections to the service's own database.

`pool` goes to operations and `conn` to the store: the argument tells who owns the transaction. Who cannot have a
connection soon is told so: a queue without end would answer nobody.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg
import orjson

from libs.chassis import fast_arrays

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
else:
    Connection: TypeAlias = asyncpg.Connection
Record: TypeAlias = asyncpg.Record

_PATIENCE_SECONDS = 3.0
_SERVER_SETTINGS = {
    "timezone": "UTC",
    "jit": "off",
    # Few rows of many, each found by an index, however small a table is just now: a plan made for it then would stay.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "idle_in_transaction_session_timeout": "30s",  # what a process that hangs has locked, others get after this
}


class ConnectionLostError(ConnectionError):
    """The connection broke; whether what it was asked to do is done is not known."""


TRANSIENT = (
    asyncpg.PostgresConnectionError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    OSError,
    TimeoutError,
)
"""Errors of the database that the same call may not meet again (a broken connection is an OSError)."""

_lent: ContextVar[tuple[Connection, ...]] = ContextVar("lent", default=())
"""The connections that what we do now was lent."""


class CalledInTransactionError(RuntimeError):
    """Somebody is called over the network while a transaction is open: its locks would last as long as he likes."""


def outside_transactions() -> None:
    """See that no transaction is open where the network is to be used. Raises CalledInTransactionError: our mistake."""
    if any(_is_in_transaction(conn) for conn in _lent.get()):
        raise CalledInTransactionError


class Pool:
    """A pool of connections whose transactions tell, once committed, those who wait for news."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", disturbed: set[int], *, patience_seconds: float) -> None:
        self._pool = pool
        self._disturbed = disturbed
        self._patience = patience_seconds
        self._committed: list[Callable[[], None]] = []

    def on_commit(self, tell: Callable[[], None]) -> None:
        """Have `tell` called after every commit: quick, and never failing. The outbox's relay wakes by it."""
        self._committed.append(tell)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Open a transaction: committed when the block ends, rolled back when it raises. Raises as `connection`."""
        async with self.connection() as conn, conn.transaction():
            yield conn
        for tell in self._committed:
            tell()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection for single statements, each its own transaction.

        Raises TimeoutError if none is free for some seconds, ConnectionLostError if it breaks.
        """
        async with self._pool.acquire(timeout=self._patience) as conn:
            process, before = conn.get_server_pid(), _lent.get()
            _lent.set((*before, conn))
            try:
                yield conn
            except BaseException as error:
                if not _is_lost(conn):
                    self._disturbed.add(process)
                # our mistakes go by these names too, but not over a connection that is closed
                elif isinstance(error, (asyncpg.InterfaceError, asyncpg.InternalClientError)):
                    raise ConnectionLostError(str(error)) from error
                raise
            finally:
                _lent.set(before)

    async def healthy(self) -> bool:
        """Tell whether the database answers."""
        try:
            async with self._pool.acquire(timeout=2) as conn:
                return bool(await conn.fetchval("SELECT true", timeout=2))
        except (asyncpg.PostgresError, asyncpg.InterfaceError, *TRANSIENT):
            return False

    async def close(self) -> None:
        """Give all connections back; those still at work after ten seconds are cut."""
        try:
            async with asyncio.timeout(10):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()


def _is_lost(conn: Connection) -> bool:
    try:
        return conn.is_closed()
    except asyncpg.InterfaceError:  # it went back to the pool, as broken ones do at once
        return True


def _is_in_transaction(conn: Connection) -> bool:
    try:
        return conn.is_in_transaction()
    except asyncpg.InterfaceError:  # it was given back, by who began what we do
        return False


async def open_pool(url: str, *, size: int, name: str, patience_seconds: float = _PATIENCE_SECONDS) -> Pool:
    """Connect to the database; `name` is how its administrator sees us. JSON columns read and write Python values."""
    fast_arrays.apply()
    disturbed: set[int] = set()

    async def reset(conn: Connection) -> None:
        """Reset a connection that an error has left: it may have broken in mid-statement. Others are as they were."""
        process = conn.get_server_pid()
        if process in disturbed:
            disturbed.remove(process)
            await conn.reset()

    pool = await asyncpg.create_pool(
        url,
        min_size=min(2, size),
        max_size=size,
        init=set_up,
        reset=reset,
        command_timeout=60,
        server_settings={"application_name": name, **_SERVER_SETTINGS},
    )
    return Pool(pool, disturbed, patience_seconds=patience_seconds)


async def set_up(conn: Connection) -> None:
    """Teach a fresh connection our JSON."""
    for kind in ("json", "jsonb"):
        await conn.set_type_codec(kind, schema="pg_catalog", encoder=_to_json, decoder=orjson.loads)


def _to_json(value: Any) -> str:
    return orjson.dumps(value).decode()
