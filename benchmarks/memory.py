"""Check that memory stays flat: a million short pairs through one engine with a two-layer model.

Run it with: .venv/bin/python benchmarks/memory.py
"""

import shutil
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import torch
from transformers import BertConfig, BertForSequenceClassification

from rerank_plugins import RerankConfig, Reranker
from rerank_plugins.exporting.exporter import export
from rerank_plugins.models.source import EMBEDDED_FOLDER

PAIRS, A_CALL = 1_000_000, 1_000
_SHOWN_AT = {10_000, 100_000, 250_000, 500_000, 750_000, 1_000_000}


def main() -> None:
    """Print the memory of the process after a growing number of pairs."""
    process, start = psutil.Process(), time.perf_counter()
    with TemporaryDirectory() as folder, Reranker(_two_layers(Path(folder))) as reranker:
        print("| pairs | resident MB | seconds |\n|---:|---:|---:|")
        for done in range(A_CALL, PAIRS + 1, A_CALL):
            reranker.rank(f"question {done}", [f"document {done + place}" for place in range(A_CALL)])
            if done in _SHOWN_AT:
                resident = process.memory_info().rss / 2**20
                print(f"| {done:,} | {resident:.0f} | {time.perf_counter() - start:.0f} |", flush=True)


def _two_layers(folder: Path) -> Path:
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    BertForSequenceClassification(BertConfig(num_labels=1, **shape)).save_pretrained(folder / "torch")
    shutil.copyfile(EMBEDDED_FOLDER / "tokenizer.json", folder / "torch" / "tokenizer.json")
    export(RerankConfig(model=str(folder / "torch")), folder / "onnx")
    return folder / "onnx"


if __name__ == "__main__":
    main()
