"""Fit scale and offset so that the sigmoid of a logit is about the probability that the document answers."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Floats = NDArray[np.float64]


def fit_platt(logits: Floats, answers: NDArray[np.bool_]) -> tuple[float, float]:
    """Fit a and b so that sigmoid(a * logit + b) is the probability of an answer (Platt, 1999).

    Args:
        logits: One a pair, of shape (pairs,).
        answers: Whether each document answers.

    Returns:
        a and b.

    Examples:
        >>> fit_platt(np.array([-2.0, 2.0]), np.array([False, True]))[1]
        0.0
    """
    # Platt's targets, short of 0 and 1, keep a separable sample from an infinite scale.
    yes, no = answers.sum(), (~answers).sum()
    wanted = np.where(answers, (yes + 1) / (yes + 2), 1 / (no + 2))

    def loss(parameters: Floats) -> float:
        scaled = parameters[0] * logits + parameters[1]
        return float((np.logaddexp(0, scaled) - wanted * scaled).mean())

    a, b = minimize(loss, np.array([1.0, 0.0]), method="BFGS").x
    return float(a), round(float(b), 9)


def reliability(probabilities: Floats, answers: NDArray[np.bool_], bins: int = 10) -> list[tuple[float, float, int]]:
    """Return mean probability, share of answers and number of pairs in each bin that holds any."""
    places = np.minimum((probabilities * bins).astype(int), bins - 1)
    return [
        (float(probabilities[inside].mean()), float(answers[inside].mean()), int(inside.sum()))
        for inside in (places == each for each in range(bins))
        if inside.any()
    ]


def calibration_error(rows: Sequence[tuple[float, float, int]]) -> float:
    """Expected calibration error: the mean distance in the bins, by their sizes (Naeini et al., AAAI 2015)."""
    total = sum(count for *_, count in rows)
    return sum(abs(mean - share) * count for mean, share, count in rows) / total
