"""Time what a user waits for: the import, loading the model, and the three stages of the demo.

Run it with: make bench
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

from rerank_plugins import Reranker
from rerank_plugins.reading.passages import read_passages
from rerank_plugins.retrieval.embedding import BiEncoder
from rerank_plugins.retrieval.index import FaissIndex

DATA = Path(__file__).parents[1] / "examples" / "data" / "nq_open_gold"
QUESTIONS = 50
K = 50
TOP_N = 5


def main() -> None:
    """Print a Markdown table: median and 95th percentile over the first questions of the demo's set."""
    seconds: dict[str, list[float]] = {"import rerank_plugins": [_import_seconds() for _ in range(9)]}
    seconds["Reranker()"] = [_load_seconds() for _ in range(9)]
    passages = read_passages(DATA / "corpus.jsonl.gz")
    questions = [question.text for question in read_passages(DATA / "queries.jsonl.gz")[: QUESTIONS + 1]]
    encoder = BiEncoder()
    index = FaissIndex(passages, encoder)
    tokens = []
    with Reranker() as reranker:
        for number, question in enumerate(questions):
            marks = [time.perf_counter()]
            vector = encoder.encode([question])
            marks.append(time.perf_counter())
            candidates = index.search_vector(vector, K)
            marks.append(time.perf_counter())
            texts = [passages[candidate.index].full_text for candidate in candidates]
            results = reranker.rank(question, texts, top_n=TOP_N)
            marks.append(time.perf_counter())
            if number == 0:  # The first question is a warm-up.
                continue
            tokens.append(results.report.tokens / results.report.scored)
            stages = ("embed", f"retrieve {K} of {len(passages):,}", f"rerank {K}, keep {TOP_N}")
            for stage, start, end in zip(stages, marks, marks[1:], strict=False):
                seconds.setdefault(stage, []).append(end - start)
    print(f"{QUESTIONS} questions, {statistics.mean(tokens):.0f} tokens per pair, model {reranker.model}\n")
    print("| stage | median | 95th percentile |\n|---|---|---|")
    for stage, values in seconds.items():
        print(f"| {stage} | {_milliseconds(statistics.median(values))} | {_milliseconds(_percentile(values, 0.95))} |")


def _import_seconds() -> float:
    script = "import time; start = time.perf_counter(); import rerank_plugins; print(time.perf_counter() - start)"
    return float(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)


def _load_seconds() -> float:
    start = time.perf_counter()
    with Reranker():
        return time.perf_counter() - start


def _percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, round(share * len(values)))]


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


if __name__ == "__main__":
    main()
