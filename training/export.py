"""Export the trained model to ONNX and quantize it to int8, with the lower layers' states as a second output."""

import warnings
from pathlib import Path

import onnx.utils
import torch
from onnxruntime.quantization.shape_inference import quant_pre_process

from rerank_plugins.exporting.quantization import quantize, scale_rows
from training.model import GatedCrossEncoder

INPUTS = ("input_ids", "position_ids", "segment_ids", "attention_mask")
# The states after the layers that read each text separately: `onnx.utils.extract_model` splits the graph here.
STATES = "states"
_OPSET = 17
# Name prefixes of nodes that stay in fp32: small tables, and the scoring, whose errors go straight into the logit.
_SCORING = ("/position_embeddings", "/Gather", "/token_weight", "/head_")


class _Export(torch.nn.Module):
    """The whole model with the lower layers' states as a second output, which gives them a name in the graph."""

    def __init__(self, model: GatedCrossEncoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        states = self.model.read(*inputs)
        input_ids, _, segment_ids, attention_mask = inputs
        return self.model.compare(states, input_ids, segment_ids, attention_mask), states


def export_fp32(model: GatedCrossEncoder, file: Path) -> None:
    """Export the model in fp32. Its outputs are `logits` (batch,) and `states` (batch, sequence, 384)."""
    rows = torch.ones((2, 12), dtype=torch.long)
    segments = torch.tensor([[0] * 5 + [1] * 7] * 2)
    dynamic = {name: {0: "batch", 1: "sequence"} for name in (*INPUTS, STATES)} | {"logits": {0: "batch"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # from the exporter
        torch.onnx.export(
            _Export(model).eval(),
            (rows, rows, segments, rows),
            file,
            input_names=list(INPUTS),
            output_names=["logits", STATES],
            dynamic_axes=dynamic,
            opset_version=_OPSET,
            dynamo=False,
        )


def export_int8(source: Path, target: Path) -> None:
    """Quantize the output of `export_fp32`, with a scale for each token's activations; the scoring stays in fp32."""
    prepared = target.with_suffix(".prepared.onnx")
    try:
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        scale_rows(prepared)
        quantize(prepared, target, keep=_SCORING)
    finally:
        prepared.unlink(missing_ok=True)


def split(source: Path, lower: Path, upper: Path) -> None:
    """Split a model in two: one graph from token ids to states, and one from states to logits.

    A document's states in the first graph do not depend on the question, so they can be cached.
    """
    onnx.utils.extract_model(str(source), str(lower), list(INPUTS), [STATES])
    names = ["input_ids", "segment_ids", "attention_mask", STATES]
    onnx.utils.extract_model(str(source), str(upper), names, ["logits"])
