"""tokenizer_config.json takes precedence over tokenizer.json, as in sentence-transformers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import CrossEncoder
from tokenizers import Tokenizer, normalizers, processors
from torch import nn

from rerank_plugins import Reranker, UnsupportedModelError
from rerank_plugins.text.tokenizer import load_tokenizer
from tests.tiny_models import save_bert, save_deberta, unigram

QUERY = "who wrote HAMLET bread paris"
DOCUMENTS = [
    "SHAKESPEARE wrote hamlet bread",
    "shakespeare wrote hämlet, germany bread",
    "france hamlet苹果公司 bread paris berlin",
    "bread",
]


def declare(folder: Path, **fields: Any) -> Path:
    """Change fields of tokenizer_config.json; None removes one."""
    file = folder / "tokenizer_config.json"
    content = json.loads(file.read_text()) | fields
    file.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
    return folder


@pytest.mark.parametrize("in_json", [True, False])
@pytest.mark.parametrize(
    "fields",
    [
        {"tokenizer_class": "BertTokenizer", "do_lower_case": False},
        {"tokenizer_class": "BertTokenizer", "do_lower_case": True},
        {"tokenizer_class": "BertTokenizerFast", "do_lower_case": False},
        {"tokenizer_class": "BertTokenizer"},
        {"tokenizer_class": "BertTokenizer", "strip_accents": False},
        {"tokenizer_class": "BertTokenizer", "do_lower_case": False, "strip_accents": True},
        {"tokenizer_class": "BertTokenizer", "tokenize_chinese_chars": False},
        {"tokenizer_class": "ElectraTokenizer", "do_lower_case": False},
        {"tokenizer_class": "DistilBertTokenizer", "do_lower_case": False},
        {"tokenizer_class": None, "do_lower_case": False},
        {"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": False},
        {"tokenizer_class": "TokenizersBackend", "do_lower_case": True},
    ],
)
def test_scores_are_those_of_sentence_transformers(tmp_path: Path, fields: dict[str, Any], in_json: bool) -> None:
    folder = declare(save_bert(tmp_path / "m"), **fields)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=in_json)
    tokenizer.save(str(folder / "tokenizer.json"))
    _assert_parity(folder)


@pytest.mark.parametrize("lowercase", [True, False, None])
def test_deberta_lowercases_where_it_is_declared(tmp_path: Path, lowercase: bool | None) -> None:
    folder = save_deberta(tmp_path / "m")
    tokenizer = unigram()
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    tokens = {
        f"{name}_token": text for name, text in {"cls": "<s>", "bos": "<s>", "sep": "</s>", "eos": "</s>"}.items()
    }
    tokens |= {"unk_token": "<unk>", "pad_token": "<pad>", "mask_token": "<mask>"}
    declare(folder, tokenizer_class="DebertaV2Tokenizer", do_lower_case=lowercase, **tokens)
    _assert_parity(folder)


def _assert_parity(folder: Path) -> None:
    reference = CrossEncoder(str(folder), activation_fn=nn.Identity(), device="cpu", max_length=512)
    expected = reference.predict([(QUERY, document) for document in DOCUMENTS])
    with Reranker(folder, device="cpu") as reranker:
        ranked = sorted(reranker.rank(QUERY, DOCUMENTS), key=lambda result: result.index)
    np.testing.assert_allclose([result.raw_score for result in ranked], expected, atol=1e-4)


def test_without_tokenizer_config_the_tokenizer_stands_as_it_is(tmp_path: Path) -> None:
    folder = save_bert(tmp_path / "m")
    (folder / "tokenizer_config.json").unlink()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.save(str(folder / "tokenizer.json"))
    unknown = tokenizer.token_to_id("[UNK]")
    assert load_tokenizer("m", folder).encode(["HAMLET"], enough=9)[0].ids == (unknown,)


def test_a_flag_of_the_wrong_type(tmp_path: Path) -> None:
    folder = declare(save_bert(tmp_path / "m"), tokenizer_class="BertTokenizer", do_lower_case="no")
    with pytest.raises(
        UnsupportedModelError, match=r"do_lower_case='no' in its tokenizer_config.json; .* true or false"
    ):
        load_tokenizer("m", folder)
