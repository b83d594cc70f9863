"""Nothing from the evaluation collections gets into the training data."""

import gzip
import json
from pathlib import Path

import pytest

from rerank_plugins import InvalidValueError
from training.pairs import Judged, Pair, read_pairs

LONG = "the moon was full and the river ran slowly under the old stone bridge that night in may"


@pytest.fixture
def judged(tmp_path: Path) -> Judged:
    folder = tmp_path / "collection"
    folder.mkdir()
    passages = [{"_id": "d1", "title": "Moon", "text": LONG}, {"_id": "d2", "title": "", "text": "Short one."}]
    (folder / "corpus.jsonl").write_text("\n".join(json.dumps(each) for each in passages))
    (folder / "queries.jsonl").write_text(json.dumps({"_id": "q1", "text": "When was the moon full?"}))
    (folder / "qrels.tsv").write_text("q1\td1\t1\n")
    return Judged([folder])


def test_read_pairs_reads_what_the_file_holds(tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl.gz"
    with gzip.open(file, "wt") as lines:
        lines.write(json.dumps({"source": "s", "query": "q", "positive": "p", "negatives": ["n"]}) + "\n")
    assert read_pairs(file) == [Pair("s", "q", "p", ("n",))]


@pytest.mark.parametrize("line", ["[]", "{", '{"source": "s", "query": "q", "positive": "p"}'])
def test_read_pairs_names_the_line_that_is_none(tmp_path: Path, line: str) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text(line)
    with pytest.raises(InvalidValueError, match=r"Line 1 of .* is not a JSON object"):
        read_pairs(file)


@pytest.mark.parametrize("text", ["Short one.", "short  ONE", f"Before. {LONG} After.", "Moon " + LONG])
def test_a_judged_passage_is_known_whatever_stands_around_it(judged: Judged, text: str) -> None:
    assert judged.has_passage(text)


@pytest.mark.parametrize("text", ["Another short one.", "the moon was full and the river ran", ""])
def test_other_passages_are_not(judged: Judged, text: str) -> None:
    assert not judged.has_passage(text)


def test_strip_leaves_out_judged_questions_answers_and_negatives(judged: Judged) -> None:
    kept = Pair("s", "what is new", "Something else.", ("Short one.", "A third thing."))
    pairs = [kept, Pair("s", "when was the moon full", "Something.", ()), Pair("s", "other", LONG, ())]
    assert list(judged.strip(pairs)) == [Pair("s", "what is new", "Something else.", ("A third thing.",))]
