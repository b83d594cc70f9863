"""The same scores as other libraries with the same weights, for pairs that are not truncated."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from sentence_transformers import CrossEncoder
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from rerank_plugins import Reranker
from tests.test_reranker import TOLERANCE, logits
from tests.texts import QUERY, mixed_lengths

ARCHITECTURES = ("bert", "xlm-roberta", "deberta", "modernbert")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_logits_are_those_of_transformers(model_folder: Callable[[str], Path], name: str) -> None:
    folder, documents = model_folder(name), mixed_lengths(20)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    inputs = tokenizer([QUERY] * 20, documents, padding=True, truncation=True, max_length=512, return_tensors="pt")
    with torch.no_grad():
        expected = model(**inputs).logits.flatten().tolist()
    with Reranker(folder) as reranker:
        assert logits(reranker.rank(QUERY, documents)) == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_scores_and_order_are_those_of_sentence_transformers(model_folder: Callable[[str], Path], name: str) -> None:
    folder, documents = model_folder(name), mixed_lengths(20)
    model = CrossEncoder(str(folder), max_length=512, device="cpu")
    expected = model.predict([(QUERY, document) for document in documents], show_progress_bar=False).tolist()
    with Reranker(folder) as reranker:
        assert reranker.score([(QUERY, document) for document in documents]) == pytest.approx(expected, abs=TOLERANCE)
        order = [result.index for result in reranker.rank(QUERY, documents)]
    assert order == [row["corpus_id"] for row in model.rank(QUERY, documents, show_progress_bar=False)]


@pytest.mark.parametrize("name", ["bert", "xlm-roberta"])
def test_the_onnx_file_gives_the_logits_of_the_checkpoint(model_folder: Callable[[str], Path], name: str) -> None:
    documents = mixed_lengths(20)
    with Reranker(model_folder(name)) as checkpoint, Reranker(model_folder(f"{name}-onnx")) as exported:
        assert (checkpoint.backend, exported.backend) == ("torch", "onnx")
        expected = logits(checkpoint.rank(QUERY, documents))
        assert logits(exported.rank(QUERY, documents)) == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize("activation", ["torch.nn.modules.linear.Identity", "torch.nn.modules.activation.Sigmoid"])
def test_the_activation_that_sentence_transformers_saved_is_used(
    model_folder: Callable[[str], Path], tmp_path: Path, activation: str
) -> None:
    function = torch.nn.Identity() if activation.endswith("Identity") else torch.nn.Sigmoid()
    model = CrossEncoder(str(model_folder("bert")), activation_fn=function, device="cpu")
    model.save_pretrained(str(tmp_path))
    pairs = [(QUERY, document) for document in mixed_lengths(5)]
    with Reranker(tmp_path) as reranker:
        assert activation.lower().endswith(reranker.activation)
        assert reranker.score(pairs) == pytest.approx(model.predict(pairs).tolist(), abs=TOLERANCE)
