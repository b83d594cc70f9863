"""Quantise an ONNX model's matrices and word embeddings to int8."""

from collections.abc import Collection
from pathlib import Path

from rerank_plugins.extras import extra

with extra("export", provides="onnx"):
    import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic


def quantize(source: Path, target: Path, *, external_data: bool = False, keep: Collection[str] = ()) -> None:
    """Quantise the weights to int8; activations are quantised as they come, each run with a scale of its own.

    The weights keep 7 of their 8 bits (`reduce_range`), since onnxruntime's signed 8-bit kernels can saturate on
    processors without VNNI (its documentation, "Quantize ONNX models"), and a score should not depend on the
    processor.

    Args:
        source: The model in fp32.
        target: Where to.
        external_data: Whether the weights go into a file beside it, for models that one file cannot hold.
        keep: How the names of the nodes begin that stay in fp32.
    """
    nodes = onnx.load(source, load_external_data=False).graph.node
    quantize_dynamic(
        source,
        target,
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=True,
        use_external_data_format=external_data,
        # onnxruntime cannot infer the types of what its own fused operators give.
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        nodes_to_exclude=[node.name for node in nodes if node.name.startswith(tuple(keep))],
    )
