"""Evaluate a model on the development sets during training."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rerank_plugins.evaluation.dataset import Dataset, read_dataset
from rerank_plugins.evaluation.first_stage import retrieve_with_faiss, take_from_file
from rerank_plugins.evaluation.measures import MAIN, average
from rerank_plugins.evaluation.runs import Run
from rerank_plugins.retrieval.embedding import BiEncoder
from rerank_plugins.text.tokenizer import TextTokenizer
from training.batches import SPECIALS, Ids, Pairs, Rows, Texts, logits_of
from training.model import GatedCrossEncoder

# The sets used for model selection, and whether their candidate lists come from a file or from FAISS.
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
    """Judged questions with the candidate lists of a first stage."""

    dataset: Dataset
    before: Run

    def ndcg(self, run: Run) -> float:
        """Return nDCG@10 of a run."""
        return average(run, self.dataset.qrels, top_n=10)[str(MAIN)]


def read_development_sets(folder: Path, runs: Path, *, questions: int, seed: int) -> list[DevelopmentSet]:
    """Read the sets, and retrieve their candidate lists if the file does not exist yet.

    Args:
        folder: The folder with the collections.
        runs: The file in which the lists are stored.
        questions: Sample size for large sets; sets with at most _WHOLE questions are used in full.
        seed: Random seed of the sample.
    """
    sampled = {}
    for name in SETS:
        whole = read_dataset(folder / name)
        sampled[name] = whole if len(whole.queries) <= _WHOLE else whole.sample(questions, seed=seed)
    if not runs.is_file():
        encoder = BiEncoder()
        retrieved = {
            name: take_from_file(each, _K) if SETS[name] == "file" else retrieve_with_faiss(each, _K, encoder)
            for name, each in sampled.items()
        }
        runs.write_text(json.dumps(retrieved), "utf-8")
    before = json.loads(runs.read_text("utf-8"))
    return [DevelopmentSet(dataset, before[name]) for name, dataset in sampled.items()]


def tokenized(chosen: DevelopmentSet, tokenizer: TextTokenizer, *, max_length: int, device: str) -> tuple[Pairs, Rows]:
    """Tokenize a set's texts and move them to a device.

    Returns:
        The texts, and the row of each document's question. Every pair has its own copy of the document, because how
        much of it fits depends on the length of the question.
    """
    dataset = chosen.dataset
    queries: list[Ids] = []
    documents: list[Ids] = []
    for query_id, candidates in chosen.before.items():
        texts = [dataset.queries[query_id], *(dataset.passages[each].full_text for each in candidates)]
        query, *ids = (np.array(each.ids, dtype=np.uint16) for each in tokenizer.encode(texts, enough=max_length))
        queries.append(query[: max_length // 2])
        documents.extend(each[: max_length - len(queries[-1]) - SPECIALS] for each in ids)
    rows = np.repeat(np.arange(len(queries)), [len(each) for each in chosen.before.values()])
    return Pairs(Texts(queries, device), Texts(documents, device)), rows


def score(
    model: GatedCrossEncoder, chosen: DevelopmentSet, tokenizer: TextTokenizer, *, max_length: int, device: str
) -> dict[str, list[float]]:
    """Return the logits of each question's candidates, in the first stage's order."""
    pairs, queries = tokenized(chosen, tokenizer, max_length=max_length, device=device)
    logits = iter(logits_of(model, pairs, queries, np.arange(len(queries))).tolist())
    return {query_id: [next(logits) for _ in documents] for query_id, documents in chosen.before.items()}


def ordered(before: Run, logits: Mapping[str, list[float]]) -> Run:
    """Sort the candidates by logit, best first; ties keep their order."""
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
