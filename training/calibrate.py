"""Fit a scale and an offset that turn the sigmoid of a logit into an estimated probability of relevance."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Floats = NDArray[np.float64]


def fit_platt(logits: Floats, answers: NDArray[np.bool_]) -> tuple[float, float]:
    """Fit a and b to make sigmoid(a * logit + b) the probability that a document answers (Platt, 1999).

    Args:
        logits: One per pair, of shape (pairs,).
        answers: Whether each document answers its question.

    Returns:
        a and b.

    Examples:
        >>> fit_platt(np.array([-2.0, 2.0]), np.array([False, True]))[1]
        0.0
    """
    # Platt's targets are not quite 0 and 1: on a separable sample the scale would otherwise be infinite.
    yes, no = answers.sum(), (~answers).sum()
    wanted = np.where(answers, (yes + 1) / (yes + 2), 1 / (no + 2))

    def loss(parameters: Floats) -> float:
        scaled = parameters[0] * logits + parameters[1]
        return float((np.logaddexp(0, scaled) - wanted * scaled).mean())

    a, b = minimize(loss, np.array([1.0, 0.0]), method="BFGS").x
    return float(a), round(float(b), 9)


def reliability(probabilities: Floats, answers: NDArray[np.bool_], bins: int = 10) -> list[tuple[float, float, int]]:
    """Return the mean probability, share of answers and number of pairs of each bin that is not empty."""
    places = np.minimum((probabilities * bins).astype(int), bins - 1)
    return [
        (float(probabilities[inside].mean()), float(answers[inside].mean()), int(inside.sum()))
        for inside in (places == each for each in range(bins))
        if inside.any()
    ]


def calibration_error(rows: Sequence[tuple[float, float, int]]) -> float:
    """Return the expected calibration error: the mean gap per bin, weighted by bin size (Naeini et al., AAAI 2015)."""
    total = sum(count for *_, count in rows)
    return sum(abs(mean - share) * count for mean, share, count in rows) / total
