"""A cache of a user's own may fail in any way: the call goes on without it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from rerank_plugins import DocumentScore, QueryDocuments
from rerank_plugins.caching.memory import MemoryCache
from rerank_plugins.scorers.cached import CachedScorer
from tests.fakes import FakeScorer

LISTS = [QueryDocuments("q", ["a", "aaa"])]


class Failing(MemoryCache):
    """A cache that does as it is told in place of looking up, or of keeping."""

    def __init__(self, get: Callable[[Sequence[bytes]], Any] | None = None, *, keeps: bool = True) -> None:
        super().__init__()
        self._get, self._keeps = get, keeps

    def get_many(self, keys: Sequence[bytes]) -> list[DocumentScore | None]:
        return super().get_many(keys) if self._get is None else self._get(keys)  # type: ignore[no-any-return]

    def set_many(self, scores: Mapping[bytes, DocumentScore]) -> None:
        if not self._keeps:
            raise OSError("The disk is full.")
        super().set_many(scores)


def _raise(keys: Sequence[bytes]) -> Any:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("get", "words"),
    [
        (_raise, "The cache Failing failed (ZeroDivisionError); scoring continues without it."),
        (lambda keys: None, "(TypeError)"),
        (lambda keys: 5, "(TypeError)"),
        (lambda keys: [], "(0 values for 2 keys)"),
        (lambda keys: [None] * 3, "(3 values for 2 keys)"),
        (lambda keys: [1.5, b"score"], ""),
        (lambda keys: iter([None, "score"]), ""),
    ],
)
def test_looking_up_fails(get: Callable[[Sequence[bytes]], Any], words: str, caplog: pytest.LogCaptureFixture) -> None:
    scorer = CachedScorer(FakeScorer(), Failing(get))
    for scored in (scorer.score(LISTS)[0], asyncio.run(scorer.ascore(LISTS))[0]):
        assert [each.raw for each in scored.scores] == [1.0, 3.0]
        assert (scored.usage.scored, scored.usage.cached) == (2, 0)
    assert words in caplog.text


def test_keeping_fails(caplog: pytest.LogCaptureFixture) -> None:
    scorer = CachedScorer(FakeScorer(), Failing(keeps=False))
    for _ in range(2):
        (scored,) = scorer.score(LISTS)
        assert [each.raw for each in scored.scores] == [1.0, 3.0]
    assert "The cache Failing failed (OSError); scoring continues without it." in caplog.text


def test_what_it_knows_for_sure_is_used() -> None:
    cache = Failing(lambda keys: [DocumentScore(9.0), "score"])
    (scored,) = CachedScorer(FakeScorer(), cache).score(LISTS)
    assert [each.raw for each in scored.scores] == [9.0, 3.0]
    assert (scored.usage.scored, scored.usage.cached) == (1, 1)
