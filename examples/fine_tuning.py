"""Fine-tune on your own questions: hard negatives from the index, training, and loading the folder as a Reranker.

Run it with: python examples/fine_tuning.py [DATA] [MODEL], where DATA has the three files of docs/own-questions.md.
By default a new head learns a few of the demo's questions, no more. For real use: hundreds, and a trained MODEL.
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

TRAINED_ON, HELD_OUT, NEGATIVES, MAX_LENGTH = 8, 16, 2, 64
LEARNING: dict[str, Any] = {"num_train_epochs": 10, "per_device_train_batch_size": 6, "learning_rate": 3e-4}
QUIET: dict[str, Any] = {"save_strategy": "no", "report_to": "none", "disable_tqdm": True, "use_cpu": True}


def read_lists(data: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each question with its answer, followed by the wrong passages that the retriever ranks highest."""
    dataset = read_dataset(Path(data)).sample(TRAINED_ON + HELD_OUT, seed=0)
    index = FaissIndex(list(dataset.passages.values()), BiEncoder())
    for query_id, question in dataset.queries.items():
        right = [each for each, grade in dataset.qrels[query_id].items() if grade > 0]
        found = [index.passages[each.index] for each in index.search(question, NEGATIVES + len(right))]
        wrong = [passage for passage in found if passage.id not in right][:NEGATIVES]
        yield question, [passage.full_text for passage in (dataset.passages[right[0]], *wrong)]


def measure(folder: str, lists: list[tuple[str, list[str]]]) -> str:
    """Return how often a Reranker loaded from the folder ranks the answer first."""
    with Reranker(folder, device="cpu", max_length=MAX_LENGTH) as reranker:
        return f"{sum(reranker.rank(*each)[0].index == 0 for each in lists)} of {len(lists)}"


def main(data: str = str(FOLDER), name: str | None = None) -> None:
    """Train on some of the questions; measure on those and on the held-out ones."""
    folder, lists = tempfile.mkdtemp(), list(read_lists(data))
    pairs = [(question, text, float(text is texts[0])) for question, texts in lists[HELD_OUT:] for text in texts]
    rows = Dataset.from_dict(dict(zip(("query", "document", "label"), zip(*pairs, strict=True), strict=True)))
    model = CrossEncoder(name or str(packaged_minilm()), num_labels=1, device="cpu", max_length=MAX_LENGTH)
    settings = CrossEncoderTrainingArguments(f"{folder}/runs", **LEARNING, **QUIET)
    CrossEncoderTrainer(model, settings, rows, loss=losses.BinaryCrossEntropyLoss(model)).train()
    model.max_seq_length = 512  # Trained on short pairs to save time; a Reranker takes its limit from the folder.
    model.save_pretrained(folder)
    seen, unseen = measure(folder, lists[HELD_OUT:]), measure(folder, lists[:HELD_OUT])
    print(f"Reranker('{folder}') ranks the answer first of {NEGATIVES + 1} for {seen} seen, {unseen} unseen questions.")


if __name__ == "__main__":
    main(*sys.argv[1:3])
