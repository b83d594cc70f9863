"""Export every rerank as an OpenTelemetry span, a child of the caller's current span."""

import time
from dataclasses import asdict
from typing import Any

from rerank_plugins.extras import extra
from rerank_plugins.results import RerankReport

with extra("opentelemetry", provides="opentelemetry"):
    from opentelemetry import trace
    from opentelemetry.trace import StatusCode, TracerProvider


class OpenTelemetryObserver:
    """Export each report as a span named `rerank`, with the report's fields as attributes named `rerank.*`.

    Args:
        provider: The tracer provider. None: the global one.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._tracer = trace.get_tracer("rerank_plugins", tracer_provider=provider)

    def __call__(self, report: RerankReport) -> None:
        """Export a report as a span that ends now."""
        end = time.time_ns()
        span = self._tracer.start_span("rerank", start_time=end - int(report.seconds * 1e9))
        span.set_attributes(_flat("rerank", asdict(report)))
        if report.error is not None:
            # The message may quote a text, which does not belong in a trace.
            span.set_status(StatusCode.ERROR, report.error.partition(":")[0])
        span.end(end)


def _flat(prefix: str, values: dict[str, Any]) -> dict[str, str | bool | int | float]:
    flat: dict[str, str | bool | int | float] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(f"{prefix}.{name}", value)
        elif value is not None and name != "error":
            flat[f"{prefix}.{name}"] = value
    return flat
