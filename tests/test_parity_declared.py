"""Models with a prompt, a token's logit or modules score as the code that they were published with."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from sentence_transformers import CrossEncoder
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer

from rerank_plugins import Reranker
from tests.declared_models import SAVERS, save_plain
from tests.texts import mixed_lengths

TOLERANCE = 1e-4
# The tiny vocabularies know few words.
pytestmark = pytest.mark.filterwarnings("ignore::rerank_plugins.errors.UnreadableTextWarning")
QUERIES = ["who wrote hamlet", "什么是光合作用？"]
_CHINESE = "植物通过光合作用把阳光、水和二氧化碳变成糖。"
DOCUMENTS = [
    *mixed_lengths(9),
    "Plants turn sunlight into sugar.\n\nThey need water.",
    "",
    " shakespeare  wrote hamlet. ",
    "hamlet " * 150,
    *(_CHINESE * times for times in (1, 2, 5, 20)),
    "什么？",
    "莎士比亚 wrote 哈姆雷特 in 1600.\n",
    "a",
]
PAIRS = [(query, document) for query in QUERIES for document in DOCUMENTS]


def raw_scores(reranker: Reranker) -> list[float]:
    """Score all pairs, in their order."""
    rankings = [reranker.rank(query, DOCUMENTS) for query in QUERIES]
    return [each.raw_score for results in rankings for each in sorted(results, key=lambda result: result.index)]


@pytest.mark.parametrize("kind", SAVERS)
def test_a_folder_scores_as_in_sentence_transformers(kind: str, model_folder: Callable[[str], Path]) -> None:
    folder = model_folder(kind)
    model = CrossEncoder(str(folder), device="cpu")
    expected = model.predict(PAIRS, activation_fn=nn.Identity(), show_progress_bar=False)
    assert len(PAIRS) == 40
    assert expected.std() > 0.05
    with Reranker(folder, device="cpu", max_length=2048) as reranker:
        assert raw_scores(reranker) == pytest.approx(expected.tolist(), abs=TOLERANCE)
        activated = model.predict(PAIRS[:20], show_progress_bar=False).tolist()
        assert reranker.score(PAIRS[:20]) == pytest.approx(activated, abs=TOLERANCE)


def one_token(tokenizer: AutoTokenizer, words: Sequence[str]) -> str:
    """Choose a word that is one token."""
    return next(word for word in words if len(tokenizer(word, add_special_tokens=False)["input_ids"]) == 1)


@torch.inference_mode()
def flag_scores(folder: Path, word: str) -> list[float]:
    """Score as FlagEmbedding does (inference/reranker/decoder_only/base.py, `compute_score_single_gpu`)."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    prompt = (
        "Given a query A and a passage B, determine whether the passage contains an answer to the query by providing "
        "a prediction of either 'Yes' or 'No'."
    )

    def ids(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    scores = []
    for query, document in PAIRS:
        row = ids("<bos>") + ids(f"A: {query}") + ids("\n") + ids(f"B: {document}") + ids("\n") + ids(prompt)
        scores.append(model(torch.tensor([row])).logits[0, -1, ids(word)[0]].item())
    return scores


def test_flag_embeddings_prompt(tmp_path: Path) -> None:
    folder = save_plain("gemma", tmp_path, classifier=False, template=False)
    word = one_token(AutoTokenizer.from_pretrained(folder), ["Yes", "yes", "the"])
    with Reranker(folder, device="cpu", prompt="flag", head=f"token:{word}", max_length=1024) as reranker:
        assert raw_scores(reranker) == pytest.approx(flag_scores(folder, word), abs=TOLERANCE)


@torch.inference_mode()
def qwen_scores(folder: Path, words: tuple[str, str]) -> list[float]:
    """Score as the model card of Qwen3-Reranker does: the share of "yes" in the softmax of "no" and "yes"."""
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(folder)
    prefix = tokenizer.encode(
        "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
        'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n',
        add_special_tokens=False,
    )
    suffix = tokenizer.encode("<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n", add_special_tokens=False)
    task = "Given a web search query, retrieve relevant passages that answer the query"
    texts = [f"<Instruct>: {task}\n<Query>: {query}\n<Document>: {document}" for query, document in PAIRS]
    inputs = tokenizer(texts, padding=False, return_attention_mask=False)
    for place, ids in enumerate(inputs["input_ids"]):
        inputs["input_ids"][place] = prefix + ids + suffix
    batch = tokenizer.pad(inputs, padding=True, return_tensors="pt")
    logits = model(**batch).logits[:, -1, :]
    yes, no = (logits[:, tokenizer.convert_tokens_to_ids(word)] for word in words)
    return torch.nn.functional.log_softmax(torch.stack([no, yes], dim=1), dim=1)[:, 1].exp().tolist()


def test_qwens_own_code(tmp_path: Path) -> None:
    folder = save_plain("qwen3", tmp_path, classifier=False, template=False)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    words = one_token(tokenizer, ["yes", "the"]), one_token(tokenizer, ["no", "is"])
    with Reranker(folder, device="cpu", prompt="qwen3", head=f"tokens:{','.join(words)}", max_length=2048) as reranker:
        assert reranker.score(PAIRS) == pytest.approx(qwen_scores(folder, words), abs=TOLERANCE)
