"""What the ONNX backend refuses, how many pairs it runs at once, and that it needs neither torch nor transformers."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import onnx
import pytest

from rerank_plugins import InvalidValueError, RerankConfig, Reranker, UnsupportedModelError
from rerank_plugins.backends.base import Placement
from rerank_plugins.backends.onnx import OnnxBackend
from rerank_plugins.exporting.quantization import quantize
from tests.fakes import controlled
from tests.models.test_source import copy_of


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps"])
def test_devices_other_than_the_cpu_are_torchs(device: str) -> None:
    with pytest.raises(InvalidValueError, match=f"device='{device}': ONNX models run on the CPU here.*for a GPU"):
        OnnxBackend.place(RerankConfig(device=device))


@pytest.mark.parametrize("dtype", ["fp32", "fp16", "bf16"])
def test_the_files_precision_is_the_files(dtype: str) -> None:
    with pytest.raises(InvalidValueError, match=f"dtype='{dtype}': an ONNX file computes in the precision it was"):
        OnnxBackend.place(RerankConfig(dtype=dtype))


def test_as_many_threads_as_are_asked_for_give_the_same(model_folder: Callable[[str], Path]) -> None:
    assert OnnxBackend.place(RerankConfig(device="cpu", num_threads=3)) == Placement("cpu", "auto", 3)
    assert (OnnxBackend.place(RerankConfig()).threads or 0) >= 1
    backend, controls = controlled()
    answers = []
    for count in (1, 3):
        with Reranker(model_folder("bert-onnx"), num_threads=count, backend=backend) as reranker:
            controls.shapes.clear()
            controls.hold()
            with ThreadPoolExecutor(1) as thread:
                asked = thread.submit(reranker.rank, "a", ["a"] + [f"{number}" for number in range(8)])
                for _ in range(count):
                    controls.wait_for_a_pass()
                assert len(controls.shapes) == count, "as many passes at once as there are threads"
                controls.gate.set()
                answers.append(asked.result())
    assert [each.index for each in answers[0]] == [each.index for each in answers[1]]
    assert [each.raw_score for each in answers[0]] == pytest.approx([each.raw_score for each in answers[1]], abs=1e-4)


def test_a_file_that_is_no_onnx(model_folder: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copy_of(model_folder("bert-onnx"), tmp_path / "m")
    (folder / "model.onnx").write_bytes(b"not an ONNX file")
    with pytest.raises(UnsupportedModelError, match="cannot be loaded by onnxruntime"):
        Reranker(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda graph: graph.output[0].type.tensor_type.shape.dim.add(), "has no classification head"),
        (lambda graph: setattr(graph.output[0].type.tensor_type.shape.dim[1], "dim_value", 2), "gives 2 logits a pair"),
    ],
)
def test_files_without_one_logit_are_refused(
    tmp_path: Path, change: Callable[[onnx.GraphProto], None], message: str
) -> None:
    tensor, helper = onnx.TensorProto, onnx.helper
    output = helper.make_tensor_value_info("logits", tensor.FLOAT, ["batch", 1])
    graph = helper.make_graph(
        [helper.make_node("Cast", ["input_ids"], ["logits"], to=tensor.FLOAT)],
        "g",
        [helper.make_tensor_value_info("input_ids", tensor.INT64, None)],
        [output],
    )
    change(graph)
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((Path(__file__).parents[2] / "rerank_plugins" / "embedded" / name).read_bytes())
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(UnsupportedModelError, match=message):
        Reranker(tmp_path)


def test_an_input_that_is_not_known_is_refused(model_folder: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copy_of(model_folder("bert-onnx"), tmp_path / "m")
    model = onnx.load(folder / "model.onnx")
    model.graph.input.append(onnx.helper.make_tensor_value_info("pixels", onnx.TensorProto.INT64, ["batch"]))
    onnx.save(model, folder / "model.onnx")
    with pytest.raises(UnsupportedModelError, match="wants inputs that are not known: pixels"):
        Reranker(folder)


def test_torch_and_transformers_stay_out(model_folder: Callable[[str], Path]) -> None:
    script = (
        "import sys; from rerank_plugins import Reranker; "
        "Reranker().rank('a', ['b']); Reranker(sys.argv[1]).rank('a', ['b']); "
        "print([name for name in ('torch', 'transformers', 'tensorflow') if name in sys.modules])"
    )
    command = [sys.executable, "-c", script, str(model_folder("bert-onnx"))]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"


def _fix_the_batch_axis(source: Path, target: Path) -> None:
    model = onnx.load(source)
    for each in model.graph.input:
        each.type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(model, target)


@pytest.mark.parametrize(
    ("change", "together"), [(shutil.copyfile, True), (quantize, False), (_fix_the_batch_axis, False)]
)
def test_pairs_share_a_run_where_neighbours_change_nothing(
    model_folder: Callable[[str], Path], tmp_path: Path, change: Callable[[Path, Path], None], together: bool
) -> None:
    folder = copy_of(model_folder("bert-onnx"), tmp_path / "m")
    (folder / "model.onnx").unlink()
    change(model_folder("bert-onnx") / "model.onnx", folder / "model.onnx")
    backend, controls = controlled()
    with Reranker(folder, num_threads=1, backend=backend) as reranker:
        controls.shapes.clear()
        reranker.rank("a", [f"{number}" for number in range(8)])
    assert [pairs for pairs, _ in controls.shapes] == ([8] if together else [1] * 8)
