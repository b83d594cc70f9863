"""Create real, tiny, seeded cross-encoders and save them in the format of published ones."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
)

# Words of the tests' texts, so that the vocabularies know them.
_WORDS = """
a answers apple aspirin bake baked berlin bread by can capital cause dogs energy entanglement explain france germany
glucose green hamlet headache how in into is leaves light of oxygen pain paris particles photosynthesis plants quantum
query relieves shakespeare stay sugar sunlight the to turn turns uses water what who work wrote
"""
WORDS = _WORDS.split()
LETTERS = [letter for letter in "abcdefghijklmnopqrstuvwxyz0123456789.,?!'-/<>[]|_" if letter not in WORDS]
SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "initializer_range": 0.3,
}


def save_bert(folder: Path, *, labels: int = 1, seed: int = 0, max_positions: int = 512) -> Path:
    """A two-layer BERT with a WordPiece tokenizer, as cross-encoders on the Hub are saved."""
    tokenizer = word_piece()
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=max_positions, num_labels=labels, **SHAPE
    )
    return _save(BertForSequenceClassification(config), tokenizer, folder)


def save_xlm_roberta(folder: Path) -> Path:
    """A two-layer XLM-RoBERTa with a Unigram tokenizer that lists "</s>" as a piece, as the real one does."""
    tokenizer = unigram()
    torch.manual_seed(1)
    config = XLMRobertaConfig(
        vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=514, type_vocab_size=1, num_labels=1, **SHAPE
    )
    return _save(XLMRobertaForSequenceClassification(config), tokenizer, folder)


def save_deberta(folder: Path) -> Path:
    """A two-layer DeBERTa, which has no token types and relative positions."""
    tokenizer = word_piece()
    torch.manual_seed(2)
    config = DebertaV2Config(
        vocab_size=tokenizer.get_vocab_size(),
        type_vocab_size=0,
        relative_attention=True,
        position_buckets=16,
        pos_att_type=["p2c", "c2p"],
        num_labels=1,
        **SHAPE,
    )
    return _save(DebertaV2ForSequenceClassification(config), tokenizer, folder)


def save_modernbert(folder: Path) -> Path:
    """A two-layer ModernBERT, whose forward pass has no token types."""
    tokenizer = word_piece()
    torch.manual_seed(3)
    config = ModernBertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        pad_token_id=0,
        cls_token_id=2,
        sep_token_id=3,
        bos_token_id=2,
        eos_token_id=3,
        num_labels=1,
        **SHAPE,
    )
    return _save(ModernBertForSequenceClassification(config), tokenizer, folder)


SAVERS: dict[str, Callable[[Path], Path]] = {
    "bert": save_bert,
    "xlm-roberta": save_xlm_roberta,
    "deberta": save_deberta,
    "modernbert": save_modernbert,
}


def word_piece() -> Tokenizer:
    """An English vocabulary without Chinese; like published files it includes truncation and padding settings."""
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = [*specials, *WORDS, *LETTERS, *(f"##{letter}" for letter in [*LETTERS, "a"])]
    tokenizer = Tokenizer(models.WordPiece({word: index for index, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(specials)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_truncation(24)
    tokenizer.enable_padding(length=24)
    return tokenizer


def unigram() -> Tokenizer:
    """A multilingual vocabulary whose model lists its control tokens as ordinary pieces."""
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -3.0)]
    pieces += [(f"▁{word}", -4.0) for word in WORDS]
    pieces += [(character, -8.0) for character in [*LETTERS, "a", *"苹果公司最新发布的功能介绍款和健康会"]]
    pieces += [("<mask>", 0.0)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True, special=True)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def export_onnx(source: Path, folder: Path, *, name: str = "model.onnx") -> Path:
    """Export a saved model to an ONNX file, with its tokenizer and config beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in ("tokenizer.json", "config.json"):
        (folder / file).write_bytes((source / file).read_bytes())
    model = AutoModelForSequenceClassification.from_pretrained(source, attn_implementation="eager").eval()
    inputs = ["input_ids", "attention_mask"] + (["token_type_ids"] if model.config.type_vocab_size > 1 else [])
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        torch.onnx.export(
            model,
            (),
            folder / name,
            kwargs=dict.fromkeys(inputs, torch.ones((2, 8), dtype=torch.long)),
            input_names=inputs,
            output_names=["logits"],
            dynamic_axes={name: {0: "batch", 1: "sequence"} for name in inputs} | {"logits": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
    return folder


def _save(model: PreTrainedModel, tokenizer: Tokenizer, folder: Path) -> Path:
    head = model.classifier
    with torch.no_grad():  # Spread the logits, so that an order of documents means something.
        (head.out_proj if hasattr(head, "out_proj") else head).weight.mul_(3.0)
    model.eval().save_pretrained(folder)
    unknown = "<unk>" if isinstance(tokenizer.model, models.Unigram) else "[UNK]"
    padding = "<pad>" if isinstance(tokenizer.model, models.Unigram) else "[PAD]"
    typed = getattr(model.config, "type_vocab_size", 0) > 1
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if typed else [])]
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token=unknown, pad_token=padding, model_input_names=names
    ).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
