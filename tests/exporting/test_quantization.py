"""Weights keep all the precision that any processor can use, and large values in one token do not affect others."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from hypothesis.strategies import floats
from numpy.typing import NDArray
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor, make_tensor_value_info
from onnx.numpy_helper import to_array
from onnxruntime import InferenceSession

from rerank_plugins.exporting.quantization import quantize, saturation_free, scale_rows

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
    """Two layers as the exporter writes them: one operator for product and sum, with the weight transposed."""
    first, second = DRAW.normal(size=(2, 64, 64)).astype(np.float32)
    bias = np.zeros(64, dtype=np.float32)
    graph = make_graph(
        [
            make_node("Gemm", ["x", "first", "bias"], ["z"], name="/body/Gemm", transB=1),
            make_node("Gemm", ["z", "second", "bias"], ["y"], name="/head/Gemm", transB=1),
        ],
        "layers",
        [make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["rows", 64])],
        [make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["rows", 64])],
        [
            make_tensor("first", onnx.TensorProto.FLOAT, first.shape, first.ravel()),
            make_tensor("second", onnx.TensorProto.FLOAT, second.shape, second.ravel()),
            make_tensor("bias", onnx.TensorProto.FLOAT, bias.shape, bias),
        ],
    )
    onnx.save(make_model(graph, opset_imports=[make_opsetid("", 17)], ir_version=8), tmp_path / "layers.onnx")
    return tmp_path / "layers.onnx"


@pytest.fixture
def embeddings(tmp_path: Path) -> Path:
    """Two tables with the same rows, of magnitudes from 0.001 to 100: one is only looked up, the other also summed."""
    rows = (DRAW.normal(size=(40, 64)) * np.geomspace(1e-3, 100, 40)[:, None]).astype(np.float32)
    graph = make_graph(
        [
            make_node("Gather", ["words", "ids"], ["x"], name="lookup"),
            make_node("Gather", ["tied", "ids"], ["t"], name="/kept/lookup"),
            make_node("Add", ["tied", "tied"], ["twice"]),
        ],
        "embeddings",
        [make_tensor_value_info("ids", onnx.TensorProto.INT64, ["rows"])],
        [make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["rows", 64]) for name in ("x", "t", "twice")],
        [make_tensor(name, onnx.TensorProto.FLOAT, rows.shape, rows.ravel()) for name in ("words", "tied")],
    )
    file = tmp_path / "embeddings.onnx"
    onnx.save(make_model(graph, opset_imports=[make_opsetid("", 17)], ir_version=8), file)
    return file


def run(file: Path) -> NDArray[np.float32]:
    result: NDArray[np.float32] = InferenceSession(file, providers=["CPUExecutionProvider"]).run(None, {"x": ROWS})[0]
    return result


def error(file: Path) -> float:
    """Error of the rows of usual magnitude, relative to the magnitude of their output."""
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
    rows = np.eye(64, dtype=np.float32)
    whole, rounded = (
        InferenceSession(file, providers=["CPUExecutionProvider"]).run(None, {"x": rows})[0]
        for file in (layers, layers.with_name("int8.onnx"))
    )
    assert np.abs(rounded - whole).mean() / np.abs(whole).mean() < 0.05


@given(arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=floats(-1e4, 1e4, width=32)))
def test_no_two_neighbours_saturate_and_none_is_off_by_more_than_half_a_step(weight: NDArray[np.float32]) -> None:
    rounded, scale = saturation_free(weight)
    assert rounded.dtype == np.int8
    assert scale.shape == (weight.shape[1],)
    neighbours = np.pad(rounded.astype(int), ((0, len(weight) % 2), (0, 0))).reshape(-1, 2, weight.shape[1])
    largest = np.iinfo(np.int16).max
    assert (255 * np.maximum(neighbours, 0).sum(1) <= largest).all()
    assert (255 * np.minimum(neighbours, 0).sum(1) >= -largest).all()
    np.testing.assert_allclose(rounded * scale, weight, atol=scale.max() * 0.501)


def test_opposite_neighbours_have_all_eight_bits() -> None:
    rounded, _ = saturation_free(np.array([[1.0], [-1.0], [0.5], [0.5]], dtype=np.float32))
    assert rounded.ravel().tolist() == [127, -127, 64, 64]


@pytest.mark.parametrize("external_data", [False, True])
def test_a_file_holds_weights_that_do_not_saturate(product: Path, external_data: bool) -> None:
    folder = product.parent / "int8"
    folder.mkdir()
    quantize(product, folder / "model.onnx", external_data=external_data)
    weights = {each.name: to_array(each) for each in onnx.load(folder / "model.onnx").graph.initializer}
    rounded, scale = saturation_free(WEIGHT)
    np.testing.assert_array_equal(weights["weight_quantized"], rounded)
    np.testing.assert_array_equal(weights["weight_scale"], scale)
    scale_rows(product)
    quantize(product, folder / "model.onnx", external_data=external_data)
    assert error(folder / "model.onnx") < 0.01
    assert [file.name for file in folder.iterdir()] == ["model.onnx", *(["model.onnx.data"] * external_data)]


def test_rows_of_a_table_have_scales_of_their_own(embeddings: Path) -> None:
    quantize(embeddings, embeddings.with_name("int8.onnx"))
    whole, rounded = (
        InferenceSession(file, providers=["CPUExecutionProvider"]).run(None, {"ids": np.arange(40)})
        for file in (embeddings, embeddings.with_name("int8.onnx"))
    )
    off = np.abs(rounded[0] - whole[0])
    assert (off.max(1) > 0).all()
    assert (off.max(1) <= np.abs(whole[0]).max(1) / 127 / 2 * 1.01).all()
    np.testing.assert_array_equal(rounded[1], whole[1], "what something else reads too stays as it is")
    quantize(embeddings, embeddings.with_name("kept.onnx"), keep=["lookup"])
    (kept,) = InferenceSession(embeddings.with_name("kept.onnx")).run(["x"], {"ids": np.arange(40)})
    np.testing.assert_array_equal(kept, whole[0])
