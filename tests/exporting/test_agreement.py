"""How much two rankings of the same lists differ."""

from pathlib import Path

import pytest

from rerank_plugins.errors import InvalidValueError
from rerank_plugins.exporting.agreement import Candidates, agreement, read_candidates
from rerank_plugins.results import RankResult


def ranking(*logits: float) -> list[RankResult]:
    """Results for documents with these logits, best first."""
    order = sorted(range(len(logits)), key=lambda place: -logits[place])
    return [RankResult(index=place, score=0.5, raw_score=logits[place], truncated=False) for place in order]


def test_the_same_ranking_agrees_in_everything() -> None:
    one = ranking(3.0, 1.0, 2.0)
    found = agreement([(one, one), (one, one)])
    assert (found.lists, found.pairs) == (2, 6)
    assert (found.kendall_tau, found.top_5_overlap, found.same_first) == (1.0, 1.0, 1.0)
    assert (found.largest_difference, found.mean_difference) == (0.0, 0.0)


def test_one_exchanged_pair_of_three() -> None:
    found = agreement([(ranking(3.0, 2.0, 1.0), ranking(2.0, 3.0, 1.0))])
    assert found.kendall_tau == pytest.approx(1 / 3)  # two pairs in order, one not
    assert found.same_first == 0.0
    assert (found.largest_difference, found.mean_difference) == pytest.approx((1.0, 2 / 3))


def test_the_first_five_of_seven() -> None:
    forward = ranking(7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0)
    backward = ranking(1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0)
    found = agreement([(forward, backward)])
    assert found.kendall_tau == pytest.approx(-1.0)
    assert found.top_5_overlap == pytest.approx(3 / 5)


def test_one_document_is_always_in_order() -> None:
    assert agreement([(ranking(1.0), ranking(2.0))]).kendall_tau == 1.0


def test_equal_scores_are_an_order_only_where_both_have_them() -> None:
    assert agreement([(ranking(1.0, 1.0), ranking(2.0, 2.0))]).kendall_tau == 1.0
    assert agreement([(ranking(1.0, 1.0), ranking(2.0, 1.0))]).kendall_tau == 0.0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no lists"),
        ("{", "Line 1 of"),
        ('{"query": "who"}', 'is not an object with "query"'),
        ('["who"]', 'is not an object with "query"'),
        ('{"query": "who", "documents": []}', "has no documents"),
        ('{"query": "who", "documents": "text"}', "has no documents"),
    ],
)
def test_a_file_that_is_something_else(content: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "lists.jsonl"
    file.write_text(content)
    with pytest.raises(InvalidValueError, match=message):
        read_candidates(file)


def test_blank_lines_separate(tmp_path: Path) -> None:
    file = tmp_path / "lists.jsonl"
    file.write_text('{"query": "who", "documents": ["a"]}\n\n{"query": "what", "documents": ["b", "c"]}\n')
    assert read_candidates(file) == [Candidates("who", ["a"]), Candidates("what", ["b", "c"])]
