"""`metrics.md`: every metric of ours."""

from collections.abc import Sequence

from prometheus_client.metrics import MetricWrapperBase

from deploy.generate.documents import REFERENCE, Documents
from deploy.generate.markdown import code, page, table
from libs.chassis import telemetry

_INTRODUCTION = """
What a process of a service tells Prometheus at `/metrics`, besides what the Python client tells of every process
(`process_*`, `python_*`). All are declared in `libs/chassis/telemetry.py`. What to watch, and what to do then, is in
the [runbook](../runbook.md).
"""


def documents() -> Documents:
    """Write the page."""
    declared = [metric for metric in vars(telemetry).values() if isinstance(metric, MetricWrapperBase)]
    text = page("Metrics", _INTRODUCTION, table(("metric", "kind", "labels", "what"), map(_row, declared)))
    return {REFERENCE / "metrics.md": text}


def _row(metric: MetricWrapperBase) -> Sequence[str]:
    (described,) = metric.describe()
    name = f"{described.name}_total" if described.type == "counter" else described.name
    labels = ", ".join(map(code, metric._labelnames))  # noqa: SLF001 - the client shows them nowhere else (0.2x)
    return code(name), described.type, labels, described.documentation
