"""A table of folders that cannot be scored, each with the exact message that it gets, and of some that can."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from rerank_plugins import RerankConfig
from rerank_plugins.models.inspection import inspect_model
from tests.models.decoders import CHATML, TEMPLATE, word_level
from tests.models.folders import folder_with, saved_by_sentence_transformers, write_json
from tests.tiny_models import word_piece

BASE = "sentence_transformers"
POOLING = ("1_Pooling", f"{BASE}.sentence_transformer.modules.pooling.Pooling")
DENSE = ("2_Dense", f"{BASE}.base.modules.dense.Dense")
LOGIT_SCORE = ("1_LogitScore", f"{BASE}.cross_encoder.modules.logit_score.LogitScore")
QWEN: dict[str, Any] = {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "vocab_size": 100}
QWEN_CLASSIFIER = QWEN | {"architectures": ["Qwen3ForSequenceClassification"]}
SCORES: dict[str, Any] = {
    "in_features": 32,
    "out_features": 1,
    "activation_function": "torch.nn.modules.linear.Identity",
    "module_output_name": "scores",
}


def encoder(folder: Path, **config: Any) -> Path:
    """An encoder's files; what they hold does not matter, since nothing is loaded."""
    return _with_files(folder_with(folder, **config), word_piece())


def decoder(folder: Path, *, template: str | None = TEMPLATE, **config: Any) -> Path:
    """A decoder's files."""
    if template is not None:
        (folder / "chat_template.jinja").write_text(template)
    return _with_files(folder_with(folder, **(QWEN_CLASSIFIER | config)), word_level())


def _with_files(folder: Path, tokenizer: Any) -> Path:
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    return folder


def dense(folder: Path, *, weights: bool = True, pooling: str = "cls", size: int = 32, **config: Any) -> Path:
    """A chain with one Dense, as ettin-reranker's."""
    encoder(folder, architectures=["ModernBertModel"], model_type="modernbert")
    modules = [
        (*POOLING, {"pooling_mode": pooling, "embedding_dimension": size}),
        (*DENSE, SCORES | config),
    ]
    saved_by_sentence_transformers(folder, modules, task="feature-extraction")
    if weights:
        (folder / "2_Dense" / "model.safetensors").write_bytes(b"")
    return folder


def logit_score(
    folder: Path,
    *,
    template: str | None = TEMPLATE,
    transformer: Mapping[str, Any] = MappingProxyType({}),
    **config: Any,
) -> Path:
    """A language model with a LogitScore, as Qwen3-Reranker's copies for sentence-transformers."""
    decoder(folder, template=template, **QWEN)
    modules = [(*LOGIT_SCORE, {"true_token_id": 6, "false_token_id": 7} | config)]
    return saved_by_sentence_transformers(
        folder, modules, task="text-generation", messages="flat", transformer=transformer
    )


def replaced(folder: Path, remove: str, add: str) -> Path:
    """A folder with another file of weights."""
    (folder / remove).unlink()
    (folder / add).write_bytes(b"weights")
    return folder


def adapter(folder: Path) -> Path:
    encoder(folder)
    write_json(folder / "adapter_config.json", {"base_model_name_or_path": "Qwen/Qwen3-0.6B"})
    return replaced(folder, "model.safetensors", "adapter_model.safetensors")


def module(folder: Path, path: str, kind: str) -> Path:
    """An encoder with one more module in its modules.json."""
    return saved_by_sentence_transformers(encoder(folder), [(path, kind, {"module_output_name": "scores"})])


def embedding(folder: Path) -> Path:
    encoder(folder, architectures=["BertModel"])
    modules = [(*POOLING, {"pooling_mode": "mean"}), ("2_Normalize", f"{BASE}.models.Normalize", {})]
    return saved_by_sentence_transformers(
        folder, modules, task="feature-extraction", saved={"model_type": "SentenceTransformer"}
    )


def multi_vector(folder: Path) -> Path:
    encoder(folder, architectures=["BertModel"])
    modules = [("1_Dense", f"{BASE}.base.modules.dense.Dense", SCORES)]
    return saved_by_sentence_transformers(
        folder, modules, task="feature-extraction", saved={"model_type": "MultiVectorEncoder"}
    )


def inside(folder: Path) -> Path:
    (folder / "inside").mkdir()
    return folder / "inside"


def without(folder: Path, file: str) -> Path:
    (folder / file).unlink()
    return folder


