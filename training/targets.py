"""What a list's scores should look like: the label and the teacher mixed."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from training.lists import Lists

Floats = NDArray[np.float32]


def targets(logits: Floats, answers: NDArray[np.bool_], *, label_weight: float) -> Floats:
    """Mix a list's label with what the teacher says.

    Args:
        logits: What the teacher says of each member, of shape (lists, size).
        answers: Which members answer, of the same shape; none in a list that nobody has judged.
        label_weight: The share of the label, where there is one.

    Returns:
        Of shape (lists, size); a row sums to 1.
    """
    count = answers.sum(1, keepdims=True)
    share = label_weight * (count > 0)
    mixed: Floats = (share * answers / np.maximum(count, 1) + (1 - share) * softmax(logits, axis=1)).astype(np.float32)
    return mixed


def log_idf(lists: Lists, vocabulary: int) -> Floats:
    """The logarithm of each piece's idf over the passages, as Lucene's BM25 defines idf."""
    count = np.zeros(vocabulary)
    for document in lists.documents:
        count[np.unique(document)] += 1
    table: Floats = np.log(np.log1p((len(lists.documents) - count + 0.5) / (count + 0.5))).astype(np.float32)
    return table
