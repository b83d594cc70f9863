"""The sigmoid saturates only where double precision ends; the choice follows caller, model, default."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerank_plugins import UnsupportedModelError
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
    ("asked", "declared", "name"),
    [
        (None, None, "sigmoid"),
        (None, "identity", "identity"),
        ("sigmoid", "identity", "sigmoid"),
        ("identity", "x", "identity"),
    ],
)
def test_the_caller_is_asked_first_then_the_model(asked: str | None, declared: str | None, name: str) -> None:
    assert choose_activation(asked, declared)[0] == name


def test_an_activation_that_is_not_known() -> None:
    with pytest.raises(UnsupportedModelError, match=r"activation 'torch.nn.Tanh'.*Choose activation='sigmoid'"):
        choose_activation(None, "torch.nn.Tanh")
