"""From logit to score."""

import math
from collections.abc import Callable

from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.scores import ScoreScale

Activation = Callable[[float], float]


def sigmoid(logit: float) -> float:
    """Map a logit to 0..1 in double precision, without overflow; it reaches 1.0 only from a logit of 37 on.

    Examples:
        >>> sigmoid(0.0)
        0.5
    """
    if logit >= 0:
        return 1.0 / (1.0 + math.exp(-logit))
    power = math.exp(logit)
    return power / (1.0 + power)


def identity(logit: float) -> float:
    """Return the logit as it is."""
    return logit


_ACTIVATIONS: dict[str, Activation] = {"sigmoid": sigmoid, "identity": identity}
# Scales whose zero means "as likely as not"; the others are left as they are.
_CENTRED = (ScoreScale.LOGIT, ScoreScale.LOG_ODDS)


def choose_activation(name: str | None, scale: ScoreScale) -> tuple[str, Activation]:
    """Choose the activation asked for or declared, else the sigmoid for logits and log-odds, and none for the rest.

    Args:
        name: What the user asks for, else what the model declares; None: neither.
        scale: What the raw scores are.

    Raises:
        UnsupportedModelError: If the model declares one that this library does not have.
    """
    name = name or ("sigmoid" if scale in _CENTRED else "identity")
    if name not in _ACTIVATIONS:
        raise UnsupportedModelError(
            f"The model declares the activation {name!r}, which this library does not have. Choose "
            "activation='sigmoid' or 'identity'; the order is the same with both."
        )
    return name, _ACTIVATIONS[name]
