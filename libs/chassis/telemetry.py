"""Logs, metrics, traces: what tells operators what happens. Every metric's name is here, and nowhere else.

No secret, token, password or card number reaches a log: we log ids and outcomes, never bodies or headers.
"""

import logging
import secrets
import sys
from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any

import structlog
from prometheus_client import Counter, Gauge, Histogram

OUTBOX_PUBLISHED = Counter("scrip_outbox_published_total", "Messages the broker has acknowledged", ["topic"])
OUTBOX_PENDING = Gauge("scrip_outbox_pending_rows", "Outbox rows not yet published, as last seen by the active relay")
MESSAGES_HANDLED = Counter("scrip_messages_handled_total", "Messages handled, by outcome", ["consumer", "outcome"])
JOB_PASSES = Counter("scrip_job_passes_total", "Passes of background jobs, by outcome", ["job", "outcome"])
REQUESTS = Histogram("scrip_http_request_seconds", "HTTP requests", ["method", "route", "status"])
IDEMPOTENT_REPLAYS = Counter("scrip_idempotent_replays_total", "Requests answered from what is stored under their key")
WEBHOOKS = Counter("scrip_webhooks_total", "Webhooks of Stripe, by outcome", ["outcome"])
STRIPE_CALLS = Counter("scrip_stripe_calls_total", "Calls to Stripe, by outcome", ["operation", "outcome"])
STRIPE_EVENTS = Counter("scrip_stripe_events_total", "Events of Stripe that payments took up", ["type", "outcome"])
PAYMENTS_QUARANTINED = Counter(
    "scrip_payments_quarantined_total", "Payments that differ from our own record", ["reason"]
)
MONEY_DRIFT = Gauge(
    "scrip_money_drift", "What does not agree between Stripe, payments and the ledger: to be 0", ["kind"]
)
RECONCILIATION_REPAIRS = Counter(
    "scrip_reconciliation_repairs_total", "What did not agree between the books, and was mended", ["kind"]
)
RECONCILIATION_FAILURES = Counter(
    "scrip_reconciliation_failures_total", "Steps of comparing books that failed, but for who did not answer", ["what"]
)
RECONCILIATION_LAG = Gauge(
    "scrip_reconciliation_lag_seconds",
    "How long ago the time is up to which all was compared (continuous), or the begin of the last pass (full)",
    ["what", "scope"],
)
LEDGER_POSTINGS = Counter("scrip_ledger_postings_total", "Postings the ledger decided", ["kind", "outcome"])
ACCOUNTS_NOT_SETTLED = Counter(
    "scrip_accounts_not_settled_total", "Times that what is due in an account could not be posted"
)
OVERDRAFT_POSSIBLE = Gauge(
    "scrip_overdraft_possible_microcredits",
    "How far accounts may come to be overdrawn: the largest, and the sum",
    ["of"],
)
ACCOUNTS_NEAR_NOTHING = Gauge("scrip_accounts_near_nothing", "Accounts whose services are told to hold first")
MAILS = Counter("scrip_mails_total", "Tries to send a mail, by outcome", ["template", "outcome"])

traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)
"""The W3C trace context of what is being done now; events carry it on."""

log: structlog.stdlib.BoundLogger = structlog.get_logger()


def set_up_logs(service: str, *, level: str, form: str) -> None:
    """Send structured lines to standard output: ours and those of the libraries."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]

    def named(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {"service": service, **event}

    render = structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=False)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=[*shared, named], processor=render))
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for noisy in ("faststream", "uvicorn.access", "uvicorn.error", "httpx", "httpx2", "stripe"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # while a broker is away aiokafka logs forty errors a second; our own topics.broker_away says it once in a while
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            named,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def set_up_traces(service: str, endpoint: str | None) -> None:
    """Send spans to a collector, if one is given."""
    if endpoint is None:
        return
    # imported only here: the SDK is a tenth of a second of every start, and most processes send no spans
    from opentelemetry import trace  # noqa: PLC0415
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider = TracerProvider(resource=Resource.create({"service.name": f"scrip-{service}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")))
    trace.set_tracer_provider(provider)


def new_traceparent() -> str:
    """Begin a trace."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
