"""From logit to score."""

import math
from collections.abc import Callable

from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.options import ActivationName

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


def choose_activation(asked: ActivationName | None, declared: str | None) -> tuple[str, Activation]:
    """Choose what the caller asked for, else what the model declares, else the sigmoid, as sentence-transformers does.

    Raises:
        UnsupportedModelError: If the model declares something else and the caller asked for nothing.
    """
    name = asked or declared or "sigmoid"
    if name not in _ACTIVATIONS:
        raise UnsupportedModelError(
            f"The model declares the activation {name!r}, which this library does not have. Choose "
            "activation='sigmoid' or 'identity'; the order is the same with both."
        )
    return name, _ACTIVATIONS[name]
