"""The classes in docs/extending.md pass the contracts that the page shows."""

import contextlib
import io
from typing import Any

from rerank_plugins import DocumentScore, Scorer
from rerank_plugins.caching import ScoreCache
from tests.documents import DOCS, runnable

NAMES: dict[str, Any] = {}
with contextlib.redirect_stdout(io.StringIO()):  # tests/test_documents.py compares what is printed
    for code, _ in runnable(DOCS / "extending.md"):
        exec(code, NAMES)

TestWordOverlap = NAMES["TestWordOverlap"]
TestTokenOverlap = NAMES["TestTokenOverlap"]


def test_the_classes_are_what_the_protocols_ask_for(tmp_path: Any) -> None:
    assert isinstance(NAMES["WordOverlap"](), Scorer)
    assert isinstance(NAMES["SqliteCache"](tmp_path / "scores"), ScoreCache)


def test_the_cache_gives_back_what_it_kept_and_never_raises(tmp_path: Any) -> None:
    cache = NAMES["SqliteCache"](tmp_path / "scores")
    score = DocumentScore(1.5, query_truncated=True, span=(3, 9))
    cache.set_many({b"a" * 32: score})
    assert cache.get_many([b"b" * 32, b"a" * 32]) == [None, score]
    (tmp_path / "scores").write_bytes(b"not a database" * 100)
    assert cache.get_many([b"a" * 32]) == [None]
    cache.set_many({b"a" * 32: score})
