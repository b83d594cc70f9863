"""The contract of a score cache, for memory and a real Redis, and what happens when Redis is down."""

import pickle
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis
from redis.exceptions import RedisError

from rerank_plugins import InvalidValueError
from rerank_plugins.caching import ScoreCache, open_cache
from rerank_plugins.caching.base import KeyMaker
from rerank_plugins.caching.memory import BYTES_A_SCORE, MemoryCache
from rerank_plugins.caching.redis import RedisCache
from rerank_plugins.scores import DocumentScore
from tests.waiting import SECONDS, until

SCORES = {
    b"a" * 32: DocumentScore(1.5, query_truncated=False, document_truncated=True, span=None),
    b"b" * 32: DocumentScore(-11.25, query_truncated=True, document_truncated=False, span=(3, 70_000)),
}


class Server:
    """A private Redis server on a free port."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("redis-server is not installed")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        # The cache waits for a tenth of a second by itself: less than a busy machine may take.
        self.url = f"redis://127.0.0.1:{self.port}/0?socket_timeout={SECONDS}&socket_connect_timeout={SECONDS}"
        self._command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        until(self._answers)

    def _answers(self) -> bool:
        try:
            return bool(Redis.from_url(self.url).ping())
        except RedisError:
            return False

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
def cache(request: pytest.FixtureRequest) -> ScoreCache:
    if request.param == "memory":
        return open_cache("memory")
    server: Server = request.getfixturevalue("redis")
    Redis.from_url(server.url).flushall()
    return open_cache(server.url)


def test_gives_back_what_was_kept_and_none_for_the_rest(cache: ScoreCache) -> None:
    assert isinstance(cache, ScoreCache)
    assert cache.get_many(list(SCORES)) == [None, None]
    cache.set_many(SCORES)
    assert cache.get_many([b"b" * 32, b"c" * 32, b"a" * 32]) == [SCORES[b"b" * 32], None, SCORES[b"a" * 32]]
    assert cache.get_many([]) == []
    cache.set_many({})


@pytest.mark.parametrize("raw", [0.1, -1e300, 5e-324])
def test_a_score_keeps_its_precision(cache: ScoreCache, raw: float) -> None:
    cache.set_many({b"a" * 32: DocumentScore(raw)})
    assert cache.get_many([b"a" * 32]) == [DocumentScore(raw)]


def test_a_later_score_takes_the_place_of_an_earlier_one(cache: ScoreCache) -> None:
    cache.set_many(SCORES)
    other = DocumentScore(0.0, query_truncated=False, document_truncated=False, span=None)
    cache.set_many({b"a" * 32: other})
    assert cache.get_many([b"a" * 32]) == [other]


def test_many_threads_use_it_at_once(cache: ScoreCache) -> None:
    def use(thread: int) -> None:
        for number in range(50):
            key = bytes([thread]) * 16 + number.to_bytes(16, "big")
            score = DocumentScore(
                float(thread * 100 + number), query_truncated=False, document_truncated=False, span=None
            )
            cache.set_many({key: score})
            assert cache.get_many([key]) == [score]

    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_it_can_be_pickled(cache: ScoreCache) -> None:
    cache.set_many(SCORES)
    copy = pickle.loads(pickle.dumps(cache))
    found = copy.get_many(list(SCORES))
    assert found == ([None, None] if isinstance(cache, MemoryCache) else list(SCORES.values()))


def test_memory_is_bounded_and_forgets_what_is_unused_for_longest() -> None:
    cache = MemoryCache(max_bytes=2 * BYTES_A_SCORE)
    score = SCORES[b"a" * 32]
    cache.set_many({b"1": score, b"2": score})
    cache.get_many([b"1"])
    cache.set_many({b"3": score})
    assert cache.get_many([b"1", b"2", b"3"]) == [score, None, score]
    assert len(cache) == 2
    with pytest.raises(InvalidValueError, match="max_bytes must be at least"):
        MemoryCache(max_bytes=10)


def test_a_score_in_memory_takes_what_is_said() -> None:
    import tracemalloc

    tracemalloc.start()
    cache = MemoryCache(max_bytes=20_000 * BYTES_A_SCORE)
    for number in range(20_000):
        score = DocumentScore(number / 3, query_truncated=False, document_truncated=False, span=(number, number + 1000))
        cache.set_many({number.to_bytes(32, "big"): score})
    taken = tracemalloc.get_traced_memory()[0] / len(cache)
    tracemalloc.stop()
    assert 0.5 * BYTES_A_SCORE < taken <= BYTES_A_SCORE


@pytest.mark.redis
def test_redis_keeps_scores_in_a_namespace_and_for_a_time(redis: Server) -> None:
    client = Redis.from_url(redis.url)
    client.flushall()
    one, other = RedisCache(redis.url, namespace="one", ttl=100), RedisCache(redis.url, namespace="other", ttl=100)
    one.set_many(SCORES)
    assert other.get_many(list(SCORES)) == [None, None]
    (key, _) = sorted(client.scan_iter("one:*"))
    assert key == b"one:" + b"a" * 32
    assert 90 < client.ttl(key) <= 100


@pytest.mark.redis
def test_long_calls_come_through(redis: Server) -> None:
    cache = RedisCache(redis.url)
    scores = {number.to_bytes(32, "big"): DocumentScore(number / 3) for number in range(20_000)}
    cache.set_many(scores)
    assert cache.get_many(list(scores)) == list(scores.values())


@pytest.mark.redis
def test_what_another_program_wrote_is_not_taken_for_a_score(redis: Server) -> None:
    cache = RedisCache(redis.url)
    Redis.from_url(redis.url).set(b"rerank:" + b"a" * 32, b"something else")
    assert cache.get_many([b"a" * 32]) == [None]


@pytest.mark.redis
def test_redis_that_is_killed_and_comes_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = Server(tmp_path)
    cache = RedisCache(server.url, retry_after=0)
    cache.set_many(SCORES)
    assert cache.get_many(list(SCORES)) == list(SCORES.values())
    server.stop()
    assert cache.get_many(list(SCORES)) == [None, None]
    cache.set_many(SCORES)
    assert cache.failures == 2
    assert "Redis gave no usable answer (ConnectionError); scoring continues without the cache." in caplog.text
    server.start()
    cache.set_many(SCORES)
    assert cache.get_many(list(SCORES)) == list(SCORES.values())
    server.stop()


def test_redis_that_does_not_answer_is_left_alone_for_a_while() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        cache = RedisCache(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", timeout=0.2, retry_after=3600)
        for _ in range(5):
            assert cache.get_many([b"a" * 32]) == [None]
            cache.set_many(SCORES)
        assert cache.failures == 1  # Only the first call tried.
        assert pickle.loads(pickle.dumps(cache))._retry_after == 3600


@given(
    fingerprint=st.text(),
    pairs=st.sets(st.tuples(st.text(), st.text(), st.none() | st.text()), min_size=2, max_size=20),
)
def test_no_two_pairs_have_one_name(fingerprint: str, pairs: set[tuple[str, str, str | None]]) -> None:
    keys = KeyMaker(fingerprint)
    assert len({keys.key(*pair) for pair in pairs}) == len(pairs)
    assert all(len(keys.key(*pair)) == 32 for pair in pairs)


def test_no_part_of_a_name_runs_into_the_next() -> None:
    names = {
        KeyMaker(fingerprint).key(query, document, instruction)
        for fingerprint, query, document, instruction in [
            ("a", "b", "c", None),
            ("ab", "", "c", None),
            ("", "ab", "c", None),
            ("a", "bc", "", None),
            ("a", "", "bc", None),
            ("a", "b", "", "c"),
            ("a", "b", "c", ""),
            ("a", "", "b", "c"),
        ]
    }
    assert len(names) == 8


def test_another_scorer_gives_other_names() -> None:
    assert KeyMaker("one").key("query", "document") != KeyMaker("two").key("query", "document")
    assert KeyMaker("one").key("query", "document") == KeyMaker("one").key("query", "document")
