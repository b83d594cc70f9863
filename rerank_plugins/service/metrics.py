"""What Prometheus reads: requests, their times, and what the model did for them."""

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from rerank_plugins.types import RerankReport

# From a cache's answer to a long list on a slow machine.
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_DOCUMENTS = (1, 5, 10, 20, 50, 100, 200, 500, 1000)

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """The metrics of one service, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter("rerank_requests", "Requests answered.", ["route", "status"], registry=self._registry)
        self._seconds = Histogram(
            "rerank_request_seconds", "Time of a request.", ["route"], buckets=_SECONDS, registry=self._registry
        )
        self._documents = Histogram(
            "rerank_documents", "Documents of a request.", buckets=_DOCUMENTS, registry=self._registry
        )
        self._queue = Histogram(
            "rerank_queue_seconds", "Wait for the model.", buckets=_SECONDS, registry=self._registry
        )
        self._counted = {
            name: Counter(f"rerank_{name}", text, registry=self._registry)
            for name, text in (
                ("tokens", "Tokens that the model read."),
                ("truncated", "Documents that were cut."),
                ("cached", "Pairs that came from the cache."),
            )
        }
        self.in_flight = Gauge("rerank_in_flight", "Requests being answered.", registry=self._registry)
        self.ready = Gauge("rerank_ready", "Whether the model is ready.", registry=self._registry)

    def observe(self, route: str, status: int, seconds: float, report: RerankReport | None) -> None:
        """Count a request that is over, and what the model did for it."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        if report is None:
            return
        self._documents.observe(report.candidates)
        self._queue.observe(report.queue_seconds)
        for name, counter in self._counted.items():
            counter.inc(getattr(report, name))

    def text(self) -> bytes:
        """Return all of it in Prometheus's text format."""
        return generate_latest(self._registry)
