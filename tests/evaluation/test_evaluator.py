"""Lists from three first stages are reranked and measured."""

import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest

from rerank_plugins import InvalidValueError, Reranker, ScorerRanker
from rerank_plugins.evaluation.dataset import read_dataset
from rerank_plugins.evaluation.evaluator import by_cosine, evaluate, rerank_first
from rerank_plugins.evaluation.first_stage import retrieve_with_bm25, retrieve_with_faiss, take_from_file
from rerank_plugins.evaluation.report import save_report
from rerank_plugins.evaluation.results import Baseline, Scored
from rerank_plugins.retrieval.embedding import BiEncoder
from tests.evaluation.conftest import TEXTS
from tests.fakes import FakeScorer


@pytest.fixture(scope="module")
def encoder() -> BiEncoder:
    return BiEncoder()


def test_faiss(folder: Path, encoder: BiEncoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    run = retrieve_with_faiss(read_dataset(folder), 5, encoder)
    assert {query_id: len(document_ids) for query_id, document_ids in run.items()} == {"q1": 5, "q2": 5, "q3": 5}
    assert (run["q2"][0], run["q3"][0]) == ("d1", "d4")


def test_bm25(folder: Path) -> None:
    run = retrieve_with_bm25(read_dataset(folder), 4)
    assert run["q3"][0] == "d4"
    assert "d1" in run["q2"]
    assert len(run["q1"]) == 4


def test_a_file(folder: Path) -> None:
    (folder / "candidates.jsonl").write_text('{"query_id": "q1", "doc_ids": ["d3", "d0", "d2"]}')
    assert take_from_file(read_dataset(folder), 2) == {"q1": ["d3", "d0"], "q2": [], "q3": []}


def test_the_judged_documents_where_there_is_no_file(folder: Path) -> None:
    assert take_from_file(read_dataset(folder), 50) == {"q1": ["d0", "d3"], "q2": ["d1", "d2"], "q3": ["d4"]}


def test_before_and_after(folder: Path, encoder: BiEncoder) -> None:
    dataset = read_dataset(folder)
    candidates = {"q1": ["d2", "d1", "d3", "d0"], "q2": ["d0", "d2", "d1"], "q3": ["d5", "d6"]}
    done: list[int] = []
    baseline = by_cosine(dataset, candidates, encoder)
    with Reranker() as reranker:
        evaluation = evaluate(dataset, candidates, reranker, top_n=2, baseline=baseline, on_progress=done.append)
        logits = {
            result.index: result.raw_score
            for result in reranker.rank(dataset.queries["q2"], [TEXTS[0], TEXTS[2], TEXTS[1]])
        }
    assert sum(done) == 3
    assert [each.document_id for each in evaluation.scored["q2"]] == candidates["q2"]
    assert [each.raw_score for each in evaluation.scored["q2"]] == [logits[place] for place in range(3)]
    assert rerank_first(evaluation.scored, None)["q1"] == ["d0", "d3", "d2", "d1"]
    assert evaluation.before.averages["RR@10"] == pytest.approx((1 / 3 + 1 / 3 + 0) / 3)
    assert evaluation.after.averages["RR@10"] == pytest.approx((1 + 1 + 0) / 3)
    assert (evaluation.before.wins, evaluation.before.losses) == (2, 0)
    assert evaluation.baseline is not None
    assert evaluation.baseline.name == "all-MiniLM-L6-v2 by cosine"
    work = evaluation.workload
    assert (work.pairs, work.truncated) == (9, 0)
    assert work.pairs_per_second == pytest.approx(9 / work.seconds)
    json = evaluation.as_json()
    assert (json["name"], json["model"], json["queries"]) == ("tiny", evaluation.model, 3)
    assert json["after"] == evaluation.after.averages
    assert set(json["before"]) == {"nDCG@10", "RR@10", "R@2", "P@2"}


def test_what_is_cut_is_counted(folder: Path) -> None:
    dataset = read_dataset(folder)
    candidates = {query_id: ["d0", "d1"] for query_id in dataset.queries}
    with Reranker(max_length=16) as short, Reranker() as whole:
        reports = [short.rank(query, TEXTS[:2]).report for query in dataset.queries.values()]
        cut = sum(report.truncated for report in reports)
        assert evaluate(dataset, candidates, short).workload.truncated == cut > 0
        assert evaluate(dataset, candidates, whole).as_json()["truncated"] == 0
        # A query that is cut is no document that is.
        long = replace(dataset, queries=dict.fromkeys(dataset.queries, "bread " * 300))
        assert evaluate(long, candidates, whole).workload.truncated == 0


def test_reranking_the_first_few_leaves_the_rest_behind_them() -> None:
    scored = {"q": [Scored("a", 0.0, 0.5), Scored("b", 1.0, 0.7), Scored("c", 2.0, 0.9), Scored("d", 0.0, 0.5)]}
    assert rerank_first(scored, 0) == {"q": ["a", "b", "c", "d"]}
    assert rerank_first(scored, 2) == {"q": ["b", "a", "c", "d"]}
    assert rerank_first(scored, None) == {"q": ["c", "b", "a", "d"]}


def test_a_report_is_a_page_with_its_figures(folder: Path, tmp_path: Path) -> None:
    dataset = read_dataset(folder)
    with Reranker() as reranker:
        evaluation = evaluate(dataset, take_from_file(dataset, 50), reranker)
    page = save_report([evaluation], tmp_path / "report")
    html = page.read_text()
    figures = sorted(file.name for file in page.parent.glob("*.png"))
    assert figures == ["latency.png", *(f"tiny-embedded-{name}.png" for name in ("candidates", "recall", "scores"))]
    assert all(f'src="{name}"' in html and (page.parent / name).stat().st_size > 10_000 for name in figures)
    assert f"<td>{evaluation.after.averages['nDCG@10']:.3f}</td>" in html


def test_a_report_lists_the_questions_that_changed_the_greatest_loss_first(folder: Path, tmp_path: Path) -> None:
    dataset = read_dataset(folder)
    with Reranker() as reranker:
        evaluation = evaluate(dataset, take_from_file(dataset, 50), reranker)
    gains = {"q1": 0.5, "q2": -0.25, "q3": 0.0}
    after = {each: evaluation.before.per_question[each] + gain for each, gain in gains.items()}
    queries = {"q1": "is <b> bold?", "q2": "who lost", "q3": "who stayed"}
    changed = replace(
        evaluation, dataset=replace(dataset, queries=queries), after=replace(evaluation.after, per_question=after)
    )
    html = save_report([changed], tmp_path / "report").read_text()
    assert 0 < html.index("who lost") < html.index("is &lt;b&gt; bold?")
    assert "who stayed" not in html


def test_one_query_has_no_p_value(folder: Path, tmp_path: Path) -> None:
    dataset = read_dataset(folder).sample(1, seed=0)
    (query_id,) = dataset.queries
    relevant = next(each for each, grade in dataset.qrels[query_id].items() if grade > 0)
    candidates = {query_id: [*(each for each in ("d5", "d6", "d7") if each != relevant), relevant]}
    with Reranker() as reranker:
        evaluation = evaluate(dataset, candidates, reranker)
    assert evaluation.before.wins == 1
    assert evaluation.as_json()["p_value"] is None
    assert evaluation.before.verdict == "1 query better, 0 worse than first stage, p = n/a"
    assert "p = n/a" in save_report([evaluation], tmp_path / "report").read_text()


def test_an_instruction_is_passed_on_and_told(folder: Path) -> None:
    dataset = read_dataset(folder)
    scorer = FakeScorer(takes_instruction=True)
    ranker = ScorerRanker(scorer, instruction="find passages")
    candidates = take_from_file(dataset, 50)
    for given, told in ((None, "find passages"), ("find code", "find code")):
        scorer.asked.clear()
        evaluation = evaluate(dataset, candidates, ranker, instruction=given)
        assert {each.instruction for asked in scorer.asked for each in asked} == {told}
        assert evaluation.as_json()["instruction"] == told
        assert f"instruction {told!r}" in evaluation.summary
    with pytest.raises(InvalidValueError, match="instruction has no place in what 'fake' reads"):
        evaluate(dataset, candidates, ScorerRanker(FakeScorer()), instruction="find code")


def test_queries_without_candidates_are_told(folder: Path) -> None:
    dataset = read_dataset(folder)
    with Reranker() as reranker:
        evaluation = evaluate(dataset, {"q1": ["d0", "d1"], "q2": []}, reranker)
    assert evaluation.as_json()["queries_without_candidates"] == 2
    assert "2 queries without candidates (measured as 0)" in evaluation.summary
    assert evaluation.after.averages["RR@10"] == pytest.approx(1 / 3)


def test_zeros_are_told(folder: Path) -> None:
    dataset = read_dataset(folder)
    with Reranker() as reranker, pytest.warns(UserWarning, match="No candidate in 'tiny' is judged relevant"):
        assert evaluate(dataset, {"q1": ["d5", "d6"]}, reranker).after.averages["nDCG@10"] == 0


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        ({"q1": ["d0", "d1", "d0"]}, "The first stage lists 'd0' twice for query 'q1'"),
        ({"q1": ["d0", "unknown"]}, "The first stage lists 'unknown' for query 'q1'"),
        ({}, "The first stage has no documents for any of the 3 judged queries"),
    ],
)
def test_lists_that_would_be_measured_wrongly(
    folder: Path, encoder: BiEncoder, candidates: dict[str, list[str]], message: str
) -> None:
    dataset = read_dataset(folder)
    with Reranker() as reranker, pytest.raises(InvalidValueError, match=message):
        evaluate(dataset, candidates, reranker)
    with pytest.raises(InvalidValueError, match=message):
        by_cosine(dataset, candidates, encoder)


def test_a_baseline_is_checked_too(folder: Path) -> None:
    baseline = Baseline("mine", {"q1": ["d0", "d0"]})
    with Reranker() as reranker, pytest.raises(InvalidValueError, match="The baseline 'mine' lists 'd0' twice"):
        evaluate(read_dataset(folder), {"q1": ["d0"]}, reranker, baseline=baseline)


def test_figures_of_two_datasets_with_one_name(folder: Path, tmp_path: Path) -> None:
    dataset = replace(read_dataset(folder), name="50% #1")
    with Reranker() as reranker:
        evaluation = evaluate(dataset, take_from_file(dataset, 50), reranker)
    page = save_report([evaluation, evaluation], tmp_path / "report")
    sources = re.findall('src="([^"]+)"', page.read_text())
    assert "50%25%20%231-embedded-2-recall.png" in sources
    assert sorted(map(unquote, sources)) == sorted(file.name for file in page.parent.glob("*.png"))
    assert len(sources) == 7
