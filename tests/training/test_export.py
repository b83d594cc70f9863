"""The ONNX files score like the model, and can be split where a document's states can be cached."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from tests.training.test_model import DOCUMENTS, QUESTION, tensors_of
from training.export import INPUTS, STATES, export_fp32, export_int8, split
from training.model import VOCABULARY, GatedCrossEncoder

pytestmark = pytest.mark.slow

PAIRS = [(QUESTION, document) for document in DOCUMENTS]


@pytest.fixture(scope="module")
def model(minilm_folder: Path) -> GatedCrossEncoder:
    generator = torch.Generator().manual_seed(0)
    model = GatedCrossEncoder.from_bi_encoder(minilm_folder, torch.rand(VOCABULARY, generator=generator))
    with torch.no_grad():
        model.gate.copy_(torch.randn(model.gate.shape, generator=generator) - 2.0)
        model.middle.fill_(2.0)
        model.head_out.weight.copy_(torch.randn(model.head_out.weight.shape, generator=generator) * 0.1)
    return model


@pytest.fixture(scope="module")
def fp32(model: GatedCrossEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("export") / "model.onnx"
    export_fp32(model, file)
    return file


def run(file: Path, feeds: dict[str, np.ndarray], output: str) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"]).run([output], feeds)[0]


def feeds_of(*pairs: tuple[str, str]) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in zip(INPUTS, tensors_of(*pairs), strict=True)}


@torch.inference_mode()
def logits_of(model: GatedCrossEncoder) -> list[float]:
    return [model(*tensors_of(pair)).item() for pair in PAIRS]


def test_fp32_scores_as_the_model_does(model: GatedCrossEncoder, fp32: Path) -> None:
    alone = [run(fp32, feeds_of(pair), "logits").item() for pair in PAIRS]
    assert alone == pytest.approx(logits_of(model), abs=1e-3)
    together = run(fp32, feeds_of(*PAIRS), "logits")
    assert sorted(together.tolist()) == pytest.approx(sorted(alone), abs=1e-3)


def test_int8_is_small_and_close(model: GatedCrossEncoder, fp32: Path, tmp_path: Path) -> None:
    export_int8(fp32, tmp_path / "int8.onnx")
    assert (tmp_path / "int8.onnx").stat().st_size < 25_000_000
    assert not (tmp_path / "int8.prepared.onnx").exists()
    heads = [node for node in onnx.load(tmp_path / "int8.onnx").graph.node if "/head_" in node.name]
    assert {"MatMul", "Add"} <= {node.op_type for node in heads}
    assert not any("Integer" in node.op_type or "Quantize" in node.op_type for node in heads), "the head is fp32"
    found = [run(tmp_path / "int8.onnx", feeds_of(pair), "logits").item() for pair in PAIRS]
    assert found == pytest.approx(logits_of(model), abs=0.5)


def test_states_of_a_document_can_be_kept_from_one_question_to_the_next(fp32: Path, tmp_path: Path) -> None:
    lower, upper = tmp_path / "lower.onnx", tmp_path / "upper.onnx"
    split(fp32, lower, upper)
    kept = feeds_of(("something else entirely", DOCUMENTS[1]))
    feeds = feeds_of((QUESTION, DOCUMENTS[1]))
    states = run(lower, feeds, STATES)
    states[feeds["segment_ids"] == 1] = run(lower, kept, STATES)[kept["segment_ids"] == 1]
    both = {STATES: states} | {name: feeds[name] for name in ("input_ids", "segment_ids", "attention_mask")}
    assert run(upper, both, "logits") == pytest.approx(run(fp32, feeds, "logits"), abs=1e-3)
