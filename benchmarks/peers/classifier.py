"""Train the plain cross-encoder that every library can load: all-MiniLM-L6-v2 with a classification head.

It is trained for a few minutes on the embedded model's scores, with questions that the benchmarks do not use. Training
is listwise, which gives all fifty documents a meaningful order, so the orders of two libraries can be compared. With
pairwise training it hardly learns in these minutes and its order is noise. The result is stored and reused. To train it
separately: python benchmarks/peers/classifier.py
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

from rerank_plugins import RerankConfig, Reranker
from rerank_plugins.evaluation.dataset import read_dataset
from rerank_plugins.evaluation.first_stage import retrieve_with_faiss
from rerank_plugins.exporting.exporter import export
from rerank_plugins.retrieval.embedding import BiEncoder, packaged_minilm

DATA = Path(__file__).parents[2] / "examples" / "data" / "nq_open_gold"
KEPT = user_cache_path("rerank-plugins") / "benchmarks"
K = 50
# The benchmarks use the first questions of the set, training the ones after them.
ASKED, TRAINED_ON = 100, 700
# Passages from FAISS and from the whole collection: an untrained head learns from the latter first.
NEAR, ANY = 5, 3
LISTS_PER_STEP = 4
# Softens the teacher's logits, whose highest is about 6 above the others, so that the whole list counts.
TEMPERATURE = 2
# Tokens per pair in training; short pairs train faster.
TRAINED_LENGTH = 128
SEED = 0
# FlashRank needs these in a file that transformers 5 no longer writes.
_SPECIAL_TOKENS = {f"{name}_token": f"[{name.upper()}]" for name in ("unk", "sep", "pad", "cls", "mask")}


@dataclass(frozen=True, slots=True)
class Classifier:
    """The same weights in three folders.

    Attributes:
        torch: The folder with safetensors.
        fp32: The folder with ONNX in fp32.
        int8: The folder with ONNX in int8.
    """

    torch: Path
    fp32: Path
    int8: Path


def classifier() -> Classifier:
    """Return the folders, creating any that do not exist."""
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
    from sentence_transformers.cross_encoder.losses import ListNetLoss

    model = CrossEncoder(str(packaged_minilm()), num_labels=1, device="cpu", max_length=TRAINED_LENGTH)
    with TemporaryDirectory() as scratch:
        arguments = CrossEncoderTrainingArguments(
            scratch,
            per_device_train_batch_size=LISTS_PER_STEP,
            learning_rate=2e-4,
            num_train_epochs=1,
            warmup_steps=20,
            seed=SEED,
            use_cpu=True,
            save_strategy="no",
            report_to="none",
        )
        rows = Dataset.from_list(list(_examples()))
        CrossEncoderTrainer(model, arguments, rows, loss=ListNetLoss(model)).train()
    model.max_seq_length = MAX_LENGTH
    folder.parent.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(str(folder))
    _set_max_length(folder)


def _set_max_length(folder: Path) -> None:
    """Write the maximum length to the tokenizer's files, because some libraries read it from there."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_LENGTH)
    tokenizer.no_padding()
    tokenizer.save(str(folder / "tokenizer.json"))
    file = folder / "tokenizer_config.json"
    settings = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(settings | {"max_length": MAX_LENGTH}, indent=2), encoding="utf-8")


def _examples() -> Iterator[dict[str, object]]:
    """Yield each question with some passages and the embedded model's logits for them."""
    whole = read_dataset(DATA)
    chosen = dict(list(whole.queries.items())[ASKED : ASKED + TRAINED_ON])
    dataset = replace(whole, queries=chosen)
    draw, every = np.random.default_rng(SEED), list(dataset.passages)
    with Reranker() as teacher:
        for query, found in retrieve_with_faiss(dataset, K, BiEncoder()).items():
            # Always include the top passage, the most likely answer.
            near, anywhere = draw.choice(found[1:], NEAR, replace=False), draw.choice(every, ANY, replace=False)
            passages = [dataset.passages[passage].full_text for passage in [found[0], *near, *anywhere]]
            results = teacher.rank(chosen[query], passages)
            yield {
                "query": chosen[query],
                "documents": [passages[result.index] for result in results],
                "labels": [result.raw_score / TEMPERATURE for result in results],
            }


if __name__ == "__main__":
    print(classifier())
