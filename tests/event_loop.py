"""Count what an event loop's thread does while something is awaited on it."""

import sys
from collections import Counter
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any

FEW, MANY = 50, 500
LIBRARIES = {"onnxruntime", "tokenizers", "torch", "transformers"}
LONG = "bread is baked " * 13_334  # 200,000 characters

Work = Callable[[list[str]], Coroutine[Any, Any, Any]]


def long_texts(count: int) -> list[str]:
    """Different texts of 200,000 characters."""
    return [f"{place} {LONG}" for place in range(count)]


async def calls_on_the_loop(work: Coroutine[Any, Any, Any]) -> Counter[str]:
    """Await some work and count the calls that the event loop's thread makes meanwhile.

    Returns:
        Number of calls into each top-level module: Python functions by their module, C functions by their object's.
    """
    calls: Counter[str] = Counter()

    def count(frame: FrameType, event: str, called: Any) -> None:
        if event == "call":
            calls[str(frame.f_globals.get("__name__")).partition(".")[0]] += 1
        elif event == "c_call":
            calls[type(getattr(called, "__self__", called)).__module__.partition(".")[0]] += 1

    sys.setprofile(count)  # for this thread alone
    try:
        await work
    finally:
        sys.setprofile(None)
    return calls


async def assert_models_run_elsewhere(work: Work) -> None:
    """Assert that the loop's thread calls neither the model nor the tokenizer."""
    calls = await calls_on_the_loop(work(long_texts(FEW)))
    assert calls["asyncio"] > 0
    assert not calls.keys() & LIBRARIES


async def assert_documents_are_handled_elsewhere(work: Work) -> None:
    """Assert that the loop's thread makes no call per document: it does not validate, copy or join them."""
    await work(long_texts(1))  # what is imported and cached once
    few, many = [await calls_on_the_loop(work(long_texts(count))) for count in (FEW, MANY)]
    grown = many - few
    assert grown.total() < (MANY - FEW) / 2, grown.most_common(5)
