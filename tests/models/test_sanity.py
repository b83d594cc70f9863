"""A model that puts an unrelated text above an answer is noticed when it is loaded."""

import warnings
from pathlib import Path

import pytest
from transformers import Qwen3ForSequenceClassification

from rerank_plugins import ImplausibleScoresWarning, Reranker
from rerank_plugins.models.sanity import PROBES, ProbeScores, warn_of_order
from tests.models.decoders import save_decoder
from tests.models.edits import weights


@pytest.mark.parametrize(
    ("raw", "plausible"),
    [
        ((2.0, 1.0, 0.0), True),
        ((2.0, 3.0, 0.0), True),  # the related one may be above the answer
        ((0.0, 1.0, 2.0), False),
        ((1.0, 1.0, 1.0), False),  # a prompt that drops the document
        ((float("nan"), 1.0, 0.0), False),
    ],
)
def test_what_is_plausible(raw: tuple[float, float, float], *, plausible: bool) -> None:
    assert ProbeScores(PROBES[0], raw).plausible is plausible


def test_a_warning_names_the_model_and_both_scores() -> None:
    scores = [ProbeScores(PROBES[0], (-1.25, 0.0, 3.5))]
    with pytest.warns(ImplausibleScoresWarning, match=r"'m' scores an unrelated text with 3.5 and an answer with -1.2"):
        warn_of_order("m", scores)


def test_a_decoder_and_its_opposite_cannot_both_be_plausible(tmp_path: Path) -> None:
    folder = save_decoder(tmp_path / "model", Qwen3ForSequenceClassification, num_labels=1, pad_token_id=0)
    opposite = weights(lambda found: found["score.weight"].neg_())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ImplausibleScoresWarning)
        Reranker(folder, device="cpu").close()
        opposite(folder)
        Reranker(folder, device="cpu").close()
    assert any(issubclass(each.category, ImplausibleScoresWarning) for each in caught)
