"""Make the plain cross-encoder that every library can load: all-MiniLM-L6-v2 with a classification head.

It learns for some minutes what the embedded model says about questions that the benchmarks don't ask, whole lists at a
time, so that it puts its documents in an order, all fifty of them, and the orders of two libraries can agree or differ.
(Pair by pair it hardly learns in these minutes, and its order is noise.) Made once and kept; run it by itself with:
python benchmarks/peers/classifier.py
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
# Questions at the head of the set are asked by the benchmarks; these come after them.
ASKED, TRAINED_ON = 100, 700
# Of FAISS's passages, and of the whole collection: a model that starts from nothing learns from the latter first.
NEAR, ANY = 5, 3
LISTS_PER_STEP = 4
# Of the teacher's logits, whose first is some 6 above the others: all of a list is to count.
TEMPERATURE = 2
# Tokens of a pair in training, which is quicker than with all of them.
TRAINED_LENGTH = 128
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
    _let_read(folder)


def _let_read(folder: Path) -> None:
    """Have the tokenizer's files say how long a pair may be, since some libraries do what these say."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_LENGTH)
    tokenizer.no_padding()
    tokenizer.save(str(folder / "tokenizer.json"))
    file = folder / "tokenizer_config.json"
    settings = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(settings | {"max_length": MAX_LENGTH}, indent=2), encoding="utf-8")


def _examples() -> Iterator[dict[str, object]]:
    """Yield each question with some passages, and the embedded model's logits of them."""
    whole = read_dataset(DATA)
    chosen = dict(list(whole.queries.items())[ASKED : ASKED + TRAINED_ON])
    dataset = replace(whole, queries=chosen)
    draw, every = np.random.default_rng(SEED), list(dataset.passages)
    with Reranker() as teacher:
        for query, found in retrieve_with_faiss(dataset, K, BiEncoder()).items():
            # The first is the likeliest to answer, and there is but one of it.
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
