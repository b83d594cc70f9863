"""Devices, precisions and weights of the torch backend."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from rerank_plugins import InvalidValueError, Reranker, ScoringError, UnsupportedModelError
from tests.loading.test_folder import copy_of
from tests.test_reranker import logits
from tests.texts import DOCUMENTS, QUERY


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
def test_half_precision_on_the_cpu_is_refused(model_folder: Callable[[str], Path], dtype: str) -> None:
    with pytest.raises(InvalidValueError, match=f"dtype='{dtype}' is slower than fp32 on the CPU.*Use dtype='fp32'"):
        Reranker(model_folder("bert"), device="cpu", dtype=dtype)


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "mps"])
def test_a_device_that_is_not_there(model_folder: Callable[[str], Path], device: str) -> None:
    with pytest.raises(InvalidValueError, match=f"device='{device}' cannot be used here: .*Use device='auto' or 'cpu'"):
        Reranker(model_folder("bert"), device=device)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_logit_that_is_no_number_raises(model_folder: Callable[[str], Path], tmp_path: Path, value: float) -> None:
    from safetensors.torch import load_file, save_file

    folder = copy_of(model_folder("bert"), tmp_path / "m")
    weights = load_file(folder / "model.safetensors")
    weights["classifier.bias"].fill_(value)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with (
        Reranker(folder) as reranker,
        pytest.raises(ScoringError, match=f"{value} for 7 of 7 pairs, which cannot be sorted"),
    ):
        reranker.rank(QUERY, DOCUMENTS)


def test_a_model_whose_code_comes_with_it_is_refused(model_folder: Callable[[str], Path], tmp_path: Path) -> None:
    import json

    folder = copy_of(model_folder("bert"), tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "evil",
        "auto_map": {"AutoConfig": "evil.Config", "AutoModelForSequenceClassification": "evil.M"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'was-run')!r}, 'w')\nclass Config: pass\nclass M: pass\n")
    with pytest.raises(UnsupportedModelError, match="trust_remote_code"):
        Reranker(folder)
    assert not (tmp_path / "was-run").exists()


def test_torchs_own_threads_are_left_alone(model_folder: Callable[[str], Path]) -> None:
    before = torch.get_num_threads()
    with Reranker(model_folder("bert")) as reranker:
        reranker.rank(QUERY, DOCUMENTS)
    assert torch.get_num_threads() == before


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_auto_is_half_precision_on_cuda_and_ranks_alike(model_folder: Callable[[str], Path]) -> None:
    with Reranker(model_folder("bert"), device="cpu") as cpu, Reranker(model_folder("bert")) as gpu:
        assert (gpu.device, gpu.dtype) == ("cuda", "fp16")
        assert logits(gpu.rank(QUERY, DOCUMENTS)) == pytest.approx(logits(cpu.rank(QUERY, DOCUMENTS)), abs=0.02)
