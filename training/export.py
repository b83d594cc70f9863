"""Write the trained model as ONNX, in int8, with the door that keeps a document's states open."""

import warnings
from pathlib import Path

import onnx.utils
import torch
from onnxruntime.quantization.shape_inference import quant_pre_process

from rerank_plugins.exporting.quantization import quantize, scale_rows
from training.model import GatedCrossEncoder

INPUTS = ("input_ids", "position_ids", "segment_ids", "attention_mask")
# The states after the layers that read each text alone: `onnx.utils.extract_model` cuts the graph here.
STATES = "states"
_OPSET = 17
# Nodes that stay in fp32, by how their names begin: small tables, and the scoring, where an error goes into the logit.
_SCORING = ("/position_embeddings", "/Gather", "/token_weight", "/head_")


class _Export(torch.nn.Module):
    """The whole model, with its inner seam as a second output, so that the seam has a name in the graph."""

    def __init__(self, model: GatedCrossEncoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        states = self.model.read(*inputs)
        input_ids, _, segment_ids, attention_mask = inputs
        return self.model.compare(states, input_ids, segment_ids, attention_mask), states


def export_fp32(model: GatedCrossEncoder, file: Path) -> None:
    """Write the model in fp32; its outputs are `logits` (batch,) and `states` (batch, sequence, 384)."""
    rows = torch.ones((2, 12), dtype=torch.long)
    segments = torch.tensor([[0] * 5 + [1] * 7] * 2)
    dynamic = {name: {0: "batch", 1: "sequence"} for name in (*INPUTS, STATES)} | {"logits": {0: "batch"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
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
    """Quantise what `export_fp32` wrote, activations by token; the scoring stays in fp32."""
    prepared = target.with_suffix(".prepared.onnx")
    try:
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        scale_rows(prepared)
        quantize(prepared, target, keep=_SCORING)
    finally:
        prepared.unlink(missing_ok=True)


def split(source: Path, lower: Path, upper: Path) -> None:
    """Cut a model at its seam: one graph from token ids to states, one from states to logits.

    A document's states in the first graph do not depend on the question, so that they can be kept.
    """
    onnx.utils.extract_model(str(source), str(lower), list(INPUTS), [STATES])
    names = ["input_ids", "segment_ids", "attention_mask", STATES]
    onnx.utils.extract_model(str(source), str(upper), names, ["logits"])
