"""The sigmoid saturates only at the limits of double precision; caller, model and default choose it, in this order."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerank_plugins import ScoreScale, UnsupportedModelError
from rerank_plugins.ranking.activations import choose_activation, sigmoid


@given(st.floats(-1e6, 1e6))
def test_sigmoid_is_between_0_and_1_and_never_overflows(logit: float) -> None:
    assert 0.0 <= sigmoid(logit) <= 1.0
    assert sigmoid(logit) + sigmoid(-logit) == pytest.approx(1.0)


def test_sigmoid_tells_high_logits_apart() -> None:
    assert sigmoid(0.0) == 0.5
    assert 1.0 > sigmoid(30.0) > sigmoid(29.99) > sigmoid(12.0)
    assert sigmoid(-800.0) == pytest.approx(math.exp(-800.0))


@pytest.mark.parametrize(
    ("asked", "scale", "name"),
    [
        (None, ScoreScale.LOGIT, "sigmoid"),
        (None, ScoreScale.LOG_ODDS, "sigmoid"),
        (None, ScoreScale.TOKEN_LOGIT, "identity"),
        (None, ScoreScale.PROBABILITY, "identity"),
        (None, ScoreScale.PROVIDER, "identity"),
        ("identity", ScoreScale.LOGIT, "identity"),
        ("sigmoid", ScoreScale.PROVIDER, "sigmoid"),
    ],
)
def test_what_is_asked_for_wins_over_the_scales_own(asked: str | None, scale: ScoreScale, name: str) -> None:
    found, activate = choose_activation(asked, scale)
    assert found == name
    assert activate(0.0) == (0.5 if name == "sigmoid" else 0.0)


def test_an_activation_that_is_not_known() -> None:
    with pytest.raises(UnsupportedModelError, match=r"activation 'torch.nn.Tanh'.*Choose activation='sigmoid'"):
        choose_activation("torch.nn.Tanh", ScoreScale.LOGIT)
