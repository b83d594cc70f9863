"""Apply what tokenizer_config.json says of the normalizer, as transformers does, over what tokenizer.json holds."""

from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from rerank_plugins.json_files import Fields, read_fields

# transformers 5 builds these classes' normalizer and pre-tokenizer from tokenizer_config.json, and takes only the
# vocabulary and the post-processor from tokenizer.json (transformers, `BertTokenizer.__init__`).
_BERT_CLASSES = frozenset(
    {
        "BertTokenizer",
        "ConvBertTokenizer",
        "DistilBertTokenizer",
        "ElectraTokenizer",
        "LayoutLMTokenizer",
        "LxmertTokenizer",
        "MobileBertTokenizer",
        "MPNetTokenizer",
        "SqueezeBertTokenizer",
    }
)
# Where no class is named, the model's type decides (transformers, `TOKENIZER_MAPPING_NAMES`).
_BERT_TYPES = frozenset(
    {
        "bert",
        "convbert",
        "distilbert",
        "electra",
        "ernie",
        "layoutlm",
        "lxmert",
        "megatron-bert",
        "mobilebert",
        "mpnet",
        "nezha",
        "nomic_bert",
        "qdqbert",
        "retribert",
        "squeezebert",
    }
)
# These lowercase where the file says so, and else leave the case alone.
_LOWERCASING_CLASSES = frozenset({"DebertaV2Tokenizer"})


def apply_declared_normalizer(name: str, folder: Path, tokenizer: Tokenizer) -> None:
    """Make `do_lower_case`, `strip_accents` and `tokenize_chinese_chars` of tokenizer_config.json take effect.

    The two files can contradict each other, for instance when one was edited; sentence-transformers and transformers
    follow tokenizer_config.json. Without that file, tokenizer.json stands as it is.

    Args:
        name: The model's name, for messages.
        folder: Its folder.
        tokenizer: What its tokenizer.json holds; it is changed in place.

    Raises:
        UnsupportedModelError: If one of the fields has the wrong type.
    """
    if not (folder / "tokenizer_config.json").is_file():
        return
    declared = read_fields(name, folder / "tokenizer_config.json")
    config = read_fields(name, folder / "config.json")
    tokenizer_class = declared.text("tokenizer_class") or config.text("tokenizer_class")
    plain_class = (tokenizer_class or "").removesuffix("Fast")
    is_bert = plain_class in _BERT_CLASSES or (tokenizer_class is None and config.text("model_type") in _BERT_TYPES)
    if is_bert and isinstance(tokenizer.model, models.WordPiece):
        tokenizer.normalizer = _bert_normalizer(declared)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    elif plain_class in _LOWERCASING_CLASSES and declared.flag("do_lower_case"):
        held = [] if tokenizer.normalizer is None else [tokenizer.normalizer]
        tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *held])


def _bert_normalizer(declared: Fields) -> normalizers.Normalizer:
    lowercase = declared.flag("do_lower_case")
    chinese = declared.flag("tokenize_chinese_chars")
    return normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=True if chinese is None else chinese,
        strip_accents=declared.flag("strip_accents"),  # None: wherever it lowercases
        lowercase=True if lowercase is None else lowercase,
    )
