"""Models with a prompt, tokens' logits or modules are exported with their scoring inside and their declaration."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from transformers import BertConfig

from rerank_plugins import RerankConfig, Reranker
from rerank_plugins.backends.networks.base import Network
from rerank_plugins.errors import InvalidValueError, UnsupportedModelError
from rerank_plugins.exporting.exporter import export
from rerank_plugins.exporting.tracing import trace
from tests.declared_models import save_plain
from tests.test_parity_declared import raw_scores
from tests.tiny_models import save_bert

# The tiny vocabularies know few words, and the models have learnt nothing.
pytestmark = [
    pytest.mark.filterwarnings("ignore::rerank_plugins.errors.UnreadableTextWarning"),
    pytest.mark.filterwarnings("ignore::rerank_plugins.errors.ImplausibleScoresWarning"),
]
KINDS = ("chain", "prompted encoder", "gemma2 tokens", "llama classifier", "qwen3 classifier", "qwen3 token")


def scores(folder: Path, **options: Any) -> list[float]:
    with Reranker(folder, max_length=400, **options) as reranker:
        return raw_scores(reranker)


@pytest.mark.parametrize("kind", KINDS)
def test_the_exported_folder_is_read_and_scores_as_the_original(
    kind: str, model_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    source, fp32, int8 = model_folder(kind), tmp_path / "fp32", tmp_path / "int8"
    export(RerankConfig(model=str(source)), fp32)
    with Reranker(source, device="cpu") as original, Reranker(fp32) as exported:
        assert (original.backend, exported.backend) == ("torch", "onnx")
        for name in ("scale", "activation", "max_length"):
            assert getattr(exported, name) == getattr(original, name), name
    whole = scores(source)
    assert scores(fp32) == pytest.approx(whole, abs=1e-4)
    export(RerankConfig(model=str(source)), int8, int8=True)
    assert np.abs(np.array(scores(int8)) - whole).mean() < 0.1 * np.ptp(whole)
    assert (int8 / "model.onnx").stat().st_size < (fp32 / "model.onnx").stat().st_size
    assert not list(fp32.rglob("*.safetensors"))


def test_it_needs_no_torch(model_folder: Callable[[str], Path], tmp_path: Path) -> None:
    export(RerankConfig(model=str(model_folder("qwen3 classifier"))), tmp_path / "out")
    script = """
import sys, warnings
sys.modules.update(torch=None, transformers=None)
warnings.simplefilter("ignore")
from rerank_plugins import Reranker
print(Reranker(sys.argv[1]).rank("who", ["a", "b"])[0].index)
"""
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "out"], capture_output=True, text=True, check=False)
    assert done.stdout.strip() in ("0", "1"), done.stderr


def test_what_the_user_said_of_a_model_is_saved(tmp_path: Path) -> None:
    """An export is made with a prompt and tokens; its folder is loaded without them."""
    source = save_plain("qwen3", tmp_path / "source", classifier=False, template=False)
    said = {"prompt": "Q: {query}\nD: {document}\n答：", "head": "tokens:a,b"}
    export(RerankConfig(model=str(source), **said), tmp_path / "out")
    assert scores(tmp_path / "out") == pytest.approx(scores(source, **said), abs=1e-4)
    assert scores(tmp_path / "out", **said) == scores(tmp_path / "out")
    for option, other in (("prompt", "qwen3"), ("head", "token:c")):
        with pytest.raises(InvalidValueError, match=f"{option}=.* says .* itself, .* Leave {option} out"):
            Reranker(tmp_path / "out", **{option: other})


@pytest.mark.parametrize("kind", [None, "multi_label_classification"])
def test_a_label_is_in_the_graph(tmp_path: Path, kind: str | None) -> None:
    source = save_bert(tmp_path / "source", labels=3)
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps(config | {"problem_type": kind}))
    export(RerankConfig(model=str(source), label=2), tmp_path / "out")
    assert scores(tmp_path / "out") == pytest.approx(scores(source, label=2), abs=1e-4)
    with pytest.raises(InvalidValueError, match=r"label=1: .* says 2 itself, in its config.json"):
        Reranker(tmp_path / "out", label=1)
    outputs = onnx.load(tmp_path / "out" / "model.onnx").graph.output
    assert [dimension.dim_value for dimension in outputs[0].type.tensor_type.shape.dim][1:] == [1]


def cohere(folder: Path) -> RerankConfig:
    """Its rotary embeddings repeat elements, which the exporter gets wrong."""
    save_plain("cohere", folder, classifier=False)
    return RerankConfig(model=str(folder), head="token:a")


def experts(folder: Path) -> RerankConfig:
    """Which experts compute is decided by the tokens; a trace has those of its example."""
    save_plain("qwen2 moe", folder, classifier=True)
    return RerankConfig(model=str(folder))


def dynamic(folder: Path) -> RerankConfig:
    """Its frequencies are chosen by the longest text of a batch."""
    save_plain("llama", folder, classifier=True)
    config = json.loads((folder / "config.json").read_text())
    config["rope_parameters"] = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10_000.0}
    (folder / "config.json").write_text(json.dumps(config))
    return RerankConfig(model=str(folder))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (cohere, r"'.*source' \(CohereForCausalLM\) cannot be exported to ONNX: .*Run it with torch"),
        (experts, r"Qwen2MoeForSequenceClassification\) cannot be exported.*operator 'aten::histc'.*supported\. Run"),
        (dynamic, r"positions depend on the longest text of a batch \(rope_type='dynamic'"),
    ],
)
def test_what_a_graph_cannot_compute_is_refused(
    source: Callable[[Path], RerankConfig], message: str, tmp_path: Path
) -> None:
    config = source(tmp_path / "source")
    with pytest.raises(UnsupportedModelError, match=message):
        export(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


class _ByLength(Network):
    """Decides by its input what it computes."""

    config = BertConfig()

    def forward(self, *arrays: torch.Tensor) -> torch.Tensor:
        sums = (arrays[0] * arrays[1]).float().sum(1)
        return sums if arrays[0].shape[1] < 20 else -sums


def test_a_graph_that_scores_otherwise_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match=r"'m' \(_ByLength\) .* differ by up to .* decide by their input"):
        trace("m", _ByLength(), tmp_path / "model.onnx")
