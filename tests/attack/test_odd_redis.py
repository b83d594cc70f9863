"""Whatever the server behind the cache says, scoring goes on, with the right scores."""

import asyncio
import random
import socket
import struct
import threading
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerank_plugins import InvalidValueError, Reranker
from rerank_plugins.caching.redis import RedisCache
from rerank_plugins.caching.values import pack_score, unpack_score
from rerank_plugins.scores import DocumentScore
from rerank_plugins.service.engine import MAX_FAILURES, Engine, State
from tests.attack.fake_redis import MORE_ODDITIES, ODDITIES, FakeRedis, Saying, fake_redis
from tests.texts import DOCUMENTS, QUERY
from tests.waiting import SECONDS

SCORES = {b"a" * 32: DocumentScore(1.5), b"b" * 32: DocumentScore(-2.25, span=(3, 9))}
KEYS = list(SCORES)
# Shorter than an answer that drips, and longer than an answer takes on any machine.
PATIENT = SECONDS / 4


@pytest.fixture
def server() -> Iterator[FakeRedis]:
    with fake_redis() as running:
        yield running


ALL = ODDITIES | MORE_ODDITIES
# One of each kind: of another type, an error, in the middle of it, slow, and without an end.
SOME = ("a number", "an error", "half of it, and closes", "drips", "never ends")


@pytest.fixture(params=ALL)
def oddity(request: pytest.FixtureRequest) -> Saying:
    return ALL[request.param]


@pytest.fixture(params=[name if name in SOME else pytest.param(name, marks=pytest.mark.attack) for name in ALL])
def some_oddity(request: pytest.FixtureRequest) -> Saying:
    return ALL[request.param]


@pytest.fixture(scope="module")
def plain() -> Iterator[Reranker]:
    with Reranker() as reranker:
        yield reranker


class TestOddAnswers:
    """Each of them, in each place, is a miss; a server that has come to its senses is used again."""

    @pytest.mark.parametrize("place", ["values", "handshake"])
    def test_nothing_is_raised(self, server: FakeRedis, oddity: Saying, place: str) -> None:
        url = server.url if place == "values" else server.url.replace("//", "//:word@").replace("/0", "/1")
        server.odd_for = (b"MGET", b"SET") if place == "values" else (b"AUTH", b"SELECT")
        server.odd = oddity
        hasty = RedisCache(url, timeout=0.05, retry_after=0)
        for _ in range(3):
            found = hasty.get_many(KEYS)
            assert found in ([None, None], list(SCORES.values()))
            hasty.set_many(SCORES)

        server.odd = None
        patient = RedisCache(url, timeout=PATIENT, retry_after=0)
        patient.set_many(SCORES)
        assert patient.get_many(KEYS) == list(SCORES.values())

    def test_what_is_left_of_an_odd_answer_is_not_the_next_one(self, server: FakeRedis, oddity: Saying) -> None:
        cache = RedisCache(server.url, timeout=0.2, retry_after=0)
        other = {b"c" * 32: DocumentScore(7.0), b"d" * 32: DocumentScore(8.0)}
        server.odd = oddity
        for scores in (SCORES, other, SCORES):
            assert cache.get_many(list(scores)) in ([None, None], list(scores.values()))
            cache.set_many(scores)

    def test_a_whole_call_has_one_deadline(self, server: FakeRedis) -> None:
        """The values take a second at least, of which the call waits for a fifth."""
        cache = RedisCache(server.url, timeout=0.2, retry_after=0)
        server.store = {b"rerank:" + key: pack_score(key, score) for key, score in SCORES.items()}
        server.odd = ODDITIES["drips"]
        assert cache.get_many(KEYS) == [None, None]
        many = {bytes([number]) * 32: DocumentScore(1.0) for number in range(20)}
        cache.set_many(many)
        assert cache.failures == 2

    def test_a_name_that_is_not_resolved_in_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        gate, resolved = threading.Event(), threading.Event()

        def resolve(*_: object) -> list[object]:
            gate.wait(SECONDS)
            resolved.set()
            return []

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        cache = RedisCache("redis://somewhere:6379/0", timeout=0.05)
        assert cache.get_many(KEYS) == [None, None]
        assert cache.failures == 1
        assert not resolved.is_set()
        gate.set()
        assert resolved.wait(SECONDS)

    def test_the_url_may_give_the_deadline(self, server: FakeRedis) -> None:
        cache = RedisCache(f"{server.url}?socket_timeout={PATIENT}", timeout=0.001)
        cache.set_many(SCORES)
        assert cache.get_many(KEYS) == list(SCORES.values())

    @pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan")])
    def test_a_deadline_must_be_one(self, timeout: float) -> None:
        with pytest.raises(InvalidValueError, match="timeout must be a positive number of seconds, got"):
            RedisCache("redis://127.0.0.1:1/0", timeout=timeout)

    @pytest.mark.parametrize(
        "url",
        [
            "redis://:secret@host:port/0",
            "redis://:secret@host:1/0?socket_timeot=1",
            "redis://:secret@host:1/0?socket_timeout=short",
            "rediss://:secret@host:1/0?ssl_cert_reqs=maybe",
        ],
    )
    def test_an_odd_address_is_refused_where_it_is_given(self, url: str) -> None:
        with pytest.raises(InvalidValueError, match="The Redis URL of the cache is invalid") as caught:
            RedisCache(url)
        assert "secret" not in str(caught.value)

    def test_one_call_tries_and_the_others_go_on(self, server: FakeRedis) -> None:
        cache = RedisCache(server.url, timeout=PATIENT, retry_after=SECONDS)
        server.odd, asked = lambda _, command: [asked.append(command[0]) or b":5\r\n"], []
        for _ in range(5):
            cache.get_many(KEYS)
        assert asked == [b"MGET"]
        cache._silent_until = 0.0  # as after `retry_after`
        for _ in range(5):
            cache.get_many(KEYS)
        assert asked == [b"MGET", b"MGET"]


