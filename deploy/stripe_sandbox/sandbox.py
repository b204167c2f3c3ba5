"""The sandbox itself: its state, its clock, and the one way in which its state changes."""

import heapq
from collections.abc import Iterator
from contextlib import contextmanager

from deploy.stripe_sandbox import shapes
from deploy.stripe_sandbox.call import Call
from deploy.stripe_sandbox.clock import Clock
from deploy.stripe_sandbox.deliveries import Dispatcher
from deploy.stripe_sandbox.errors import Object
from deploy.stripe_sandbox.faults import Faults
from deploy.stripe_sandbox.idempotency import IdempotencyKeys
from deploy.stripe_sandbox.journal import Journal
from deploy.stripe_sandbox.records import Records
from deploy.stripe_sandbox.request_log import RequestLog
from deploy.stripe_sandbox.settings import API_VERSION, Settings

COMMAND_LINE_ENDPOINT = "we_command_line"


class Sandbox:
    """What all requests, pages, switches and the passing of time work on."""

    def __init__(self, settings: Settings, base_url: str) -> None:
        self.settings = settings
        self.base_url = base_url
        self.clock = Clock(settings.clock_offset_file)
        self.records = Records(Journal(settings.data) if settings.data else None)
        self.keys = IdempotencyKeys(self.records)
        self.faults = Faults()
        self.requests = RequestLog(settings.requests_kept)
        self.dispatcher = Dispatcher(self.records, self.clock, settings)
        self.search_lag_s = 0.0
        self.due = [(each["at"], each["id"]) for each in self.records.oldest_first("sandbox.due")]
        heapq.heapify(self.due)
        self._declare_endpoint()

    def begin(
        self, *, request_id: str | None = None, idempotency_key: str | None = None, publishable: bool = False
    ) -> Call:
        """Begin a change; nothing may be awaited before `commit` or `undo`."""
        return Call(
            records=self.records,
            settings=self.settings,
            now=self.clock.now(),
            base_url=self.base_url,
            request_id=request_id,
            idempotency_key=idempotency_key,
            publishable=publishable,
            search_lag_s=self.search_lag_s,
        )

    def commit(self, call: Call) -> None:
        """Make a change last, then let its webhooks go."""
        self.records.commit()
        for each in call.due:
            heapq.heappush(self.due, each)
        self.dispatcher.submit(call.deliveries)

    def undo(self, call: Call) -> None:
        """Take a change back as if it had never begun."""
        self.records.undo()
        call.deliveries.clear()
        call.due.clear()

    @contextmanager
    def change(self) -> Iterator[Call]:
        """Change the state on the sandbox's own account: time passing, a page, a switch."""
        call = self.begin()
        try:
            yield call
        except BaseException:
            self.undo(call)
            raise
        self.commit(call)

    def close(self) -> None:
        """Close the journal."""
        self.records.close()

    def _declare_endpoint(self) -> None:
        """Listen where the command line says, and no longer where that of an earlier run said."""
        endpoint = self.records.get("webhook_endpoint", COMMAND_LINE_ENDPOINT)
        with self.change() as call:
            if self.settings.webhook_url:
                call.put(endpoint or self._new_endpoint(), **self._endpoint_settings())
            elif endpoint:
                call.records.remove("webhook_endpoint", COMMAND_LINE_ENDPOINT)

    def _new_endpoint(self) -> Object:
        return shapes.webhook_endpoint(COMMAND_LINE_ENDPOINT, created=self.clock.now(), api_version=API_VERSION)

    def _endpoint_settings(self) -> Object:
        return {
            "url": self.settings.webhook_url,
            "enabled_events": [kind.strip() for kind in self.settings.webhook_events.split(",")],
            "_secret": self.settings.webhook_secret,
        }
