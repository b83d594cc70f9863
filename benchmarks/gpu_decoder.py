"""A decoder of Qwen3-Reranker-0.6B's size with random weights, and a prompt that all candidates share.

Run it with: python benchmarks/gpu_decoder.py
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from peers.tables import print_table
from transformers import Qwen3Config, Qwen3ForCausalLM

from rerank_plugins.backends.heads import TokenHead
from rerank_plugins.backends.networks.decoder import TokenScorer
from rerank_plugins.backends.packing import PackedRows, enable, run
from rerank_plugins.backends.packing.accelerated import AcceleratedNetwork
from rerank_plugins.backends.packing.running import disable

PROMPT, DOCUMENTS, ROUNDS = 90, 50, 5
# Tokens of a document with what follows it.
SHORTEST, LONGEST = 100, 200
YES, NO = 9693, 2152

Inputs = dict[str, np.ndarray]


def main(device: str = "cuda", *, tiny: bool = False) -> None:
    """Measure the ways to run it one after the other, and print a table."""
    inputs = [_inputs(seed, 1_000 if tiny else 151_669) for seed in range(ROUNDS + 1)]
    head = TokenHead(YES, NO) if not tiny else TokenHead(3, 4)
    exact = _scores(_plain(_model(device, torch.float32, tiny=tiny), head), inputs[0])
    model = _model(device, torch.bfloat16 if device == "cuda" else torch.float32, tiny=tiny)
    print(f"{DOCUMENTS} documents of {SHORTEST} to {LONGEST} tokens behind a prompt of {PROMPT}, {model.dtype}\n")
    rows = [_row("transformers, padded on the left", _plain(model, head), inputs, exact)]
    enable(model)
    rows.append(_row("packed", _packed(model, head, shared=False), inputs, exact))
    rows.append(_row("packed, the prompt once", _packed(model, head, shared=True), inputs, exact))
    disable(model)
    network = AcceleratedNetwork(TokenScorer(model, head))
    rows.append(_row("the same with CUDA graphs: rerank_plugins", network.scores, inputs, exact))
    print_table(["", "ms, median", "peak MB beyond the weights", "largest difference from fp32"], rows)


def _model(device: str, dtype: torch.dtype, *, tiny: bool) -> Qwen3ForCausalLM:
    full = {"num_hidden_layers": 28, "hidden_size": 1024, "num_attention_heads": 16, "head_dim": 128}
    small = {"num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 16, "head_dim": 8}
    config = Qwen3Config(
        **(small if tiny else full),
        num_key_value_heads=8,
        intermediate_size=128 if tiny else 3072,
        vocab_size=1_000 if tiny else 151_669,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    with torch.device(device):  # in fp32 first: both get the same weights
        return Qwen3ForCausalLM(config).eval().to(dtype)


def _inputs(seed: int, vocabulary: int) -> Inputs:
    random = np.random.default_rng(seed)
    lengths = random.integers(SHORTEST, LONGEST + 1, DOCUMENTS) + PROMPT
    ids = random.integers(5, vocabulary, (DOCUMENTS, lengths.max()))
    ids[:, :PROMPT] = ids[0, :PROMPT]
    mask = (np.arange(ids.shape[1]) < lengths[:, None]).astype(np.int64)
    return {"input_ids": ids * mask, "attention_mask": mask}


# From a batch to the score of each pair.
Run = Callable[[Inputs], torch.Tensor]


def _plain(model: Qwen3ForCausalLM, head: TokenHead) -> Run:
    def call(inputs: Inputs) -> torch.Tensor:
        shifts = (inputs["attention_mask"] == 0).sum(axis=1)
        rolled = {
            name: np.stack([np.roll(row, shift) for row, shift in zip(array, shifts, strict=True)])
            for name, array in inputs.items()
        }
        tensors = {name: torch.from_numpy(array).to(model.device) for name, array in rolled.items()}
        positions = (tensors["attention_mask"].cumsum(1) - 1).clamp(min=0)
        return _difference(
            model(**tensors, position_ids=positions, logits_to_keep=1, use_cache=False).logits[:, -1], head
        )

    return call


def _packed(model: Qwen3ForCausalLM, head: TokenHead, *, shared: bool) -> Run:
    def call(inputs: Inputs) -> torch.Tensor:
        return _difference(run(model, PackedRows.of(inputs, shared_prefixes=shared, device=str(model.device))), head)

    return call


def _difference(logits: torch.Tensor, head: TokenHead) -> torch.Tensor:
    logits = logits.float()
    return logits[:, head.true_token_id] - logits[:, head.false_token_id]


@torch.inference_mode()
def _scores(call: Run, inputs: Inputs) -> torch.Tensor:
    return call(inputs).cpu()


def _row(name: str, call: Run, inputs: list[Inputs], exact: torch.Tensor) -> list[str]:
    on_gpu = torch.cuda.is_available()
    apart = float((_scores(call, inputs[0]) - exact).abs().max())
    for each in inputs[1:]:  # what is captured or chosen for a shape comes once
        _scores(call, each)
    before = torch.cuda.memory_allocated() if on_gpu else 0
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    seconds = []
    for each in inputs[1:]:
        start = time.perf_counter()
        _scores(call, each)
        seconds.append(time.perf_counter() - start)
    memory = (torch.cuda.max_memory_allocated() - before) / 1e6 if on_gpu else 0.0
    return [name, f"{statistics.median(seconds) * 1000:.1f}", f"{memory:,.0f}", f"{apart:.5f}"]


if __name__ == "__main__":
    main()
