"""Measures equal those of ir-measures, and differences are tested for significance."""

import math

import pytest

from rerank_plugins.evaluation.measures import average, p_value, per_question, recall

QRELS = {"a": {"x": 2, "y": 1}, "b": {"z": 1}}
RUN = {"a": ["y", "n", "x"], "b": ["n", "m", "z"]}


def test_averages_by_hand() -> None:
    first = (1 / 1 + 2 / math.log2(4)) / (2 / 1 + 1 / math.log2(3))
    second = (1 / math.log2(4)) / 1
    assert per_question(RUN, QRELS) == pytest.approx({"a": first, "b": second})
    assert average(RUN, QRELS, top_n=2) == pytest.approx(
        {"nDCG@10": (first + second) / 2, "RR@10": (1 + 1 / 3) / 2, "R@2": (1 / 2 + 0) / 2, "P@2": (1 / 2 + 0) / 2}
    )
    assert recall(RUN, QRELS, [1, 3]) == pytest.approx([0.25, 1.0])


def test_the_order_counts_and_not_the_documents_names() -> None:
    assert average({"a": ["b", "a"]}, {"a": {"a": 1}}, top_n=1)["RR@10"] == 0.5
    assert average({"a": ["a", "b"]}, {"a": {"b": 1}}, top_n=1)["RR@10"] == 0.5


def test_a_question_without_candidates_counts_as_nothing_found() -> None:
    assert average({"a": RUN["a"], "b": []}, QRELS, top_n=2)["RR@10"] == 0.5
    assert per_question({"a": RUN["a"]}, QRELS)["b"] == 0.0


def test_chance() -> None:
    before = [0.1 * (place % 5) for place in range(50)]
    assert p_value(before, before) == 1.0
    assert p_value(before, [value + 0.1 for value in before]) < 0.001
    assert p_value(before, [value + 0.1 * (-1) ** place for place, value in enumerate(before)]) > 0.5
    assert p_value(before, before[::-1]) == p_value(before, before[::-1])


def test_a_single_query_cannot_be_tested() -> None:
    assert p_value([0.5], [1.0]) is None
    assert p_value([0.5], [0.5]) is None
    assert p_value([0.5, 0.5], [1.0, 1.0]) == 0.5


def test_negative_grades_count_as_not_relevant() -> None:
    run = {"a": ["spam", "x"]}
    assert average(run, {"a": {"x": 1, "spam": -2}}, top_n=2) == average(run, {"a": {"x": 1}}, top_n=2)