FOLDERS: dict[str, Callable[[Path], Path]] = {
    "an adapter alone": adapter,
    "GPTQ": lambda folder: encoder(folder, quantization_config={"quant_method": "gptq", "bits": 4}),
    "AWQ": lambda folder: decoder(folder, quantization_config={"quant_method": "awq", "bits": 4}),
    "bitsandbytes": lambda folder: decoder(folder, quantization_config={"quant_method": "bitsandbytes"}),
    "GGUF alone": lambda folder: replaced(encoder(folder), "model.safetensors", "model-Q8_0.gguf"),
    "a pickle alone": lambda folder: replaced(encoder(folder), "model.safetensors", "pytorch_model.bin"),
    "an embedding model": embedding,
    "an embedding model without modules.json": lambda folder: encoder(folder, architectures=["BertModel"]),
    "two labels": lambda folder: encoder(folder, id2label={"0": "no", "1": "yes"}),
    "three labels": lambda folder: encoder(folder, num_labels=3, id2label=None),
    "two counts of labels": lambda folder: encoder(folder, num_labels=2),
    "seq2seq": lambda folder: encoder(
        folder, architectures=["T5ForConditionalGeneration"], model_type="t5", is_encoder_decoder=True
    ),
    "images": lambda folder: encoder(
        folder, architectures=["Qwen3VLForConditionalGeneration"], model_type="qwen3_vl", vision_config={"depth": 2}
    ),
    "listwise": lambda folder: encoder(folder, architectures=["JinaForRanking"], model_type="qwen3"),
    "ColBERT": lambda folder: encoder(folder, architectures=["HF_ColBERT"]),
    "a multi-vector encoder": multi_vector,
    "PyLate": lambda folder: module(folder, "1_Dense", "pylate.models.Dense.Dense"),
    "layer-wise": lambda folder: encoder(folder, architectures=["LayerWiseMiniCPMForCausalLM"], start_layer=8),
    "no architecture": lambda folder: encoder(folder, architectures=None),
    "a token classifier": lambda folder: encoder(folder, architectures=["BertForTokenClassification"]),
    "a masked language model": lambda folder: encoder(folder, architectures=["BertForMaskedLM"]),
    "no config.json": lambda folder: without(encoder(folder), "config.json"),
    "no tokenizer": lambda folder: without(encoder(folder), "tokenizer.json"),
    "a language model without a head": lambda folder: decoder(folder, **QWEN),
    "a language model without anything": lambda folder: decoder(folder, template=None, **QWEN),
    "a decoder without a template": lambda folder: decoder(folder, template=None),
    "a decoder with a chat's template": lambda folder: decoder(folder, template=CHATML),
    "a template that drops the document": lambda folder: decoder(
        folder, template=TEMPLATE.replace('"document" %}Document: {{ message.content }}', '"document" %}Document:')
    ),
    "a template that shortens the document": lambda folder: decoder(
        folder,
        template=TEMPLATE.replace("Document: {{ message.content }}", "Document: {{ message.content | truncate(100) }}"),
    ),
    "a template that is not Jinja": lambda folder: decoder(folder, template=TEMPLATE + "{% if query document"),
    "a template without its token": lambda folder: decoder(folder, template="{{ bos_token }}" + TEMPLATE),
    "an encoder with a chat's template": lambda folder: decoder(
        folder, template=CHATML, architectures=["BertForSequenceClassification"], model_type="bert"
    ),
    "a foreign module": lambda folder: module(folder, "1_Head", "modeling.Head"),
    "an unknown module": lambda folder: module(folder, "1_CNN", f"{BASE}.sentence_transformer.modules.cnn.CNN"),
    "a module outside": lambda folder: saved_by_sentence_transformers(
        encoder(inside(folder)), [("../1_Dense", DENSE[1], SCORES)]
    ),
    "a Dense without scores": lambda folder: dense(folder, module_output_name="sentence_embedding"),
    "a Dense with two scores": lambda folder: dense(folder, out_features=2),
    "a Dense of the wrong size": lambda folder: dense(folder, in_features=64),
    "a Dense without a size": lambda folder: dense(folder, in_features=None),
    "a Dense with an activation of its own": lambda folder: dense(folder, activation_function="mine.Swish"),
    "a Dense that reads tokens": lambda folder: dense(folder, module_input_name="token_embeddings"),
    "a Dense without weights": lambda folder: dense(folder, weights=False),
    "an unknown pooling": lambda folder: dense(folder, pooling="attention"),
    "a LogitScore without a token": lambda folder: logit_score(folder, true_token_id=None),
    "a LogitScore beyond the vocabulary": lambda folder: logit_score(folder, true_token_id=100),
    "a LogitScore that reads something else": lambda folder: logit_score(folder, module_input_name="logits"),
    "a LogitScore over a classifier's task": lambda folder: logit_score(
        folder,
        transformer={
            "transformer_task": "sequence-classification",
            "modality_config": {"message": {"method": "forward", "method_output_name": "logits", "format": "flat"}},
        },
    ),
    "a LogitScore without a template": lambda folder: logit_score(folder, template=None),
    "a LogitScore that reads text": lambda folder: logit_score(
        folder, transformer={"modality_config": {"text": {"method": "forward", "method_output_name": "logits"}}}
    ),
    "lower case by the Transformer": lambda folder: saved_by_sentence_transformers(
        encoder(folder), transformer={"do_lower_case": True}
    ),
    "another folder's tokenizer": lambda folder: saved_by_sentence_transformers(
        encoder(folder), transformer={"tokenizer_name_or_path": "bert-base-uncased"}
    ),
    "arguments for the tokenizer": lambda folder: saved_by_sentence_transformers(
        encoder(folder), transformer={"processing_kwargs": {"text": {"add_special_tokens": False}}}
    ),
}
MESSAGES = json.loads(Path(__file__).with_name("refusals.json").read_text(encoding="utf-8"))


def refusal(folder: Path) -> str | None:
    folder = folder / "inside" if (folder / "inside").is_dir() else folder
    found = inspect_model(RerankConfig(model=str(folder), device="cpu"))
    return None if found.refusal is None else found.refusal.replace(str(folder), "FOLDER")


@pytest.mark.parametrize("case", FOLDERS)
def test_a_refusal_says_exactly(tmp_path: Path, case: str) -> None:
    (tmp_path / "model").mkdir()
    assert refusal(FOLDERS[case](tmp_path / "model")) == MESSAGES[case]


def test_every_message_has_its_folder() -> None:
    assert list(MESSAGES) == list(FOLDERS)
