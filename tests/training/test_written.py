"""Of what a language model writes, whole searches and whole sentences are kept, and nothing that is judged."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from training.pairs import Judged
from training.settings import WrittenSettings
from training.written import whole_sentences, write_texts

SETTINGS = WrittenSettings(prompts=2, questions=10, passages=2, seed=0)
EXAMPLES = [f"what is thing number {number}" for number in range(20)]


def folder(root: Path) -> Path:
    (root / "qrels").mkdir(parents=True)
    (root / "corpus.jsonl").write_text('{"_id": "d", "title": "", "text": "This one is judged, as you know."}\n')
    (root / "queries.jsonl").write_text('{"_id": "q", "text": "how do bees fly"}\n')
    (root / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\td\t1\n")
    return root


@pytest.fixture
def prompts() -> list[str]:
    return []


@pytest.fixture
def written(tmp_path: Path, prompts: list[str]) -> list[tuple[str, list[str]]]:
    answers = [
        "Bees have wings that beat two hundred times a second. They fly well because of",
        "This one is judged, as you know.",
    ]

    def write(asked: Sequence[str], tokens: int, temperature: float, seed: int) -> list[str]:
        prompts.extend(asked)
        if tokens < 50:
            return [" this one\nHow do bees  fly\nhow do cats purr\nbroken off wi" for _ in asked]
        return [answers[place % 2] if "cats" in text else f"{text[-60:-40]} is so." for place, text in enumerate(asked)]

    return write_texts(write, EXAMPLES, Judged([folder(tmp_path / "judged")]), SETTINGS)


def test_whole_lines_are_questions_and_judged_ones_are_not(written: list[tuple[str, list[str]]]) -> None:
    questions = [question for question, _ in written]
    assert "how do cats purr" in questions
    assert "how do bees fly" not in questions
    assert not any("broken" in question for question in questions)


def test_passages_end_with_a_sentence_and_judged_ones_are_left_out(written: list[tuple[str, list[str]]]) -> None:
    assert dict(written)["how do cats purr"] == ["Bees have wings that beat two hundred times a second."]


def test_a_prompt_shows_eight_examples_and_begins_a_search(
    written: list[tuple[str, list[str]]], prompts: list[str]
) -> None:
    lines = prompts[0].split("\n")
    assert len(lines) == 9
    assert set(lines[:8]) <= set(EXAMPLES)
    assert lines[8] not in EXAMPLES


def test_a_sentence_that_was_broken_off_is_left_out_unless_there_is_no_other() -> None:
    assert whole_sentences("One. Two\n three") == "One."
    assert whole_sentences("only half of a") == "only half of a"
