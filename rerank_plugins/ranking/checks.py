"""What a ranker checks before it asks its scorer."""

import asyncio

from rerank_plugins.errors import EventLoopError
from rerank_plugins.ranking.report import Keep
from rerank_plugins.validation import check_score_threshold, check_top_n


def check_keep(top_n: object, score_threshold: object) -> Keep:
    """Return which results a caller wants.

    Raises:
        RerankError: If one of the two is of the wrong type or out of range.
    """
    return Keep(check_top_n(top_n), check_score_threshold(score_threshold))


def check_loop(method: str) -> None:
    """Check that asyncio runs the caller.

    Args:
        method: What was called.

    Raises:
        EventLoopError: If it does not.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise EventLoopError(
            f"{method} needs a running asyncio event loop. Under trio or curio, run the call without the a in a "
            "thread, such as trio.to_thread.run_sync(lambda: reranker.rank(query, documents))."
        ) from None
