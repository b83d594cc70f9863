"""Development sets are retrieved once, truncated like the package's pairs, and measured in the order of the logits."""

import json
from pathlib import Path

import pytest
import torch

from rerank_plugins.models.source import EMBEDDED_FOLDER, EMBEDDED_NAME
from rerank_plugins.text.tokenizer import load_tokenizer
from training.development import SETS, DevelopmentSet, measure, read_development_sets, tokenized
from training.model import VOCABULARY, GatedCrossEncoder

pytestmark = pytest.mark.slow

PASSAGES = {"oven": "Bread is baked in a hot oven.", "moon": "The moon goes round the earth. " * 20}
QUESTIONS = {"bread": "where is bread baked", "earth": "what goes round the earth"}
ANSWERS = {"bread": "oven", "earth": "moon"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("eval")
    for name in SETS:
        place = root / name
        place.mkdir()
        rows = [{"_id": key, "title": "", "text": text} for key, text in PASSAGES.items()]
        (place / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        rows = [{"_id": key, "text": text} for key, text in QUESTIONS.items()]
        (place / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        lines = [f"{question}\t{answer}\t1" for question, answer in ANSWERS.items()]
        (place / "qrels.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *lines]) + "\n")
        candidates = [{"query_id": question, "doc_ids": ["moon", "oven"]} for question in QUESTIONS]
        (place / "candidates.jsonl").write_text("".join(json.dumps(row) + "\n" for row in candidates))
    return root


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs") / "development.json"


@pytest.fixture(scope="module")
def sets(folder: Path, runs: Path) -> list[DevelopmentSet]:
    return read_development_sets(folder, runs, questions=100, seed=1)


def test_each_set_has_its_own_lists_or_those_of_faiss(sets: list[DevelopmentSet]) -> None:
    before = {each.dataset.name: each.before for each in sets}
    assert before["trec_dl21"] == {"bread": ["moon", "oven"], "earth": ["moon", "oven"]}
    assert before["noveleval"] == {"bread": ["oven", "moon"], "earth": ["moon", "oven"]}


def test_what_was_retrieved_is_not_retrieved_again(
    sets: list[DevelopmentSet], folder: Path, runs: Path, tmp_path: Path
) -> None:
    stored = json.loads(runs.read_text())
    stored["noveleval"]["bread"].reverse()
    (tmp_path / "others.json").write_text(json.dumps(stored))
    again = read_development_sets(folder, tmp_path / "others.json", questions=100, seed=1)
    assert [each.before for each in again] == list(stored.values()) != [each.before for each in sets]


def test_a_pair_is_cut_to_its_length(sets: list[DevelopmentSet]) -> None:
    tokenizer = load_tokenizer(EMBEDDED_NAME, EMBEDDED_FOLDER)
    pairs, questions = tokenized(sets[0], tokenizer, max_length=20, device="cpu")
    assert questions.tolist() == [0, 0, 1, 1]
    lengths = pairs.queries.lengths[questions] + pairs.documents.lengths + 4
    assert lengths.max() == 20


def test_measure_is_the_order_of_the_logits(sets: list[DevelopmentSet], minilm_folder: Path) -> None:
    model = GatedCrossEncoder.from_bi_encoder(minilm_folder, torch.zeros(VOCABULARY))
    tokenizer = load_tokenizer(EMBEDDED_NAME, EMBEDDED_FOLDER)
    figures = measure(model, sets, tokenizer, device="cpu")
    assert sets[0].ndcg(sets[0].before) < 1.0
    assert figures == dict.fromkeys(SETS, 1.0)
