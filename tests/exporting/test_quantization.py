"""A token with large values costs the others nothing."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor, make_tensor_value_info
from onnxruntime import InferenceSession

from rerank_plugins.exporting.quantization import quantize, scale_rows

DRAW = np.random.default_rng(0)
WEIGHT = DRAW.normal(size=(64, 32)).astype(np.float32)
ROWS = DRAW.normal(size=(1, 10, 64)).astype(np.float32)
ROWS[0, 0] *= 1_000
ROWS[0, 1] = 0


@pytest.fixture
def product(tmp_path: Path) -> Path:
    graph = make_graph(
        [make_node("MatMul", ["x", "weight"], ["y"], name="product")],
        "product",
        [make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, "rows", 64])],
        [make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, "rows", 32])],
        [make_tensor("weight", onnx.TensorProto.FLOAT, WEIGHT.shape, WEIGHT.ravel())],
    )
    onnx.save(make_model(graph, opset_imports=[make_opsetid("", 17)], ir_version=8), tmp_path / "product.onnx")
    return tmp_path / "product.onnx"


@pytest.fixture
def layers(tmp_path: Path) -> Path:
    """Two layers as the exporter writes them: one operator for product and sum, the weight the other way round."""
    weight, bias = DRAW.normal(size=(64, 64)).astype(np.float32), np.zeros(64, dtype=np.float32)
    graph = make_graph(
        [
            make_node("Gemm", ["x", "weight", "bias"], ["z"], name="/body/Gemm", transB=1),
            make_node("Gemm", ["z", "weight", "bias"], ["y"], name="/head/Gemm", transB=1),
        ],
        "layers",
        [make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["rows", 64])],
        [make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["rows", 64])],
        [
            make_tensor("weight", onnx.TensorProto.FLOAT, weight.shape, weight.ravel()),
            make_tensor("bias", onnx.TensorProto.FLOAT, bias.shape, bias),
        ],
    )
    onnx.save(make_model(graph, opset_imports=[make_opsetid("", 17)], ir_version=8), tmp_path / "layers.onnx")
    return tmp_path / "layers.onnx"


def run(file: Path) -> NDArray[np.float32]:
    result: NDArray[np.float32] = InferenceSession(file, providers=["CPUExecutionProvider"]).run(None, {"x": ROWS})[0]
    return result


def error(file: Path) -> float:
    """Of the rows of usual size, by the size of what they give."""
    whole = ROWS @ WEIGHT
    return float(np.abs(run(file) - whole)[0, 2:].mean() / np.abs(whole)[0, 2:].mean())


def test_scaled_rows_give_the_same_product(product: Path) -> None:
    scale_rows(product)
    np.testing.assert_allclose(run(product), ROWS @ WEIGHT, rtol=1e-4, atol=1e-5)
    assert not run(product)[0, 1].any(), "zeros stay zeros"


def test_a_large_row_leaves_the_others_their_precision(product: Path) -> None:
    quantize(product, product.with_name("shared.onnx"))
    scale_rows(product)
    quantize(product, product.with_name("scaled.onnx"))
    assert error(product.with_name("shared.onnx")) > 0.5
    assert error(product.with_name("scaled.onnx")) < 0.02
    assert not run(product.with_name("scaled.onnx"))[0, 1].any()


def test_what_is_kept_stays_in_fp32(layers: Path) -> None:
    quantize(layers, layers.with_name("int8.onnx"), keep=["/head"])
    products = {
        node.op_type: node.name
        for node in onnx.load(layers.with_name("int8.onnx")).graph.node
        if node.op_type.startswith(("Gemm", "MatMul"))
    }
    assert products["MatMul"].startswith("/head")
    assert products["MatMulInteger"].startswith("/body")
    assert len(products) == 2
