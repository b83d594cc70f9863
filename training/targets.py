"""The target distribution of each list: a mix of the label, the teacher and the untrained model."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from training.lists import Lists

Floats = NDArray[np.float32]

# Weights of the teacher's two scores; the untrained model's logit has a weight of 1. On the development sets the sum
# ranks better than its parts (RUNS.md); weights fitted to the answers of the training lists were worse.
_COSINE, _LATE = 10.0, 10.0


def targets(
    teacher: NDArray[np.float16], start: NDArray[np.float16], answers: NDArray[np.bool_], *, label_weight: float
) -> Floats:
    """Mix the labels of lists with the combined scores of the teacher and the untrained model.

    Args:
        teacher: The teacher's cosine and late interaction, of shape (lists, size, 2).
        start: The untrained model's logits, of shape (lists, size).
        answers: Whether each member is an answer, of the same shape.
        label_weight: Weight of the labels, 0 to 1.

    Returns:
        Targets of shape (lists, size); each row sums to 1.
    """
    logits = teacher.astype(np.float32) @ np.array([_COSINE, _LATE], dtype=np.float32) + start.astype(np.float32)
    labels = answers / answers.sum(1, keepdims=True)
    mixed: Floats = (label_weight * labels + (1 - label_weight) * softmax(logits, axis=1)).astype(np.float32)
    return mixed


def log_idf(lists: Lists, vocabulary: int) -> Floats:
    """Return the logarithm of each word piece's idf over the passages, with idf as in Lucene's BM25."""
    count = np.zeros(vocabulary)
    for document in lists.documents:
        count[np.unique(document)] += 1
    table: Floats = np.log(np.log1p((len(lists.documents) - count + 0.5) / (count + 0.5))).astype(np.float32)
    return table
