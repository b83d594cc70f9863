"""Monitoring: a log line for a rerank, and the advice of a rolling window over many.

Run it with: python examples/monitoring.py
"""

import logging
import sys
from itertools import islice

from first_stage import FOLDER, search

from rerank_plugins import Reranker
from rerank_plugins.evaluation.dataset import read_dataset
from rerank_plugins.monitoring import LogObserver, RollingWindow, observe

QUESTIONS, K = 30, 10
SETTINGS = ((256, None), (64, 0.999))


def main() -> None:
    """Ask the same questions with good and with bad settings, and print the window's advice on each."""
    logging.basicConfig(format="%(name)s: %(message)s", stream=sys.stdout)
    logging.getLogger("rerank_plugins.reports").setLevel(logging.INFO)
    questions = islice(read_dataset(FOLDER).queries.values(), QUESTIONS)
    candidates = {question: [passage.full_text for _, passage in search(question, K)] for question in questions}

    with observe(LogObserver()), Reranker() as reranker:
        reranker.rank(*next(iter(candidates.items())), top_n=5)

    for max_length, score_threshold in SETTINGS:
        window = RollingWindow()
        with observe(window), Reranker(max_length=max_length) as reranker:
            for question, texts in candidates.items():
                reranker.rank(question, texts, top_n=5, score_threshold=score_threshold)
        found = window.summary()
        print(f"\nmax_length={max_length}, score_threshold={score_threshold}")
        print(
            f"  {found['calls']:.0f} calls, median {found['seconds_median'] * 1000:.0f} ms; top document unchanged in "
            f"{found['top_1_kept']:.0%} of calls, tau {found['kendall_tau']:.2f}"
        )
        advice = [each.text for each in window.advice()]
        print("\n".join(f"  {text}" for text in advice or ["No advice: nothing to change."]))


if __name__ == "__main__":
    main()
