"""Quantise an ONNX model's matrices and word embeddings to int8, so that scores move little."""

from collections.abc import Collection, Iterator
from pathlib import Path

from rerank_plugins.extras import extra

with extra("export", provides="onnx"):
    import onnx
    from onnx.helper import make_node, make_tensor
from onnxruntime.quantization import QuantType, quantize_dynamic

# Rows are divided by this at least, so that one of zeros stays zeros; one over it is still finite in fp32.
_LEAST, _TINY = "least_scale", 1e-30


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
    kept = [node.name for node in nodes if node.name.startswith(tuple(keep))]
    quantize_dynamic(
        source,
        target,
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=True,
        use_external_data_format=external_data,
        # onnxruntime cannot infer the types of what its own fused operators give.
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        # onnxruntime first makes each Gemm a MatMul and an Add, and looks for the names afterwards.
        nodes_to_exclude=[*kept, *(f"{name}_MatMul" for name in kept)],
    )


def scale_rows(file: Path) -> None:
    """Divide what a weight matrix multiplies by each row's largest value, and multiply the product by it again.

    In fp32 this changes nothing. In int8 the activations of a run share one scale, and in encoders a few tokens have
    values far larger than all others (Bondarenko, Nagel, Blankevoort: "Understanding and Overcoming the Challenges of
    Efficient Transformer Quantization", EMNLP 2021), which leaves the others a few of its 256 steps. With rows of one
    size each token has all of them (benchmarks/README.md, "What was tried"). Attention that is one operator stays as
    it is.

    Args:
        file: The model in fp32, which is changed.
    """
    model = onnx.load(file, load_external_data=False)
    graph = model.graph
    weights = {each.name for each in graph.initializer}
    nodes = [each for node in graph.node for each in (_scaled(node) if _by_weight(node, weights) else [node])]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.append(make_tensor(_LEAST, onnx.TensorProto.FLOAT, [], [_TINY]))
    onnx.save(model, file)


def _by_weight(node: onnx.NodeProto, weights: Collection[str]) -> bool:
    return node.op_type == "MatMul" and node.input[1] in weights


def _scaled(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    rows, weight, product = node.input[0], node.input[1], node.output[0]
    sizes, largest, scale, scaled, small = (
        f"{product}_{part}" for part in ("sizes", "largest", "scale", "scaled", "small")
    )
    yield make_node("Abs", [rows], [sizes])
    yield make_node("ReduceMax", [sizes], [largest], axes=[-1], keepdims=1)
    yield make_node("Max", [largest, _LEAST], [scale])
    yield make_node("Div", [rows, scale], [scaled])
    yield make_node("MatMul", [scaled, weight], [small], name=node.name)
    yield make_node("Mul", [small, scale], [product])
