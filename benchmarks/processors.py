"""Measure how much the embedded model's scores differ between processors.

onnxruntime picks its int8 kernels by the processor's instruction set, such as VNNI or AVX2. They round floats
differently in the last bit. Occasionally that moves an activation to the next of its 256 steps, and the logit with it.

Run `python benchmarks/processors.py` on a machine with Debian's qemu-user. It compares this processor with an emulated
one and takes several minutes.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rerank_plugins import Reranker
from rerank_plugins.evaluation.dataset import read_dataset

ROOT = Path(__file__).parents[1]
# An Intel of 2013, which has AVX2 and no VNNI. Others that `qemu-x86_64 -cpu help` lists can stand beside it.
EMULATED = ("Haswell",)
QUESTIONS, PASSAGES = 12, 5
CAPITAL = "What is the capital of France?"
PHOTOSYNTHESIS = "How does photosynthesis work in plants?"
ASPIRIN = "What are the side effects of aspirin?"
HAMLET = "who wrote hamlet"
# The reference texts of tests/test_embedded.py, and those whose scores documents show.
SHORT = [
    (CAPITAL, "Paris is the capital of France."),
    (CAPITAL, "Berlin is the capital of Germany."),
    (PHOTOSYNTHESIS, "Photosynthesis uses sunlight to convert CO2 and water into glucose."),
    (PHOTOSYNTHESIS, "Plants have green leaves due to chlorophyll pigment."),
    (PHOTOSYNTHESIS, "Photosynthesis produces oxygen as a byproduct."),
    (ASPIRIN, "Aspirin can cause stomach irritation and bleeding in some patients."),
    (HAMLET, "Shakespeare wrote Hamlet."),
    (HAMLET, "Hamlet is a play."),
]


def passages() -> list[tuple[str, str]]:
    """Questions with the passage that answers each, and those that follow it: on the same subject, or nearly."""
    data = read_dataset(ROOT / "examples" / "data" / "nq_open_gold").sample(QUESTIONS, seed=0)
    ids, texts = list(data.passages), [passage.text for passage in data.passages.values()]
    starts = {query: ids.index(next(iter(judged))) for query, judged in data.qrels.items()}
    return [(data.queries[query], text) for query, at in starts.items() for text in texts[at : at + PASSAGES]]


def logits() -> list[float]:
    """The logit of each pair, on the processor that runs this."""
    with Reranker(num_threads=1, max_length=64) as reranker:
        return [reranker.rank(query, [document])[0].raw_score for query, document in [*SHORT, *passages()]]


def logits_on(processor: str) -> NDArray[np.float64]:
    """The same on a processor that qemu emulates."""
    emulator = shutil.which("qemu-x86_64")
    if emulator is None:
        raise SystemExit("qemu-x86_64 is not installed: apt-get install qemu-user")
    command = [emulator, "-cpu", processor, sys.executable, __file__, "--logits"]
    return np.array(json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout))


def main() -> None:
    """Print the differences as a Markdown table."""
    here = np.array(logits())
    print(f"{len(here)} pairs\n")
    print("| processor | pairs that differ | largest in the logit | in the score | score's 99th percentile |")
    print("|---|---:|---:|---:|---:|")
    for processor in EMULATED:
        there = logits_on(processor)
        logit, score = np.abs(there - here), np.abs(1 / (1 + np.exp(-there)) - 1 / (1 + np.exp(-here)))
        differ = (logit > 1e-4).mean()
        print(
            f"| {processor} | {differ:.0%} | {logit.max():.3f} | {score.max():.4f} | {np.quantile(score, 0.99):.4f} |",
            flush=True,
        )


if __name__ == "__main__":
    if "--logits" in sys.argv:
        print(json.dumps(logits()))
    else:
        main()
