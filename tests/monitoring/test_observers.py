"""Observers see every rerank, from any caller, and their errors do not affect it."""

import logging
from contextlib import ExitStack

import pytest
from langchain_core.documents import Document
from llama_index.core.schema import NodeWithScore, TextNode
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from prometheus_client import CollectorRegistry

from rerank_plugins import Reranker
from rerank_plugins.langchain import RerankCompressor
from rerank_plugins.llama_index import RerankPostprocessor
from rerank_plugins.monitoring import LogObserver, observe
from rerank_plugins.monitoring.opentelemetry import OpenTelemetryObserver
from rerank_plugins.monitoring.prometheus import PrometheusObserver
from rerank_plugins.results import RerankReport

DOCUMENTS = ["bread", "hamlet", "sugar"]
SECRET = "apple"


@pytest.fixture
def seen() -> object:
    reports: list[RerankReport] = []
    with observe(reports.append):
        yield reports


async def test_every_way_to_rank_is_seen(bert: Reranker, seen: list[RerankReport]) -> None:
    ranked = bert.rank("who", DOCUMENTS)
    await bert.arank("who", DOCUMENTS)
    bert.score([("who", "bread")])
    RerankCompressor(reranker=bert).compress_documents([Document(page_content=text) for text in DOCUMENTS], "who")
    nodes = [NodeWithScore(node=TextNode(text=text)) for text in DOCUMENTS]
    RerankPostprocessor(reranker=bert).postprocess_nodes(nodes, query_str="who")
    assert [report.candidates for report in seen] == [3, 3, 1, 3, 3]
    assert seen[0] == ranked.report


def test_a_failure_that_is_handed_through_is_seen(broken: Reranker, seen: list[RerankReport]) -> None:
    compressor = RerankCompressor(reranker=broken, on_error="passthrough")
    compressor.compress_documents([Document(page_content="bread")], "who")
    (report,) = seen
    assert report.error is not None
    assert report.error.startswith("ScoringError")


def test_after_the_block_nothing_is_seen(bert: Reranker) -> None:
    reports: list[RerankReport] = []
    with observe(reports.append), observe(reports.append):  # the same one twice is told twice
        bert.rank("who", DOCUMENTS)
    bert.rank("who", DOCUMENTS)
    assert len(reports) == 2


def test_an_observer_that_fails_breaks_nothing(
    bert: Reranker, seen: list[RerankReport], caplog: pytest.LogCaptureFixture
) -> None:
    def fail(report: RerankReport) -> None:
        raise ValueError("no space left")

    with observe(fail):
        results = bert.rank("who", DOCUMENTS)
    assert len(results) == 3
    assert len(seen) == 1
    assert "ValueError: no space left" in caplog.text


def test_the_log_has_a_sentence_and_the_numbers_and_no_text(
    bert: Reranker, broken: Reranker, caplog: pytest.LogCaptureFixture
) -> None:
    with observe(LogObserver()), caplog.at_level(logging.INFO):
        bert.rank(SECRET, [*DOCUMENTS, SECRET], top_n=2)
        RerankCompressor(reranker=broken, on_error="passthrough").compress_documents(
            [Document(page_content=SECRET)], SECRET
        )
    first, *_, failed = [record for record in caplog.records if record.name == "rerank_plugins.reports"]
    assert "kept 2 of 4 documents in" in first.getMessage()
    assert first.rerank["candidates"] == 4  # type: ignore[attr-defined]
    assert (failed.levelname, "keeping the retriever's order" in failed.getMessage()) == ("WARNING", True)
    assert SECRET not in caplog.text


def test_prometheus(bert: Reranker, broken: Reranker) -> None:
    registry = CollectorRegistry()
    with observe(PrometheusObserver(registry)):
        results = [bert.rank("who", DOCUMENTS, top_n=2), bert.rank("what", DOCUMENTS)]
        bert.score([("who", "bread")])
        RerankCompressor(reranker=broken, on_error="passthrough").compress_documents(
            [Document(page_content="bread")], "who"
        )
    labels = {"model": bert.model}
    assert registry.get_sample_value("rerank_candidates_sum", labels) == 7.0
    assert registry.get_sample_value("rerank_candidates_count", labels) == 3.0
    assert registry.get_sample_value("rerank_tokens_total", labels) == sum(each.report.tokens for each in results) + 5
    kept = sum(each.report.top_1_kept is True for each in results)
    found = [registry.get_sample_value("rerank_first_total", {**labels, "kept": word}) for word in ("true", "false")]
    assert [value or 0.0 for value in found] == [kept, 2 - kept]
    assert registry.get_sample_value("rerank_kendall_tau_count", labels) == 2.0
    assert registry.get_sample_value("rerank_failures_total", {"model": broken.model}) == 1.0


def test_spans_are_children_of_the_callers(bert: Reranker, broken: Reranker) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with observe(OpenTelemetryObserver(provider)):
        with provider.get_tracer("test").start_as_current_span("question") as outer:
            report = bert.rank("who", DOCUMENTS).report
        RerankCompressor(reranker=broken, on_error="passthrough").compress_documents(
            [Document(page_content=SECRET)], SECRET
        )
    span, question, failed = exporter.get_finished_spans()
    assert (span.name, question.name) == ("rerank", "question")
    assert span.parent is not None
    assert span.parent.span_id == outer.get_span_context().span_id
    attributes = dict(span.attributes or {})
    assert attributes["rerank.candidates"] == 3
    assert report.scores is not None
    assert attributes["rerank.scores.highest"] == report.scores.highest
    assert (span.end_time or 0) - (span.start_time or 0) == pytest.approx(report.seconds * 1e9, rel=0.01)
    assert (failed.status.status_code, failed.status.description) == (StatusCode.ERROR, "ScoringError")
    assert SECRET not in str([dict(each.attributes or {}) for each in (span, failed)])


def test_observers_may_come_and_go_while_others_rank(bert: Reranker, seen: list[RerankReport]) -> None:
    import threading

    def come_and_go() -> None:
        for _ in range(200):
            with ExitStack() as stack:
                stack.enter_context(observe(lambda report: None))

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        bert.rank("who", DOCUMENTS)
    for thread in threads:
        thread.join()
    assert len(seen) == 50
