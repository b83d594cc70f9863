"""Devices, precisions and weights of the torch backend."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from rerank_plugins import (
    InvalidValueError,
    OutOfMemoryError,
    RerankConfig,
    Reranker,
    ScoringError,
    UnsupportedModelError,
)
from rerank_plugins.backends.attention import without_cudnn
from rerank_plugins.backends.base import Placement
from rerank_plugins.backends.networks import load_network
from rerank_plugins.backends.torch import TorchBackend
from rerank_plugins.models.spec import resolve
from tests.models.test_source import copy_of
from tests.test_reranker import logits
from tests.texts import DOCUMENTS, QUERY


def test_fp16_on_the_cpu_is_refused() -> None:
    with pytest.raises(InvalidValueError, match=r"dtype='fp16' is slower than fp32 on the CPU.*Use dtype='fp32'"):
        TorchBackend.place(RerankConfig(device="cpu", dtype="fp16"))


def test_the_cpu_is_fp32() -> None:
    for dtype in ("auto", "fp32"):
        assert TorchBackend.place(RerankConfig(device="cpu", dtype=dtype)) == Placement("cpu", "fp32", None)


@pytest.mark.parametrize("name", ["bert", "qwen3 classifier"])
@pytest.mark.filterwarnings("ignore::rerank_plugins.errors.UnreadableTextWarning")
@pytest.mark.filterwarnings("ignore::rerank_plugins.errors.ImplausibleScoresWarning")
def test_bf16_on_the_cpu(name: str, model_folder: Callable[[str], Path]) -> None:
    with Reranker(model_folder(name), device="cpu") as whole:
        expected = logits(whole.rank(QUERY, DOCUMENTS))
    with Reranker(model_folder(name), device="cpu", dtype="bf16") as half:
        assert half.dtype == "bf16"
        found = logits(half.rank(QUERY, DOCUMENTS))
    assert found == pytest.approx(expected, abs=0.3 * (max(expected) - min(expected)))
    assert found != expected


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "mps"])
def test_a_device_that_is_not_there(device: str) -> None:
    with pytest.raises(InvalidValueError, match=f"device='{device}' cannot be used here: .*Use device='auto' or 'cpu'"):
        TorchBackend.place(RerankConfig(device=device))


def test_num_threads_is_for_onnx() -> None:
    with pytest.raises(InvalidValueError, match=r"num_threads=2 is for the onnx backend.*torch\.set_num_threads"):
        TorchBackend.place(RerankConfig(num_threads=2))


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


def test_models_that_load_at_once_keep_their_own_precision(model_folder: Callable[[str], Path]) -> None:
    """`from_pretrained` changes the default dtype of the whole process while it runs."""
    types = {"fp16": torch.float16, "fp32": torch.float32, "bf16": torch.bfloat16}
    wanted = ["fp16", "fp32", "bf16", "fp32"] * 5
    folders = [resolve(RerankConfig(model=str(model_folder(name)))).folder for name in ("bert", "xlm-roberta")]
    before = torch.get_default_dtype(), torch.nn.init.normal_
    with ThreadPoolExecutor(4) as threads:
        loads = [
            threads.submit(load_network, folders[place % 2], Placement("cpu", dtype, None))
            for place, dtype in enumerate(wanted)
        ]
        found = [{weight.dtype for weight in load.result().parameters()} for load in loads]
    assert found == [{types[dtype]} for dtype in wanted]
    assert (torch.get_default_dtype(), torch.nn.init.normal_) == before


def test_memory_that_runs_out_says_how_much_was_asked_of_it(model_folder: Callable[[str], Path]) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")

    with Reranker(model_folder("bert")) as reranker:
        hook = torch.nn.modules.module.register_module_forward_pre_hook(full)
        try:
            with pytest.raises(OutOfMemoryError, match="memory of cpu cannot hold 1 pairs of 7 tokens: CUDA out of"):
                reranker.rank(QUERY, ["bread"])
        finally:
            hook.remove()
        assert len(reranker.rank(QUERY, DOCUMENTS)) == len(DOCUMENTS)


def test_a_head_of_two_rows_under_a_config_of_one_label(model_folder: Callable[[str], Path], tmp_path: Path) -> None:
    from tests.tiny_models import save_bert

    folder = save_bert(tmp_path / "two", labels=2)
    (folder / "config.json").write_bytes((model_folder("bert") / "config.json").read_bytes())
    with pytest.raises(
        UnsupportedModelError, match=r"other shapes than its config.json says: .*classifier.*two labels"
    ):
        Reranker(folder)


@pytest.mark.parametrize("content", [b"", b"not a safetensors file", b"\x08" + b"\x00" * 200])
def test_a_damaged_checkpoint(model_folder: Callable[[str], Path], tmp_path: Path, content: bytes) -> None:
    folder = copy_of(model_folder("bert"), tmp_path / "m")
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(UnsupportedModelError, match="cannot be loaded by transformers"):
        Reranker(folder)


def test_loading_writes_nothing(model_folder: Callable[[str], Path], capfd: pytest.CaptureFixture[str]) -> None:
    folder = model_folder("deberta")
    capfd.readouterr()
    Reranker(folder).close()
    assert capfd.readouterr() == ("", "")


def test_torchs_own_threads_are_left_alone(model_folder: Callable[[str], Path]) -> None:
    before = torch.get_num_threads()
    with Reranker(model_folder("bert")) as reranker:
        reranker.rank(QUERY, DOCUMENTS)
    assert torch.get_num_threads() == before


def test_cudnns_attention_is_left_out_until_the_last_pass_ends() -> None:
    allowed = torch.backends.cuda.cudnn_sdp_enabled
    try:
        for before in (True, False):
            torch.backends.cuda.enable_cudnn_sdp(before)
            first, second = without_cudnn(), without_cudnn()
            with first:
                assert not allowed()
                second.__enter__()
            assert not allowed(), "the second pass still runs"
            second.__exit__(None, None, None)
            assert allowed() is before
    finally:
        torch.backends.cuda.enable_cudnn_sdp(True)


def test_a_forward_pass_runs_without_cudnns_attention(model_folder: Callable[[str], Path]) -> None:
    seen = []
    with Reranker(model_folder("bert")) as reranker:
        hook = torch.nn.modules.module.register_module_forward_hook(
            lambda *_: seen.append(torch.backends.cuda.cudnn_sdp_enabled())
        )
        reranker.rank(QUERY, DOCUMENTS)
        hook.remove()
    assert set(seen) == {False}
    assert torch.backends.cuda.cudnn_sdp_enabled()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_auto_is_half_precision_on_cuda_and_ranks_alike(model_folder: Callable[[str], Path]) -> None:
    with Reranker(model_folder("bert"), device="cpu") as cpu, Reranker(model_folder("bert")) as gpu:
        assert (gpu.device, gpu.dtype) == ("cuda", "fp16")
        assert logits(gpu.rank(QUERY, DOCUMENTS)) == pytest.approx(logits(cpu.rank(QUERY, DOCUMENTS)), abs=0.02)
