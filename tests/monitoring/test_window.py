"""A summary of the latest reports, and the advice drawn from it."""

from dataclasses import replace

import pytest

from rerank_plugins.monitoring import RollingWindow
from rerank_plugins.monitoring.window import MIN_CALLS
from rerank_plugins.results import RerankReport, ScoreDistribution

USUAL = RerankReport(
    model="m", candidates=50, kept=5, scored=50, tokens=5000, max_length=512, seconds=0.4, forward_seconds=0.39,
    scores=ScoreDistribution(mean=0.3, lowest=0.0, highest=0.9, spread=0.2, gap=0.1),
    top_1_kept=False, kendall_tau=0.4, top_n_overlap=0.6,
)  # fmt: skip


def window_of(*reports: RerankReport) -> RollingWindow:
    window = RollingWindow()
    for report in reports:
        window(report)
    return window


def test_a_summary() -> None:
    other = replace(USUAL, top_1_kept=True, kendall_tau=0.8, truncated=5, cached=25, scored=25, seconds=0.2)
    numbers = window_of(USUAL, other).summary()
    assert numbers["calls"] == 2
    assert numbers["top_1_kept"] == 0.5
    assert numbers["kendall_tau"] == pytest.approx(0.6)
    assert numbers["truncated"] == 0.05
    assert numbers["cached"] == 0.25
    assert numbers["seconds_median"] == pytest.approx(0.3)
    assert numbers["gap_median"] == pytest.approx(0.1)


def test_it_forgets_the_oldest() -> None:
    window = RollingWindow(size=3)
    for candidates in range(1, 6):
        window(replace(USUAL, candidates=candidates))
    assert [report.candidates for report in window.reports] == [3, 4, 5]


def test_an_empty_window_has_nothing_to_say() -> None:
    assert RollingWindow().summary() == {"calls": 0}
    assert RollingWindow().advice() == []


def test_all_is_well() -> None:
    assert window_of(*[USUAL] * MIN_CALLS).advice() == []


@pytest.mark.parametrize(
    ("change", "rule", "words"),
    [
        (
            {"kendall_tau": 0.97, "top_1_kept": True},
            "changes_nothing",
            "tau 0.97, top document unchanged in 100% of calls): retrieve fewer candidates, such as 25 instead of 50",
        ),
        ({"truncated": 16}, "cuts_documents", "32% of documents are truncated at 512 tokens"),
        ({"kept": 0}, "keeps_nothing", "drops all documents in 100% of calls; the median of the best scores is 0.90"),
        ({"unreadable": 10}, "cannot_read", "20% of texts are in a language that the model cannot read"),
        ({"queue_seconds": 0.3}, "waits_long", "median 0.30 s of 0.40 s"),
        ({"error": "ScoringError: NaN for 'a text'"}, "fails", "100.0% of calls failed"),
    ],
)
def test_advice(change: dict[str, object], rule: str, words: str) -> None:
    changed = replace(USUAL, **change)  # type: ignore[arg-type]
    assert window_of(*[changed] * (MIN_CALLS - 1)).advice() == []
    (advice,) = window_of(*[changed] * MIN_CALLS).advice()
    assert advice.rule == rule
    assert words in advice.text
    assert "a text" not in advice.text
    assert advice.numbers
