"""The model starts from the bi-encoder, and its lower layers read each text separately."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from rerank_plugins import UnsupportedModelError
from rerank_plugins.models.source import EMBEDDED_FOLDER, EMBEDDED_NAME
from rerank_plugins.text.tokenizer import load_tokenizer
from training.batches import Pairs, Tensors, Texts
from training.model import VOCABULARY, GatedCrossEncoder

pytestmark = pytest.mark.slow

QUESTION = "how does photosynthesis work in plants"
DOCUMENTS = [
    "Plants have green leaves due to chlorophyll pigment.",
    "Photosynthesis uses sunlight to convert CO2 and water into glucose, in the leaves of plants and in algae.",
    "Bread is baked.",
]


@pytest.fixture(scope="module")
def model(minilm_folder: Path) -> GatedCrossEncoder:
    return GatedCrossEncoder.from_bi_encoder(minilm_folder, torch.zeros(VOCABULARY))


def tensors_of(*texts: tuple[str, str]) -> Tensors:
    """Return one batch, sorted by length as `batches` does."""
    tokenizer = load_tokenizer(EMBEDDED_NAME, EMBEDDED_FOLDER)
    queries, documents = (
        Texts([np.array(each.ids, dtype=np.uint16) for each in tokenizer.encode(side, enough=64)], "cpu")
        for side in zip(*texts, strict=True)
    )
    rows = np.arange(len(texts))
    ((_, tensors),) = Pairs(queries, documents).batches(rows, rows, budget=10_000)
    return tensors


@torch.inference_mode()
def test_with_shut_gates_and_the_cosine_alone_it_is_the_bi_encoder(minilm_folder: Path) -> None:
    model = GatedCrossEncoder.from_bi_encoder(minilm_folder, torch.zeros(VOCABULARY))
    model.gate.fill_(-1e4)
    for parameter in (model.late, model.middle, model.exact):
        parameter.fill_(0.0)
    model.scale.fill_(1.0)
    encoder = SentenceTransformer(str(minilm_folder), device="cpu")
    vectors = encoder.encode([QUESTION, *DOCUMENTS], normalize_embeddings=True)
    for vector, document in zip(vectors[1:], DOCUMENTS, strict=True):
        assert model(*tensors_of((QUESTION, document))).item() == pytest.approx(float(vectors[0] @ vector), abs=1e-5)


@torch.inference_mode()
def test_padding_changes_nothing(model: GatedCrossEncoder) -> None:
    together = model(*tensors_of(*((QUESTION, document) for document in DOCUMENTS)))
    alone = [model(*tensors_of((QUESTION, document))).item() for document in DOCUMENTS]
    assert sorted(together.tolist()) == pytest.approx(sorted(alone), abs=1e-4)


@torch.inference_mode()
def test_the_lower_layers_read_a_document_without_the_question(model: GatedCrossEncoder) -> None:
    states = []
    for query in (QUESTION, "who bakes bread"):
        tensors = tensors_of((query, DOCUMENTS[0]))
        states.append(model.read(*tensors)[tensors[2] == 1])
    assert torch.allclose(*states, atol=1e-5)


@torch.inference_mode()
def test_open_gates_let_the_question_in(minilm_folder: Path) -> None:
    model = GatedCrossEncoder.from_bi_encoder(minilm_folder, torch.zeros(VOCABULARY))
    scores = []
    for gate in (-1e4, 0.0):
        model.gate.fill_(gate)
        scores.append(model(*tensors_of((QUESTION, DOCUMENTS[0]))).item())
    assert abs(scores[0] - scores[1]) > 0.1


@torch.inference_mode()
def test_rare_words_count_more_with_their_idf(minilm_folder: Path) -> None:
    """With rarity, a document with the question's rare word gains on one with its common word."""
    idf = torch.zeros(VOCABULARY)
    tensors = [tensors_of(("the zygote", document)) for document in ("the end", "a zygote")]
    rare = tensors[1][0][0, 2].item()
    idf[rare] = 3.0
    model = GatedCrossEncoder.from_bi_encoder(minilm_folder, idf)
    gaps = []
    for rarity in (0.0, 1.0):
        model.rarity.fill_(rarity)
        common, uncommon = (model(*each).item() for each in tensors)
        gaps.append(uncommon - common)
    assert gaps[1] > gaps[0]


def test_save_and_load_keep_the_scores(model: GatedCrossEncoder, tmp_path: Path) -> None:
    model.save(tmp_path / "weights.safetensors")
    loaded = GatedCrossEncoder.load(tmp_path / "weights.safetensors")
    tensors = tensors_of((QUESTION, DOCUMENTS[1]))
    assert loaded(*tensors).item() == pytest.approx(model(*tensors).item(), abs=0.05)  # fp16


def test_load_refuses_other_weights(tmp_path: Path, minilm_folder: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="does not contain this model's weights"):
        GatedCrossEncoder.load(minilm_folder / "model.safetensors")
