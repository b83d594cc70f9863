"""Find the passages near a question, in meaning and in words, on the device."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import BertModel

from training.batches import Texts, like_lengths
from training.model import VOCABULARY, mean_of

# Places of passages, best first, of shape (questions, depth).
Places = NDArray[np.int64]
# Of BM25, as Lucene sets them (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009).
_K1, _B = 1.2, 0.75
_BUDGET = {"cpu": 8192, "cuda": 131_072}
# Questions that are compared with all passages at once.
_QUESTIONS = 512


@torch.inference_mode()
def near_in_meaning(queries: Texts, documents: Texts, bi_encoder: Path, depth: int) -> Places:
    """The passages whose embeddings have the highest cosine with the question's."""
    dtype = torch.bfloat16 if queries.device == "cuda" else torch.float32
    model: Any = BertModel.from_pretrained(
        bi_encoder, add_pooling_layer=False, local_files_only=True, use_safetensors=True, dtype=dtype
    )
    model.to(queries.device).eval()
    vectors, pool = (_embed(model, texts) for texts in (queries, documents))
    return _first(lambda chosen: vectors[chosen] @ pool.T, len(queries), depth)


@torch.inference_mode()
def near_in_words(queries: Texts, documents: Texts, depth: int) -> Places:
    """The passages that BM25 puts first, over word pieces."""
    rows, pieces, counts = _counts(documents)
    frequency = torch.bincount(pieces, minlength=VOCABULARY)
    idf = torch.log1p((len(documents) - frequency + 0.5) / (frequency + 0.5))
    length = torch.from_numpy(documents.lengths).to(documents.device).float()
    saturation = _K1 * (1 - _B + _B * length / length.mean())
    weights = idf[pieces] * counts / (counts + saturation[rows])
    bags = _ends(rows, len(documents))
    asked, wanted_pieces, wanted_counts = _counts(queries)
    ends = _ends(asked, len(queries)).tolist()

    def scores(chosen: slice) -> Tensor:
        inside = slice(ends[chosen.start], ends[chosen.stop])
        wanted = torch.zeros((VOCABULARY, chosen.stop - chosen.start), device=queries.device)
        wanted[wanted_pieces[inside], asked[inside] - chosen.start] = wanted_counts[inside].float()
        # A document is a bag of its pieces: the sum of their weights times how often the question has them.
        summed = functional.embedding_bag(
            pieces, wanted, bags, mode="sum", per_sample_weights=weights, include_last_offset=True
        )
        return summed.T

    return _first(scores, len(queries), depth)


def _embed(model: Any, texts: Texts) -> Tensor:
    vectors = torch.empty((len(texts), model.config.hidden_size), device=texts.device)
    for places in like_lengths(texts.lengths + 2, _BUDGET[texts.device]):
        rows = torch.from_numpy(places).to(texts.device)
        ids, mask = texts.alone(rows)
        vectors[rows] = mean_of(model(input_ids=ids, attention_mask=mask).last_hidden_state, mask.float())
    return vectors


def _counts(texts: Texts) -> tuple[Tensor, Tensor, Tensor]:
    """How often each text has each piece: texts, in their order, pieces and counts, one of each a pair."""
    keys, counts = torch.unique(texts.rows * VOCABULARY + texts.ids, return_counts=True)
    return keys // VOCABULARY, keys % VOCABULARY, counts


def _ends(rows: Tensor, count: int) -> Tensor:
    """Where each row's entries begin in a sorted list of rows, and the last one's end."""
    return functional.pad(torch.bincount(rows, minlength=count).cumsum(0), (1, 0))


def _first(scores: Callable[[slice], Tensor], questions: int, depth: int) -> Places:
    """The places of the highest scores, best first."""
    chunks = (slice(start, min(start + _QUESTIONS, questions)) for start in range(0, questions, _QUESTIONS))
    return np.concatenate([scores(chosen).topk(depth, dim=-1).indices.cpu().numpy() for chosen in chunks])
