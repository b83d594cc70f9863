"""Requests of a given size, from real questions and the passages that FAISS finds for them."""

from classifier import ASKED, DATA

from rerank_plugins.evaluation.dataset import read_dataset
from rerank_plugins.evaluation.first_stage import retrieve_with_faiss
from rerank_plugins.models.source import EMBEDDED_FOLDER
from rerank_plugins.retrieval.embedding import BiEncoder
from rerank_plugins.text.tokenizer import load_tokenizer

Request = tuple[str, list[str]]
_DEPTH = 200


class Lists:
    """The first questions of nq_open_gold, each with the passages in FAISS's order, then the rest of the collection."""

    def __init__(self) -> None:
        dataset = read_dataset(DATA)
        run = retrieve_with_faiss(dataset, _DEPTH, BiEncoder())
        self._lists = [
            (dataset.queries[query], list(dict.fromkeys([*found, *dataset.passages])))
            for query, found in list(run.items())[:ASKED]
        ]
        self._texts = {name: passage.full_text for name, passage in dataset.passages.items()}
        tokenizer = load_tokenizer("embedded", EMBEDDED_FOLDER)
        encoded = tokenizer.encode_with_spans(list(self._texts.values()))
        self._ends = {
            name: [end for _, end in each.spans or ()] for name, each in zip(self._texts, encoded, strict=True)
        }

    def requests(self, count: int, *, documents: int, tokens: int) -> list[Request]:
        """Build requests.

        Args:
            count: Number of requests.
            documents: Documents per request.
            tokens: Tokens per document. Short passages are joined with the next ones, long ones are truncated.
        """
        return [
            (question, [self._sized(names[place:], tokens) for place in range(documents)])
            for question, names in self._lists[:count]
        ]

    def unmodified(self, count: int, *, documents: int) -> list[Request]:
        """Build requests of passages as FAISS finds them, of any length."""
        return [
            (question, [self._texts[name] for name in names[:documents]]) for question, names in self._lists[:count]
        ]

    def _sized(self, names: list[str], tokens: int) -> str:
        parts: list[str] = []
        for name in names:
            ends = self._ends[name]
            if len(ends) >= tokens:
                return " ".join([*parts, self._texts[name][: ends[tokens - 1]]])
            parts.append(self._texts[name])
            tokens -= len(ends)
        raise ValueError("The collection has too few passages for documents of that length.")
