"""The service's Prometheus metrics: requests, their times, and what the model did for them."""

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from rerank_plugins.monitoring.prometheus import SECONDS, PrometheusObserver
from rerank_plugins.results import RerankReport

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """The metrics of one service, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter("rerank_requests", "Requests answered.", ["route", "status"], registry=self._registry)
        self._seconds = Histogram(
            "rerank_request_seconds",
            "Seconds from a request to its response.",
            ["route"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self._reranks = PrometheusObserver(self._registry)
        self.in_flight = Gauge("rerank_in_flight", "Requests being answered.", registry=self._registry)
        self.ready = Gauge("rerank_ready", "Whether the model is ready.", registry=self._registry)

    def observe(self, route: str, status: int, seconds: float, report: RerankReport | None) -> None:
        """Count a finished request, and what the model did for it."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        if report is not None:
            self._reranks(report)

    def text(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self._registry)
