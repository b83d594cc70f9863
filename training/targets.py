"""What a list's scores should look like: the label mixed with what the teacher makes of it."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from training.lists import Lists
from training.model import found_in

Floats = NDArray[np.float32]


def evidence(lists: Lists, teacher: NDArray[np.float16], log_idf: Floats) -> Floats:
    """Collect what is known about each member of each list.

    Args:
        lists: The lists.
        teacher: The teacher's scores, of shape (lists, size, 2).
        log_idf: The logarithm of each piece's idf.

    Returns:
        The teacher's two scores, the bi-encoder's cosine, and the share of the question's words (weighted by their
        idf) that the document has, of shape (lists, size, 4).
    """
    words = np.empty(lists.members.shape, dtype=np.float32)
    for row, places in enumerate(lists.members):
        weights = np.exp(log_idf[lists.queries[row]])
        found = [found_in(lists.queries[row], lists.documents[place]) @ weights for place in places]
        words[row] = np.array(found) / max(weights.sum(), 1e-6)
    return np.concatenate(
        [teacher.astype(np.float32), lists.cosines.astype(np.float32)[..., None], words[..., None]], -1
    )


def blend(features: Floats, answers: NDArray[np.bool_]) -> Floats:
    """Weigh the evidence so that the answers are as likely as can be: conditional logit (McFadden, 1974).

    Returns:
        Weights of shape (features,); evidence @ weights are logits over a list.
    """
    labels = answers / answers.sum(1, keepdims=True)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logits = features @ weights
        error = softmax(logits, axis=1) - labels
        return float(-(labels * log_softmax(logits, axis=1)).sum()), np.einsum("lm,lmf->f", error, features)

    weights: Floats = minimize(loss, np.ones(features.shape[-1]), jac=True, method="L-BFGS-B").x.astype(np.float32)
    return weights


def targets(logits: Floats, answers: NDArray[np.bool_], *, label_weight: float) -> Floats:
    """Mix a list's label with the teacher's distribution over it, of shape (lists, size); a row sums to 1."""
    labels = answers / answers.sum(1, keepdims=True)
    mixed: Floats = (label_weight * labels + (1 - label_weight) * softmax(logits, axis=1)).astype(np.float32)
    return mixed


def log_idf(lists: Lists, vocabulary: int) -> Floats:
    """The logarithm of each piece's idf over the passages, as Lucene's BM25 defines idf."""
    count = np.zeros(vocabulary)
    for document in lists.documents:
        count[np.unique(document)] += 1
    table: Floats = np.log(np.log1p((len(lists.documents) - count + 0.5) / (count + 0.5))).astype(np.float32)
    return table
