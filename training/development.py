"""Measure a model on the development sets while it is in training."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rerank_plugins.evaluation.dataset import Dataset, Run, read_dataset
from rerank_plugins.evaluation.first_stage import retrieve_with_faiss, take_from_file
from rerank_plugins.evaluation.measures import MAIN, average
from rerank_plugins.retrieval.embedding import BiEncoder
from rerank_plugins.scoring.tokenization import TextTokenizer
from training.batches import SPECIALS, logits_of
from training.model import GatedCrossEncoder

# What the model is chosen by, and whether its lists come with it or from FAISS.
SETS: Mapping[str, str] = {
    "trec_dl21": "file",
    "noveleval": "faiss",
    "liveqa_med": "faiss",
    "mlquestions_test": "faiss",
    "nq_open_gold": "faiss",
}
_K = 50
_WHOLE = 60


@dataclass(frozen=True, slots=True)
class DevelopmentSet:
    """Judged questions with the lists that a first stage hands over."""

    dataset: Dataset
    before: Run

    def ndcg(self, run: Run) -> float:
        """nDCG@10 of an order of the candidates."""
        return average(run, self.dataset.qrels, top_n=10)[str(MAIN)]


def read_development_sets(folder: Path, *, questions: int, seed: int) -> list[DevelopmentSet]:
    """Read the sets and retrieve their lists.

    Args:
        folder: Where the collections are.
        questions: How many to draw from the large sets; what has no more than _WHOLE is taken whole.
        seed: The draw.
    """
    encoder = BiEncoder()
    sets = []
    for name, source in SETS.items():
        whole = read_dataset(folder / name)
        dataset = whole if len(whole.queries) <= _WHOLE else whole.sample(questions, seed=seed)
        before = take_from_file(dataset, _K) if source == "file" else retrieve_with_faiss(dataset, _K, encoder)
        sets.append(DevelopmentSet(dataset, before))
    return sets


def score(
    model: GatedCrossEncoder, chosen: DevelopmentSet, tokenizer: TextTokenizer, *, max_length: int, device: str
) -> dict[str, list[float]]:
    """Score the candidates of every question, in the first stage's order."""
    dataset = chosen.dataset
    keys = [(query_id, document_id) for query_id, documents in chosen.before.items() for document_id in documents]
    texts = {document_id: dataset.passages[document_id].full_text for _, document_id in keys} | {
        f"query {query_id}": text for query_id, text in dataset.queries.items()
    }
    encodings = tokenizer.encode(list(texts.values()), enough=max_length)
    ids = {name: np.array(each.ids, dtype=np.uint16) for name, each in zip(texts, encodings, strict=True)}
    pairs = []
    for query_id, document_id in keys:
        query = ids[f"query {query_id}"][: max_length // 2]
        pairs.append((query, ids[document_id][: max_length - len(query) - SPECIALS]))
    rows = iter(logits_of(model, pairs, device=device).tolist())
    return {query_id: [next(rows) for _ in documents] for query_id, documents in chosen.before.items()}


def ordered(before: Run, logits: Mapping[str, list[float]]) -> Run:
    """Order the candidates by their logits, best first; equal ones stay as they were."""
    return {
        query_id: [documents[place] for place in np.argsort(-np.array(logits[query_id]), kind="stable")]
        for query_id, documents in before.items()
    }


def measure(
    model: GatedCrossEncoder,
    sets: list[DevelopmentSet],
    tokenizer: TextTokenizer,
    *,
    max_length: int = 256,
    device: str,
) -> dict[str, float]:
    """Return nDCG@10 of each set after reranking."""
    figures = {}
    for chosen in sets:
        logits = score(model, chosen, tokenizer, max_length=max_length, device=device)
        figures[chosen.dataset.name] = chosen.ndcg(ordered(chosen.before, logits))
    return figures
