"""The teacher with its gates shut is the bi-encoder itself; open, a text's states depend on the other."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional
from transformers import MPNetConfig, MPNetModel

from training.batches import Pairs, Texts
from training.model import VOCABULARY
from training.teacher import Teacher

GENERATOR = np.random.default_rng(0)
QUERIES = [GENERATOR.integers(1000, 3000, length).astype(np.uint16) for length in (3, 6)]
DOCUMENTS = [GENERATOR.integers(1000, 3000, length).astype(np.uint16) for length in (20, 9, 31)]
MEMBERS = np.array([[0, 2], [1, 0]], dtype=np.int32)
SHUT = -1e4


@pytest.fixture(scope="module")
def mpnet() -> MPNetModel:
    torch.manual_seed(0)
    config = MPNetConfig(vocab_size=30_527, max_position_embeddings=514, layer_norm_eps=1e-5)
    return MPNetModel(config, add_pooling_layer=False).eval()


@pytest.fixture(scope="module")
def weights(mpnet: MPNetModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    save_file({name: each.bfloat16() for name, each in mpnet.state_dict().items() if each.is_floating_point()}, file)
    return file


def score(weights: Path, gate: float) -> np.ndarray:
    teacher = Teacher(weights, gate=gate, gated=4, device="cpu")
    pairs = Pairs(Texts(QUERIES, "cpu"), Texts(DOCUMENTS, "cpu"))
    return teacher.score(pairs, MEMBERS, torch.zeros(VOCABULARY)).astype(float)


def mean(mpnet: MPNetModel, text: np.ndarray) -> torch.Tensor:
    ids = torch.tensor([[0, *(text.astype(int) + 4), 2]])
    with torch.inference_mode():
        return functional.normalize(mpnet(input_ids=ids).last_hidden_state.mean(1)[0], dim=-1)


def test_shut_the_cosine_is_that_of_the_means_that_transformers_gives(weights: Path, mpnet: MPNetModel) -> None:
    scores = score(weights, SHUT)
    assert scores.shape == (2, 2, 3)
    for row, members in enumerate(MEMBERS):
        for column, place in enumerate(members):
            wanted = float(mean(mpnet, QUERIES[row]) @ mean(mpnet, DOCUMENTS[place]))
            assert scores[row, column, 0] == pytest.approx(wanted, abs=0.02)


def test_open_the_texts_see_each_other(weights: Path) -> None:
    shut, half_open = score(weights, SHUT), score(weights, 0.0)
    assert np.abs(shut[..., :2] - half_open[..., :2]).max() > 0.02
    assert np.array_equal(shut[..., 2], half_open[..., 2])  # exact words know nothing of states
