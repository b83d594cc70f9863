"""Kendall's tau equals that of scipy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from rerank_plugins.ranking.report import kendall_tau


@given(st.integers(2, 60).flatmap(lambda size: st.permutations(range(size))))
def test_as_scipy_says(order: list[int]) -> None:
    ranks = sorted(range(len(order)), key=order.__getitem__)
    assert kendall_tau(order) == pytest.approx(kendalltau(range(len(order)), ranks).statistic)


def test_the_ends_and_nothing() -> None:
    assert kendall_tau([0, 1, 2, 3]) == 1.0
    assert kendall_tau([3, 2, 1, 0]) == -1.0
    assert kendall_tau([0]) is None
    assert kendall_tau([]) is None
    assert kendall_tau(range(20_000)) == 1.0
