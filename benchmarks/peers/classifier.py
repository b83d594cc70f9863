"""Make the plain cross-encoder that every library can load: all-MiniLM-L6-v2 with a classification head.

It is trained for some minutes on questions that the benchmarks don't ask, so that the orders of two libraries can agree
or differ. Made once and kept; run it by itself with: python benchmarks/peers/classifier.py
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from contestants import MAX_LENGTH
from platformdirs import user_cache_path
from tokenizers import Tokenizer

from rerank_plugins import RerankConfig
from rerank_plugins.evaluation.dataset import read_dataset
from rerank_plugins.evaluation.first_stage import retrieve_with_faiss
from rerank_plugins.exporting.exporter import export
from rerank_plugins.retrieval.embedding import BiEncoder, packaged_minilm

DATA = Path(__file__).parents[2] / "examples" / "data" / "nq_open_gold"
KEPT = user_cache_path("rerank-plugins") / "benchmarks"
K = 50
# Questions at the head of the set are asked by the benchmarks; these come after them.
ASKED, TRAINED_ON = 100, 700
# Of FAISS's passages, and of the whole collection: a model that starts from nothing learns from the latter first.
NEAR, ANY = 1, 2
SEED = 0
# FlashRank wants them in a file that transformers 5 no longer writes.
_SPECIAL_TOKENS = {f"{name}_token": f"[{name.upper()}]" for name in ("unk", "sep", "pad", "cls", "mask")}


@dataclass(frozen=True, slots=True)
class Classifier:
    """The same weights in three folders.

    Attributes:
        torch: safetensors.
        fp32: ONNX in fp32.
        int8: ONNX with int8 weights.
    """

    torch: Path
    fp32: Path
    int8: Path


def classifier() -> Classifier:
    """Return the folders, making what is missing."""
    folders = Classifier(*(KEPT / f"minilm-l6-{name}" for name in ("torch", "fp32", "int8")))
    if not folders.torch.exists():
        _train(folders.torch)
    for folder in (folders.fp32, folders.int8):
        if not folder.exists():
            with TemporaryDirectory(dir=KEPT) as scratch:
                export(RerankConfig(model=str(folders.torch)), Path(scratch) / "out", int8=folder == folders.int8)
                (Path(scratch) / "out" / "special_tokens_map.json").write_text(json.dumps(_SPECIAL_TOKENS))
                (Path(scratch) / "out").rename(folder)
    return folders


def _train(folder: Path) -> None:
    from datasets import Dataset
    from sentence_transformers import CrossEncoder
    from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
    from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss

    model = CrossEncoder(str(packaged_minilm()), num_labels=1, device="cpu", max_length=MAX_LENGTH)
    with TemporaryDirectory() as scratch:
        arguments = CrossEncoderTrainingArguments(
            scratch,
            per_device_train_batch_size=16,
            learning_rate=2e-4,
            num_train_epochs=1,
            warmup_steps=20,
            seed=SEED,
            use_cpu=True,
            save_strategy="no",
            report_to="none",
        )
        rows = Dataset.from_list(list(_examples()))
        CrossEncoderTrainer(model, arguments, rows, loss=BinaryCrossEntropyLoss(model)).train()
    folder.parent.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(str(folder))
    # The file says 128 tokens, which was the bi-encoder's, and fastembed does what it says.
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_LENGTH)
    tokenizer.no_padding()
    tokenizer.save(str(folder / "tokenizer.json"))


def _examples() -> Iterator[dict[str, object]]:
    """Yield each question with a passage that answers it, and some that don't."""
    whole = read_dataset(DATA)
    chosen = dict(list(whole.queries.items())[ASKED : ASKED + TRAINED_ON])
    dataset = replace(whole, queries=chosen, qrels={query: whole.qrels[query] for query in chosen})
    draw, every = np.random.default_rng(SEED), list(dataset.passages)
    for query, found in retrieve_with_faiss(dataset, K, BiEncoder()).items():
        right = [passage for passage, grade in dataset.qrels[query].items() if grade > 0]
        others = [passage for passage in found if passage not in right]
        near, anywhere = draw.choice(others, NEAR, replace=False), draw.choice(every, ANY, replace=False)
        for passage in [right[0], *near, *anywhere]:
            label = float(passage in right)
            yield {"query": chosen[query], "document": dataset.passages[passage].full_text, "label": label}


if __name__ == "__main__":
    print(classifier())
