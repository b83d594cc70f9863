"""Fine-tuning on your own questions: hard negatives from the index, training, and the folder as a Reranker.

Run it with: python examples/fine_tuning.py [DATA] [MODEL], where DATA holds the three files of docs/own-questions.md.
Without them, a few of the demo's questions teach a new head just those. For good, take hundreds, and a trained MODEL.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datasets import Dataset
from first_stage import FOLDER
from sentence_transformers.cross_encoder import CrossEncoder, CrossEncoderTrainer, CrossEncoderTrainingArguments, losses

from rerank_plugins import Reranker
from rerank_plugins.evaluation.dataset import read_dataset
from rerank_plugins.retrieval.embedding import BiEncoder, packaged_minilm
from rerank_plugins.retrieval.index import FaissIndex

TRAINED_ON, KEPT_OUT, NEGATIVES, MAX_LENGTH = 8, 16, 2, 64
LEARNING: dict[str, Any] = {"num_train_epochs": 10, "per_device_train_batch_size": 6, "learning_rate": 3e-4}
QUIET: dict[str, Any] = {"save_strategy": "no", "report_to": "none", "disable_tqdm": True, "use_cpu": True}


def read_lists(data: str) -> Iterator[tuple[str, list[str]]]:
    """Yield questions, each with its answer and, after it, the wrong passages that the retriever puts on top."""
    dataset = read_dataset(Path(data)).sample(TRAINED_ON + KEPT_OUT, seed=0)
    index = FaissIndex(list(dataset.passages.values()), BiEncoder())
    for query_id, question in dataset.queries.items():
        right = [each for each, grade in dataset.qrels[query_id].items() if grade > 0]
        found = [index.passages[each.index] for each in index.search(question, NEGATIVES + len(right))]
        wrong = [passage for passage in found if passage.id not in right][:NEGATIVES]
        yield question, [passage.full_text for passage in (dataset.passages[right[0]], *wrong)]


def measure(folder: str, lists: list[tuple[str, list[str]]]) -> str:
    """Tell how often a Reranker of the folder puts the answer first."""
    with Reranker(folder, device="cpu", max_length=MAX_LENGTH) as reranker:
        return f"{sum(reranker.rank(*each)[0].index == 0 for each in lists)} of {len(lists)}"


def main(data: str = str(FOLDER), name: str | None = None) -> None:
    """Train on some of the questions, and measure on them and on the others."""
    folder, lists = tempfile.mkdtemp(), list(read_lists(data))
    pairs = [(question, text, float(text is texts[0])) for question, texts in lists[KEPT_OUT:] for text in texts]
    rows = Dataset.from_dict(dict(zip(("query", "document", "label"), zip(*pairs, strict=True), strict=True)))
    model = CrossEncoder(name or str(packaged_minilm()), num_labels=1, device="cpu", max_length=MAX_LENGTH)
    settings = CrossEncoderTrainingArguments(f"{folder}/runs", **LEARNING, **QUIET)
    CrossEncoderTrainer(model, settings, rows, loss=losses.BinaryCrossEntropyLoss(model)).train()
    model.max_seq_length = 512  # Training is quick on short pairs; a Reranker reads as much as the folder says.
    model.save_pretrained(folder)
    taught, others = measure(folder, lists[KEPT_OUT:]), measure(folder, lists[:KEPT_OUT])
    print(f"Reranker('{folder}') puts the answer first, of {NEGATIVES + 1}, for {taught} taught, {others} others.")


if __name__ == "__main__":
    main(*sys.argv[1:3])