class TestScoring:
    """A ranker and an engine whose cache fails work as those without a cache."""

    def test_a_reranker_gives_the_same(self, server: FakeRedis, some_oddity: Saying, plain: Reranker) -> None:
        expected = plain.rank(QUERY, DOCUMENTS)
        with Reranker(cache=RedisCache(server.url, timeout=0.05, retry_after=0)) as reranker:
            reranker.rank(QUERY, DOCUMENTS[:2])
            server.odd = some_oddity
            assert reranker.rank(QUERY, DOCUMENTS) == expected
            assert asyncio.run(reranker.arank(QUERY, DOCUMENTS)) == expected

    async def test_an_engine_stays_ready(self, server: FakeRedis, some_oddity: Saying, plain: Reranker) -> None:
        server.odd = some_oddity
        cache = RedisCache(server.url, timeout=0.05, retry_after=0)
        engine = Engine(lambda: Reranker(cache=cache), timeout=SECONDS)
        async with engine.running():
            for _ in range(MAX_FAILURES + 1):
                assert await engine.rank(QUERY, DOCUMENTS, top_n=None) == plain.rank(QUERY, DOCUMENTS)
            assert engine.state is State.READY


def written(key: bytes, score: DocumentScore, *, flags: int = 0, version: int = 0) -> bytes:
    """A value with a right checksum, as a buggy or a later release would write it."""
    body = bytearray(pack_score(key, score)[:-4])
    body[0] += version
    body[1] |= flags
    return bytes(body) + struct.pack("<I", zlib.crc32(bytes(body), zlib.crc32(key)))


def flipped(value: bytes, bit: int) -> bytes:
    return bytes(each ^ (1 << bit % 8 if place == bit // 8 else 0) for place, each in enumerate(value))


KEY, GOOD = b"a" * 32, DocumentScore(1.5, span=(3, 9))
WRONG_VALUES: dict[str, bytes] = {
    "NaN": written(KEY, DocumentScore(float("nan"))),
    "infinity": written(KEY, DocumentScore(float("inf"))),
    "minus infinity": written(KEY, DocumentScore(float("-inf"))),
    "noise": random.Random(0).randbytes(14),
    "more noise": random.Random(1).randbytes(22),
    "a span that ends before it starts": written(KEY, DocumentScore(1.5, span=(5000, 3))),
    "a later release's flag": written(KEY, GOOD, flags=8),
    "a later release's format": written(KEY, GOOD, version=1),
    "a span that is not there": written(KEY, DocumentScore(1.5), flags=4),
    "another pair's": pack_score(b"b" * 32, GOOD),
    "cut": pack_score(KEY, GOOD)[:-1],
    "too long": pack_score(KEY, GOOD) + b"\0",
    "empty": b"",
    "a score alone": struct.pack("<fB2I", 1.5, 0, 0, 0),
    "zeros": bytes(14),
    "a word": b"something else",
}


class TestOddValues:
    """What stands under a key and is not the score of that key is a miss."""

    @pytest.mark.parametrize("value", WRONG_VALUES.values(), ids=WRONG_VALUES)
    def test_a_wrong_value_is_a_miss(self, server: FakeRedis, value: bytes) -> None:
        cache = RedisCache(server.url, timeout=PATIENT)
        cache.set_many({KEY: GOOD, b"b" * 32: GOOD})
        server.store[b"rerank:" + KEY] = value
        assert cache.get_many([KEY, b"b" * 32]) == [None, GOOD]
        assert cache.failures == 0

    @given(
        key=st.binary(min_size=32, max_size=32),
        raw=st.floats(allow_nan=False, allow_infinity=False),
        flags=st.tuples(st.booleans(), st.booleans()),
        span=st.none()
        | st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)).map(lambda two: tuple(sorted(two))),
        data=st.data(),
    )
    def test_a_score_comes_back_and_nothing_like_it(
        self, key: bytes, raw: float, flags: tuple[bool, bool], span: tuple[int, int] | None, data: st.DataObject
    ) -> None:
        score = DocumentScore(raw, *flags, span)
        value = pack_score(key, score)
        assert unpack_score(key, value) == score
        assert len(value) == (14 if span is None else 22)
        bit = data.draw(st.integers(0, 8 * len(value) - 1))
        assert unpack_score(key, flipped(value, bit)) is None
        assert unpack_score(flipped(key, data.draw(st.integers(0, 255))), value) is None
        assert unpack_score(key, value[: data.draw(st.integers(0, len(value) - 1))]) is None

    @given(value=st.binary(max_size=40) | st.binary(min_size=14, max_size=14) | st.binary(min_size=22, max_size=22))
    def test_noise_is_no_score(self, value: bytes) -> None:
        assert unpack_score(KEY, value) is None

    @pytest.mark.parametrize("value", [None, 5, "text", [], [b"a"], b"", 1.5, ValueError()])
    def test_nor_is_anything_else(self, value: object) -> None:
        assert unpack_score(KEY, value) is None
