"""The client that services use: a buffer, in memory or on disk, emptied in the background until all is accepted."""

import asyncio
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from ..events.usage_v1 import PropertyValue, UsageCost
from ..ids import new_id
from ..topics import USAGE_EVENTS
from .buffers import Buffer
from .errors import NotAcceptedError, Refusal, SetUpError, UsageClientError, UsageNotAcceptedError
from .extra import needs_the_extra
from .memory import Memory
from .pauses import pauses
from .reports import Report, write_report
from .transports import Transport

if TYPE_CHECKING:
    from .spool import Spool

_LINGER_SECONDS = 0.005
_LOOK_AGAIN_SECONDS = 1.0
_LARGEST_BATCH = 500
_LARGEST_BATCH_BYTES = 512 * 1024  # half of what the gateway takes

log = logging.getLogger(__name__)


class UsageClient:
    """Reports usage to Scrip, at least once and in order; made by `kafka` or `http`, used as a context manager.

    With a `spool`, a folder of this process's own, what was reported is on disk before `usage` returns. It outlives the
    process, and its next client sends it. Without one it is in memory alone, and a full buffer makes `usage` wait;
    leaving the context waits `patience_seconds` for it to be accepted, and raises UsageNotAcceptedError with what was
    not. Refused events go to `on_refused` if given, else `flush` and leaving raise them.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        source: str,
        on_refused: Callable[[Refusal], None] | None = None,
        spool: Path | None = None,
        largest_spool_bytes: int = 1024**3,
        largest_buffer: int = 10_000,
        patience_seconds: float = 30.0,
    ) -> None:
        self._transport = transport
        self._source = source
        self._on_refused = on_refused
        self._patience = patience_seconds
        self._refusals: list[Refusal] = []
        self._trouble: NotAcceptedError | None = None
        self._changed = asyncio.Condition()
        self._spool = _spool(spool, self._changed, largest_spool_bytes) if spool else None
        self._buffer: Buffer = self._spool or Memory(largest_buffer)
        self._hurry_up_to = 0
        self._leaving = False
        self._one_sends = asyncio.Lock()
        self._sending: asyncio.Task[None] | None = None

    @classmethod
    def kafka(
        cls,
        servers: str,
        *,
        source: str,
        spool: Path | None = None,
        largest_spool_bytes: int = 1024**3,
        on_refused: Callable[[Refusal], None] | None = None,
        largest_buffer: int = 10_000,
        patience_seconds: float = 30.0,
        **producer: Any,
    ) -> Self:
        """Report to Kafka; `producer` are further options of aiokafka's, such as `security_protocol`."""
        with needs_the_extra():
            from .kafka import KafkaTransport  # noqa: PLC0415 - who speaks HTTP needs no Kafka

        return cls(
            KafkaTransport(servers, topic=USAGE_EVENTS.name, **producer),
            source=source,
            spool=spool,
            largest_spool_bytes=largest_spool_bytes,
            on_refused=on_refused,
            largest_buffer=largest_buffer,
            patience_seconds=patience_seconds,
        )

    @classmethod
    def http(
        cls,
        base_url: str,
        api_key: str,
        *,
        source: str,
        spool: Path | None = None,
        largest_spool_bytes: int = 1024**3,
        on_refused: Callable[[Refusal], None] | None = None,
        largest_buffer: int = 10_000,
        patience_seconds: float = 30.0,
    ) -> Self:
        """Report to the gateway, with an API key that has the scope `usage:write`."""
        with needs_the_extra():
            from .http import HttpTransport  # noqa: PLC0415 - who speaks Kafka needs no HTTP

        return cls(
            HttpTransport(base_url, api_key),
            source=source,
            spool=spool,
            largest_spool_bytes=largest_spool_bytes,
            on_refused=on_refused,
            largest_buffer=largest_buffer,
            patience_seconds=patience_seconds,
        )

    async def usage(
        self,
        account: UUID | str,
        meter: str,
        quantity: Decimal | int | str = 1,
        properties: Mapping[str, PropertyValue] | None = None,
        *,
        id: str | None = None,
        time: datetime | None = None,
        actor: str | None = None,
        cost: UsageCost | None = None,
    ) -> str:
        """Report that an account used a quantity of what the meter measures; returns the event's id.

        The event is sent soon, not yet when this returns; in a spool it is on disk by then. `id` is a new UUIDv7 unless
        given: who may report the same usage twice derives it from his own. `actor` is who used it, such as
        `user:usr_...`, whose own limits hold too; over HTTP the API key, which alone with the scope `admin` may name
        another. `cost` is what serving it cost whoever operates Scrip. Raises InvalidUsageError. In memory, waits while
        the buffer is full, and raises SetUpError while no event can be accepted. A spool takes events then too and
        raises SpoolFullError, or SpoolError if the disk fails.
        """
        id = id or str(new_id())
        report = write_report(
            account, meter, quantity, properties or {}, source=self._source, id=id, time=time, actor=actor, cost=cost
        )
        async with self._changed:
            await self._changed.wait_for(lambda: self._buffer.has_room() or self._hopeless())
            if self._sending is None:
                raise UsageClientError("the client is not open; use it inside `async with UsageClient...`")
            if self._spool is None and isinstance(self._trouble, SetUpError):
                raise SetUpError(str(self._trouble)) from self._trouble
            kept = self._buffer.put(report)
            self._changed.notify_all()
        if kept is not None:
            await kept
        return id

    async def flush(self) -> None:
        """Wait until all that was reported before is accepted.

        Raises UsageNotAcceptedError for what has been refused, and for what is not accepted within the patience; the
        latter stays in the buffer. With a spool, which may hold any number, raises NotAcceptedError for the latter.
        """
        goal = self._buffer.taken
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience), self._changed:
                self._hurry_up_to = max(self._hurry_up_to, goal)
                self._changed.notify_all()
                await self._changed.wait_for(lambda: self._buffer.settled >= goal or self._hopeless())
        left = max(0, goal - self._buffer.settled)
        refusals, self._refusals = self._refusals, []
        if self._spool is None and left:
            undelivered = [report.event for report in self._buffer.first(left, sys.maxsize)]
            raise UsageNotAcceptedError(refusals, undelivered, why=self._trouble) from self._trouble
        if refusals:
            raise UsageNotAcceptedError(refusals, [])
        if left and self._spool is not None:
            raise NotAcceptedError(
                f"{left} usage events wait in {self._spool.folder}: {self._trouble}"
            ) from self._trouble

    async def republish(self, since: datetime) -> int:
        """Send again what was reported since an instant and is accepted already; returns how many events that were.

        For when the other end has lost what it had accepted. A spool keeps events for seven days, in files: all of a
        file are sent if it was written to since then. Each is counted once, where it was counted before. Tries until
        all is accepted.
        """
        if self._spool is None or self._sending is None:
            raise UsageClientError("only an open client with a spool has what to publish again")
        number = 0
        for batch in self._spool.accepted_since(since):
            for part in (batch[at : at + _LARGEST_BATCH] for at in range(0, len(batch), _LARGEST_BATCH)):
                for refusal in await self._send_until_accepted(part):
                    self._tell(refusal)
                number += len(part)
        return number

    async def __aenter__(self) -> Self:
        """Open: begin to send in the background. Raises SpoolInUseError, and SpoolError if the folder is unusable."""
        await self._buffer.open()
        self._leaving = False
        self._sending = asyncio.create_task(self._send_on(), name="scrip-usage")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Flush and close; what was not accepted becomes a note on an error that is on its way already.

        What stays in a spool is not lost, and no error; it is waited for only while it is being accepted.
        """
        self._leaving = True
        try:
            await self.flush()
        except UsageNotAcceptedError as lost:
            if error is None:
                raise
            error.add_note(str(lost))
        except NotAcceptedError as left:
            log.warning("%s", left)
        finally:
            await self._close()

    async def _close(self) -> None:
        sending, self._sending = self._sending, None
        if sending is not None:
            sending.cancel()
            with suppress(asyncio.CancelledError):
                await sending
        await self._transport.close()
        await self._buffer.close()
        async with self._changed:
            self._changed.notify_all()

    def _hopeless(self) -> bool:
        if self._leaving and self._spool is not None and self._trouble is not None:
            return True
        return self._sending is None or isinstance(self._trouble, SetUpError)

    async def _send_on(self) -> None:
        while True:
            await self._until_a_batch_is_due()
            try:
                batch = self._buffer.first(_LARGEST_BATCH, _LARGEST_BATCH_BYTES)
            except OSError as error:
                log.warning("the spool cannot be read: %r", error)
                await self._note(NotAcceptedError(f"the spool cannot be read: {error!r}"))
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)
                continue
            refusals = await self._send_until_accepted(batch) if batch else []
            await self._settle(batch, refusals)

    async def _until_a_batch_is_due(self) -> None:
        """Wait for a first report, and then for company, but not when somebody waits for all to be gone."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._waiting() > 0)
            with suppress(TimeoutError):
                async with asyncio.timeout(_LINGER_SECONDS):
                    await self._changed.wait_for(
                        lambda: self._waiting() >= _LARGEST_BATCH or self._hurry_up_to > self._buffer.settled
                    )

    def _waiting(self) -> int:
        return self._buffer.taken - self._buffer.settled

    async def _send_until_accepted(self, batch: Sequence[Report]) -> Sequence[Refusal]:
        for pause in pauses():
            try:
                async with self._one_sends:
                    return await self._transport.send(batch)
            except NotAcceptedError as error:
                trouble = error
            except Exception as error:
                trouble = NotAcceptedError(f"the client itself failed, which is a bug: {error!r}")
            log.warning("%d usage events are not accepted yet: %s", len(batch), trouble)
            await self._note(trouble)
            await asyncio.sleep(trouble.retry_after or pause)
        raise AssertionError("pauses never end")

    async def _note(self, trouble: NotAcceptedError) -> None:
        async with self._changed:
            self._trouble = trouble
            self._changed.notify_all()

    async def _settle(self, batch: Sequence[Report], refusals: Sequence[Refusal]) -> None:
        for refusal in refusals:
            self._tell(refusal)
        async with self._changed:
            self._buffer.settle(batch)
            self._trouble = None
            self._changed.notify_all()

    def _tell(self, refusal: Refusal) -> None:
        """Hand a refused event on; one that the callback cannot take is kept for `flush` to raise."""
        try:
            if self._on_refused is not None:
                self._on_refused(refusal)
                return
        except Exception:
            log.exception("on_refused failed for usage event %s", refusal.event.id)
        self._refusals.append(refusal)


def _spool(folder: Path, changed: asyncio.Condition, largest_bytes: int) -> "Spool":
    from .spool import Spool  # noqa: PLC0415 - it locks as POSIX does; who needs no spool needs no POSIX

    return Spool(folder, changed=changed, largest_bytes=largest_bytes)
