"""Threads, event loops and forked processes share a Reranker, and each gets the same scores as alone."""

import asyncio
import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from rerank_plugins import ClosedError, ForkedError, Reranker
from tests.event_loop import MANY, assert_documents_are_handled_elsewhere, assert_models_run_elsewhere, long_texts
from tests.test_reranker import TOLERANCE, OpenReranker, logits, rank_all
from tests.texts import DOCUMENTS, QUERY, mixed_lengths
from tests.waiting import SECONDS


def test_sixteen_threads_with_mixed_lengths_give_the_scores_of_one(
    implementation: str, open_reranker: OpenReranker
) -> None:
    rerankers = [open_reranker(implementation, max_length=length) for length in (16, 24, 48, 128)]
    lists = [mixed_lengths(12, seed=seed) for seed in range(8)]
    work = [(reranker, documents) for reranker in rerankers for documents in lists] * 2
    alone = [logits(reranker.rank(QUERY, documents)) for reranker, documents in work]
    start = threading.Barrier(16)

    def run(place: int) -> list[list[float]]:
        start.wait()
        return [logits(reranker.rank(QUERY, documents)) for reranker, documents in work[place::16]]

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(run, range(16)))
    for place, mine in enumerate(answers):
        for got, expected in zip(mine, alone[place::16], strict=True):
            assert got == pytest.approx(expected, abs=TOLERANCE)
    for reranker in rerankers:
        reranker.close()


def test_thirty_two_threads_lose_and_cross_nothing(open_reranker: OpenReranker) -> None:
    lists = [mixed_lengths(6, seed=seed) for seed in range(32)]
    with open_reranker("bert-onnx") as reranker:
        alone = [logits(reranker.rank(QUERY, documents)) for documents in lists]

        def ask(place: int) -> None:
            for _ in range(int(os.environ.get("RERANK_TEST_ROUNDS", "20"))):
                assert logits(reranker.rank(QUERY, lists[place])) == pytest.approx(alone[place], abs=TOLERANCE)

        with ThreadPoolExecutor(32) as threads:
            list(threads.map(ask, range(32)))


def test_one_reranker_serves_several_event_loops(bert: Reranker) -> None:
    expected = pytest.approx(logits(bert.rank(QUERY, DOCUMENTS)), abs=TOLERANCE)
    with ThreadPoolExecutor(4) as threads:
        loops = threads.map(lambda _: asyncio.run(rank_all(bert, [DOCUMENTS] * 5)), range(4))
        for answers in [asyncio.run(rank_all(bert, [DOCUMENTS] * 5)), *loops]:
            assert [logits(answer) for answer in answers] == [expected] * 5


async def test_async_keeps_the_model_off_the_event_loop(open_reranker: OpenReranker) -> None:
    with open_reranker("bert-onnx", max_length=16) as reranker:
        await assert_models_run_elsewhere(partial(reranker.arank, QUERY))
        await assert_models_run_elsewhere(lambda texts: reranker.ascore([(QUERY, text) for text in texts]))


@pytest.mark.parametrize("method", ["arank", "ascore"])
async def test_many_long_documents_do_not_block_the_event_loop(open_reranker: OpenReranker, method: str) -> None:
    with open_reranker("bert-onnx", max_length=16) as reranker:

        async def ask(texts: list[str]) -> None:
            await (reranker.arank(QUERY, texts) if method == "arank" else reranker.ascore(pairs[: len(texts)]))

        pairs = [(QUERY, text) for text in long_texts(MANY)]
        await assert_documents_are_handled_elsewhere(ask)


@pytest.mark.parametrize("name", ["bert", "bert-onnx", "embedded"])
def test_closing_while_others_rank_loses_nothing(open_reranker: OpenReranker, name: str) -> None:
    def rank(reranker: Reranker, start: threading.Barrier) -> int | None:
        start.wait()
        try:
            return len(reranker.rank(QUERY, DOCUMENTS))
        except ClosedError:
            return None

    for _ in range(5):
        reranker, start = open_reranker(name), threading.Barrier(5)
        with ThreadPoolExecutor(4) as threads:
            answers = [threads.submit(rank, reranker, start) for _ in range(4)]
            start.wait()
            reranker.close()
        assert {answer.result() for answer in answers} <= {len(DOCUMENTS), None}


@pytest.mark.parametrize("name", ["embedded", "bert-onnx"])
def test_a_forked_child_ranks_while_the_parents_threads_do(open_reranker: OpenReranker, name: str) -> None:
    with open_reranker(name, cache="memory") as reranker:
        expected = reranker.rank(QUERY, DOCUMENTS)
        stop = threading.Event()

        def keep_busy() -> None:
            seed = 0
            while not stop.is_set():
                reranker.rank(QUERY, mixed_lengths(5, seed=(seed := seed + 1)))

        with ThreadPoolExecutor(3) as threads:
            busy = [threads.submit(keep_busy) for _ in range(3)]
            try:
                for _ in range(3):
                    assert _in_a_child(reranker) == logits(expected)
            finally:
                stop.set()
            for each in busy:
                each.result()


def test_torch_says_why_a_forked_child_cannot(bert: Reranker) -> None:
    bert.rank(QUERY, DOCUMENTS)
    assert "loaded with torch before the process forked" in str(_in_a_child(bert))


def _in_a_child(reranker: Reranker) -> Any:
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def work() -> None:
        try:
            sender.send(logits(reranker.rank(QUERY, DOCUMENTS)))
        except ForkedError as error:
            sender.send(str(error))

    child = context.Process(target=work)
    child.start()
    try:
        assert receiver.poll(SECONDS), "the child hangs"
        answer = receiver.recv()
        child.join(SECONDS)
        assert child.exitcode == 0
    finally:
        child.kill()
    return answer
