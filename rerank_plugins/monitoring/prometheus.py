"""Export every rerank as Prometheus metrics named `rerank_*`."""

from rerank_plugins.extras import extra
from rerank_plugins.results import RerankReport

with extra("prometheus", provides="prometheus_client"):
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram

# From a cache hit to a long list of documents on a slow machine.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_DOCUMENTS = (1, 5, 10, 20, 50, 100, 200, 500, 1000)
_SHARES = tuple(place / 10 for place in range(1, 11))
_TAUS = (-0.5, 0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 1.0)


class PrometheusObserver:
    """Histograms and counters of reports, labelled by model.

    Args:
        registry: The registry of the metrics; prometheus_client's default one if omitted.

    Raises:
        ValueError: If the registry has metrics of these names already.

    Examples:
        >>> with observe(PrometheusObserver()):
        ...     reranker.rank("who", ["a", "b"])
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"rerank_{name}", text, ["model"], buckets=buckets, registry=registry)

        def counter(name: str, text: str) -> Counter:
            return Counter(f"rerank_{name}", text, ["model"], registry=registry)

        self._histograms = {
            "seconds": histogram("seconds", "Duration of a rerank.", SECONDS),
            "queue_seconds": histogram("queue_seconds", "Time spent waiting for the model.", SECONDS),
            "tokenize_seconds": histogram("tokenize_seconds", "Time spent on cache lookups and tokenization.", SECONDS),
            "forward_seconds": histogram("forward_seconds", "Time spent in the model.", SECONDS),
            "candidates": histogram("candidates", "Documents per call, before reranking.", _DOCUMENTS),
            "kendall_tau": histogram(
                "kendall_tau", "Kendall's tau between the retriever's and the reranked order; 1: same order.", _TAUS
            ),
            "top_n_overlap": histogram(
                "top_n_overlap", "Share of the kept documents that were in the retriever's top n.", _SHARES
            ),
        }
        self._top_score = histogram("top_score", "Score of the best document.", _SHARES)
        self._score_gap = histogram("score_gap", "Difference between the two best scores.", _SHARES)
        self._counters = {
            "tokens": counter("tokens", "Tokens read by the model."),
            "scored": counter("scored", "Pairs scored by the model."),
            "cached": counter("cached", "Pairs found in the cache."),
            "truncated": counter("truncated", "Documents truncated to fit max_length."),
            "unreadable": counter("unreadable", "Texts in a language that the model cannot read."),
        }
        self._failures = counter("failures", "Calls that failed and kept the retriever's order.")
        self._first = Counter(
            "rerank_first",
            "Calls by whether the retriever's top document stayed on top.",
            ["model", "kept"],
            registry=registry,
        )

    def __call__(self, report: RerankReport) -> None:
        """Record a report."""
        if report.error is not None:
            self._failures.labels(report.model).inc()
            return
        for name, histogram in self._histograms.items():
            if (value := getattr(report, name)) is not None:
                histogram.labels(report.model).observe(value)
        for name, counter in self._counters.items():
            counter.labels(report.model).inc(getattr(report, name))
        if report.scores is not None:
            self._top_score.labels(report.model).observe(report.scores.highest)
            if report.scores.gap is not None:
                self._score_gap.labels(report.model).observe(report.scores.gap)
        if report.top_1_kept is not None:
            self._first.labels(report.model, str(report.top_1_kept).lower()).inc()
