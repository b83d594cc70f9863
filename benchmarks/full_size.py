"""Time and memory of a model of bge-reranker-v2-m3's size, with random weights.

24 layers, 1,024 wide, 250,002 tokens (from its config.json on the Hub). The tokenizer is MiniLM's. Each row runs in its
own process. Run it with: .venv/bin/python benchmarks/full_size.py
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from peers.peak import peak_mb
from platformdirs import user_cache_path
from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaForSequenceClassification

from rerank_plugins import Reranker
from rerank_plugins.models.source import EMBEDDED_FOLDER
from rerank_plugins.reading.passages import read_passages

KEPT = user_cache_path("rerank-plugins") / "benchmarks" / "full-size"
DATA = Path(__file__).parents[1] / "examples" / "data" / "nq_open_gold"
DOCUMENTS, CHARACTERS, ROUNDS = 50, 640, 3


def main() -> None:
    """Create the folders, then time each one in its own process."""
    torch_folder()
    for name in ("fp32", "int8"):
        if not (KEPT / name).exists():
            _export(KEPT / name)
    print(f"{DOCUMENTS} documents of about 150 tokens, median of {ROUNDS}\n")
    print("| | seconds | peak memory, MB | files, MB |\n|---|---:|---:|---:|")
    for name in ("torch", "fp32", "int8"):
        subprocess.run([sys.executable, __file__, name], check=True)


def _export(folder: Path) -> None:
    """Export in a separate process, which frees its memory when it ends."""
    quantized = ["--quantize", "int8"] if folder.name == "int8" else []
    command = [sys.executable, "-m", "rerank_plugins", "export", str(KEPT / "torch"), str(folder), *quantized]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def time_one(name: str) -> None:
    """Print the table row of one folder."""
    question = read_passages(DATA / "queries.jsonl.gz")[0].text
    texts = [passage.full_text for passage in read_passages(DATA / "corpus.jsonl.gz")]
    documents = sorted(texts, key=lambda text: abs(len(text) - CHARACTERS))[:DOCUMENTS]
    seconds = []
    with Reranker(KEPT / name) as reranker:
        reranker.warmup()
        for _ in range(ROUNDS):
            start = time.perf_counter()
            reranker.rank(question, documents)
            seconds.append(time.perf_counter() - start)
    size = sum(file.stat().st_size for file in (KEPT / name).iterdir()) / 1e6
    label = {"torch": "torch fp32", "fp32": "exported fp32", "int8": "exported int8"}[name]
    print(f"| {label} | {statistics.median(seconds):.1f} | {peak_mb():,.0f} | {size:,.0f} |", flush=True)


def torch_folder(*, tiny: bool = False) -> Path:
    """Return the folder with the torch weights (2.3 GB), creating it if it does not exist.

    Args:
        tiny: Make a model of two narrow layers instead, to try a benchmark out.
    """
    folder = KEPT / ("tiny" if tiny else "torch")
    if folder.exists():
        return folder
    torch.manual_seed(0)
    shape = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    full = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
    config = XLMRobertaConfig(
        **(shape if tiny else full),
        vocab_size=31_000 if tiny else 250_002,
        max_position_embeddings=8194,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        initializer_range=0.05,  # with the usual 0.02 all documents get nearly the same score
        num_labels=1,
    )
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):  # random numbers come faster on a GPU
        XLMRobertaForSequenceClassification(config).save_pretrained(folder)
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("unk", "sep", "pad", "cls", "mask")}
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(EMBEDDED_FOLDER / "tokenizer.json"), **special)
    tokenizer.save_pretrained(folder)
    return folder


if __name__ == "__main__":
    time_one(sys.argv[1]) if len(sys.argv) > 1 else main()
