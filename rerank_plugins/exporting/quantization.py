"""Quantize an ONNX model's matrices and word embeddings to int8 with little change to the scores."""

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rerank_plugins.extras import extra

with extra("export", provides="onnx"):
    import onnx
    from onnx.helper import make_node, make_tensor
    from onnx.numpy_helper import from_array, to_array
from onnxruntime.quantization import QuantType, quantize_dynamic

# Lower bound of a row's divisor: a row of zeros stays zeros, and 1 divided by it is finite in fp32.
_LEAST, _TINY = "least_scale", 1e-30
# Operators that multiply by a weight matrix.
_MULTIPLIERS = ["Attention", "MatMul"]
# Largest magnitude of a symmetric int8 value.
_STEPS = 127


def quantize(source: Path, target: Path, *, external_data: bool = False, keep: Collection[str] = ()) -> None:
    """Quantize matrices and embeddings to int8; activations are quantized at run time, with one scale for each run.

    Embeddings have a scale for each row, and matrices one for each column (`saturation_free`; those that a sum is one
    operator with have the 7 bits that onnxruntime's documentation advises, "Quantize ONNX models").

    Args:
        source: The model in fp32.
        target: The file to write.
        external_data: Whether the weights go into a file beside it, for models that one file cannot hold.
        keep: Name prefixes of the nodes that stay in fp32.
    """
    nodes = onnx.load(source, load_external_data=False).graph.node
    kept = {node.name for node in nodes if node.name.startswith(tuple(keep))}
    quantize_dynamic(
        source,
        target,
        op_types_to_quantize=_MULTIPLIERS,
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=True,
        use_external_data_format=external_data,
        # onnxruntime cannot infer the output types of its own fused operators.
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        # onnxruntime first splits each Gemm into a MatMul and an Add, and matches names afterwards.
        nodes_to_exclude=[*kept, *(f"{name}_MatMul" for name in kept)],
    )
    model = onnx.load(target)
    _round_matrices(model.graph, onnx.load(source).graph)
    _round_tables(model.graph, kept)
    beside = target.with_name(f"{target.name}.data")
    beside.unlink(missing_ok=True)  # onnx would append to it.
    onnx.save(model, target, save_as_external_data=external_data, location=beside.name)


def saturation_free(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round a matrix to 8 bits so that no processor saturates when it multiplies by it.

    Those without VNNI add the products of two neighbours in a column in 16 bits (VPMADDUBSW), where activations of up
    to 255 and weights that are over 128 together saturate. 7 bits would never do that; here a column's scale is as fine
    as its neighbours of one sign allow.

    Args:
        weight: Of shape (inputs, outputs).

    Returns:
        The rounded matrix, of the same shape, and the scale of each column, of shape (outputs,).

    Examples:
        >>> rounded, scale = saturation_free(np.array([[190.0], [64.0], [-128.0], [254.0]], dtype=np.float32))
        >>> rounded.ravel().tolist(), scale.tolist()
        ([95, 32, -64, 127], [2.0])
    """
    inputs, outputs = weight.shape
    pairs = np.pad(weight, ((0, inputs % 2), (0, 0))).reshape(-1, 2, outputs)
    sums = np.maximum(np.maximum(pairs, 0).sum(1), -np.minimum(pairs, 0).sum(1))
    return _rounded(weight, sums.max(0))  # Rounding turns a sum of 127 into 128 at most.


def _rounded(weight: NDArray[np.float32], largest: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round to int8, with the scales that make the largest value 127."""
    scale = (np.maximum(largest, _TINY) / _STEPS).astype(np.float32)
    return np.rint(weight / scale).astype(np.int8), scale


def _round_matrices(graph: onnx.GraphProto, source: onnx.GraphProto) -> None:
    """Replace onnxruntime's rounded matrices by `saturation_free` ones."""
    # Not those of a Gemm, which onnxruntime may have transposed.
    multiplied = {node.input[1] for node in source.node if node.op_type in _MULTIPLIERS}
    multiplied -= {name for node in source.node if node.op_type not in _MULTIPLIERS for name in node.input}
    quantized = {each.name: each for each in graph.initializer}
    for weight in source.initializer:
        if weight.name in multiplied and f"{weight.name}_quantized" in quantized:
            rounded, scale = saturation_free(to_array(weight))
            for name, part in ((f"{weight.name}_quantized", rounded), (f"{weight.name}_scale", scale)):
                quantized[name].CopyFrom(from_array(part, name))


def _round_tables(graph: onnx.GraphProto, kept: Collection[str]) -> None:
    """Quantize embedding tables, with one scale for each row."""
    tables = {
        each.name: each
        for each in graph.initializer
        if each.data_type == onnx.TensorProto.FLOAT and len(each.dims) > 1 and _only_rows(each.name, graph, kept)
    }
    nodes = [each for node in graph.node for each in (_taken(node) if set(node.input) & tables.keys() else [node])]
    del graph.node[:]
    graph.node.extend(nodes)
    for name, initializer in tables.items():
        table = to_array(initializer)
        rounded, scale = _rounded(table, np.abs(table).max(-1, keepdims=True))
        graph.initializer.remove(initializer)
        graph.initializer.extend([from_array(rounded, f"{name}_quantized"), from_array(scale, f"{name}_scale")])


def _only_rows(name: str, graph: onnx.GraphProto, kept: Collection[str]) -> bool:
    """Tell whether a weight is read only by nodes that gather its rows and may be quantized."""
    readers = [node for node in graph.node if name in node.input]
    return bool(readers) and all(
        node.op_type == "Gather"
        and node.name not in kept
        and not any(each.name == "axis" and each.i for each in node.attribute)
        for node in readers
    )


def _taken(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    (table, rows), (taken,) = node.input, node.output
    quantized, whole, scale = (f"{taken}_{part}" for part in ("quantized", "whole", "scale"))
    yield make_node("Gather", [f"{table}_quantized", rows], [quantized], name=node.name)
    yield make_node("Gather", [f"{table}_scale", rows], [scale])
    yield make_node("Cast", [quantized], [whole], to=onnx.TensorProto.FLOAT)
    yield make_node("Mul", [whole, scale], [taken])


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
