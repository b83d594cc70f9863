"""An exported folder ranks as the original does, without torch."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from rerank_plugins import RerankConfig, Reranker
from rerank_plugins.errors import InvalidValueError, ModelNotFoundError, UnsupportedModelError
from rerank_plugins.exporting.exporter import export
from tests.cli.conftest import run as run
from tests.texts import PHOTOSYNTHESIS, TRAPS
from tests.tiny_models import save_bert

ARCHITECTURES = ("bert", "xlm-roberta", "deberta", "modernbert")
DOCUMENTS = [*TRAPS, "hamlet", "", "bread " * 60]


def logits(model: Path, **options: object) -> list[float]:
    with Reranker(model, **options) as reranker:
        return [
            result.raw_score for result in sorted(reranker.rank(PHOTOSYNTHESIS, DOCUMENTS), key=lambda it: it.index)
        ]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_exported_folder_scores_as_the_original_does(
    name: str, model_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    source = model_folder(name)
    export(RerankConfig(model=str(source)), tmp_path / "fp32")
    with Reranker(tmp_path / "fp32") as reranker, Reranker(source) as original:
        assert (reranker.backend, reranker.max_length) == ("onnx", original.max_length)
    assert logits(tmp_path / "fp32") == pytest.approx(logits(source), abs=1e-4)
    export(RerankConfig(model=str(source)), tmp_path / "int8", int8=True)
    whole, rounded = np.array(logits(source)), np.array(logits(tmp_path / "int8"))
    assert np.abs(rounded - whole).mean() < 0.08 * np.ptp(whole)  # 0.02 to 0.04, and what processors differ by
    sizes = [(tmp_path / each / "model.onnx").stat().st_size for each in ("fp32", "int8")]
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize("int8", [False, True])
def test_weights_that_one_file_cannot_hold_go_beside_it(
    int8: bool, model_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    config = RerankConfig(model=str(model_folder("bert")))
    export(config, tmp_path / "one", int8=int8)
    export(config, tmp_path / "two", int8=int8, max_file_bytes=0)
    assert [file.name for file in sorted((tmp_path / "two").glob("model*"))] == ["model.onnx", "model.onnx.data"]
    assert logits(tmp_path / "two") == pytest.approx(logits(tmp_path / "one"), abs=1e-5)
    modes = {file.stat().st_mode for file in (tmp_path / "two").glob("model*")}
    assert modes == {(tmp_path / "one" / "model.onnx").stat().st_mode}, "whoever may read the one may read the other"


def test_attention_is_fused_and_logits_keep_their_column(model_folder: Callable[[str], Path], tmp_path: Path) -> None:
    export(RerankConfig(model=str(model_folder("bert"))), tmp_path / "out")
    graph = onnx.load(tmp_path / "out" / "model.onnx").graph
    operators = [node.op_type for node in graph.node]
    assert operators.count("Attention") == 2
    assert "Softmax" not in operators
    assert [dimension.dim_value for dimension in graph.output[0].type.tensor_type.shape.dim][1:] == [1]


def test_int8_scales_what_each_weight_matrix_reads(model_folder: Callable[[str], Path], tmp_path: Path) -> None:
    export(RerankConfig(model=str(model_folder("bert"))), tmp_path / "out", int8=True)
    operators = [node.op_type for node in onnx.load(tmp_path / "out" / "model.onnx").graph.node]
    assert operators.count("ReduceMax") == 2 * 3, "attention's output and the two of the feed-forward, in two layers"


def test_it_needs_no_torch(model_folder: Callable[[str], Path], tmp_path: Path) -> None:
    export(RerankConfig(model=str(model_folder("bert"))), tmp_path / "out")
    script = """
import sys
sys.modules.update(torch=None, transformers=None)
from rerank_plugins import Reranker
print(Reranker(sys.argv[1]).rank("who", ["a", "b"])[0].index)
"""
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "out"], capture_output=True, text=True, check=False)
    assert done.stdout.strip() in ("0", "1"), done.stderr


def test_the_activation_comes_along(model_folder: Callable[[str], Path], tmp_path: Path) -> None:
    source = shutil.copytree(model_folder("bert"), tmp_path / "source")
    declared = {"activation_fn": "torch.nn.modules.linear.Identity"}
    (source / "config_sentence_transformers.json").write_text(json.dumps(declared))
    export(RerankConfig(model=str(source)), tmp_path / "out")
    with Reranker(tmp_path / "out") as reranker:
        assert reranker.activation == "identity"


def test_a_folder_with_files_is_left_alone(model_folder: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InvalidValueError, match="is not empty"):
        export(RerankConfig(model=str(model_folder("bert"))), tmp_path)
    with pytest.raises(InvalidValueError, match="is not empty"):
        export(RerankConfig(model=str(model_folder("bert"))), tmp_path / "notes.txt")
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_what_cannot_be_exported_leaves_no_folder(model_folder: Callable[[str], Path], tmp_path: Path) -> None:
    two_labels = save_bert(tmp_path / "two", labels=2)
    for model, error in ((two_labels, UnsupportedModelError), (model_folder("bert-onnx"), ModelNotFoundError)):
        with pytest.raises(error):
            export(RerankConfig(model=str(model)), tmp_path / "out")
        assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_command_says_how_far_the_two_agree(
    run: Callable[..., "subprocess.CompletedProcess[str]"], model_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    lists = tmp_path / "lists.jsonl"
    rows = [{"query": query, "documents": DOCUMENTS} for query in (PHOTOSYNTHESIS, "who wrote hamlet")]
    lists.write_text("\n".join(map(json.dumps, rows)))
    arguments = ("export", model_folder("bert"), tmp_path / "int8", "--quantize", "int8", "--verify", lists)
    done = run(*arguments, "--json")
    answer = json.loads(done.stdout)
    assert answer["bytes"] == sum(file.stat().st_size for file in (tmp_path / "int8").iterdir())
    assert answer["agreement"]["lists"] == 2
    assert answer["agreement"]["pairs"] == 2 * len(DOCUMENTS)
    assert 0.0 < answer["agreement"]["largest_difference"] < 1.0
    shown = run("export", model_folder("bert"), tmp_path / "fp32", "--verify", lists)
    assert "same first five             1.0000" in shown.stdout, shown.stdout + shown.stderr
    refused = run("export", model_folder("bert"), tmp_path / "fp32")
    assert refused.returncode == 1
    assert "is not empty" in refused.stderr
