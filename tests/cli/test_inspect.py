"""`rerank-plugins inspect`: what a model is, without its weights."""

import json
from pathlib import Path

import pytest
from transformers import Qwen3ForSequenceClassification

from tests.cli.conftest import Run
from tests.models.decoders import save_decoder
from tests.models.edits import weights
from tests.models.test_folders import decoder, logit_score
from tests.tiny_models import save_bert


def test_the_embedded_model(run: Run) -> None:
    done = run("inspect", "embedded", "--pairs")
    assert done.returncode == 0, done.stderr
    assert "[CLS]{query}[SEP][CLS]{document}[SEP]" in done.stdout
    assert "256 by default, 1,024 at most" in done.stdout  # 512 for each segment
    assert "The answer is above the unrelated text, as it should be." in done.stdout


def test_a_language_model_from_its_declarations_alone(run: Run, tmp_path: Path) -> None:
    """Its file of weights holds nothing that could be loaded."""
    folder = logit_score(tmp_path)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\nlanguage: en\n---\n# license: none of these\n")
    found = json.loads(run("inspect", folder, "--json", "--device", "cpu").stdout)
    assert found["refusal"] is None
    assert found["facts"]["licence"] == "apache-2.0"
    assert found["reading"]["head"] == "logit of 'yes' (6) minus logit of 'no' (7)"
    assert found["reading"]["scale"] == "log-odds"
    assert found["reading"]["activation"] == "sigmoid"
    assert [each["text"] for each in found["reading"]["template"] if each["kind"] == "slot"] == ["query", "document"]
    assert found["reading"]["takes_instruction"] is True


def test_a_prompt_by_option_is_shown_with_its_control_tokens(run: Run, tmp_path: Path) -> None:
    folder = decoder(tmp_path, template=None)
    prompt = "<|endoftext|>Query: {query}\nDocument: {document} Relevant:"
    done = run("inspect", folder, "--json", "--device", "cpu", "--prompt", prompt)
    pieces = [(each["kind"], each["text"]) for each in json.loads(done.stdout)["reading"]["template"]]
    assert pieces == [
        ("control", "<|endoftext|>"),
        ("text", "Query: "),
        ("slot", "query"),
        ("text", "\nDocument: "),
        ("slot", "document"),
        ("text", " Relevant:"),
    ]


def test_a_refusal_ends_with_status_1_and_what_was_found(run: Run, tmp_path: Path) -> None:
    done = run("inspect", decoder(tmp_path, template=None))
    assert done.returncode == 1
    assert "Qwen3ForSequenceClassification (qwen3)" in done.stdout
    assert "Refused: '" in done.stdout
    assert "is a decoder saved as a classifier" in done.stdout
    assert not done.stderr


@pytest.mark.parametrize("model", ["no/such/folder", "https://example.org/model"])
def test_a_name_that_is_no_model(run: Run, model: str) -> None:
    done = run("inspect", model, HF_HUB_OFFLINE="1")
    assert done.returncode == 1
    assert done.stdout.startswith("Refused: ")
    assert "Traceback" not in done.stdout + done.stderr


def test_a_label_and_what_its_score_is(run: Run, tmp_path: Path) -> None:
    folder = save_bert(tmp_path / "model", labels=3)
    found = json.loads(run("inspect", folder, "--label", "1", "--json", "--device", "cpu").stdout)
    assert found["reading"]["head"] == "the classification head, label 1 against the others"
    assert found["reading"]["scale"] == "log-odds"


def test_scores_without_sense_end_with_status_1(run: Run, tmp_path: Path) -> None:
    """One of a model and its opposite is implausible."""
    folder = save_decoder(tmp_path / "model", Qwen3ForSequenceClassification, num_labels=1, pad_token_id=0)
    first = run("inspect", folder, "--pairs", "--device", "cpu")
    weights(lambda found: found["score.weight"].neg_())(folder)
    second = run("inspect", folder, "--pairs", "--device", "cpu")
    assert 1 in (first.returncode, second.returncode)
    assert "The unrelated text is not below the answer" in first.stdout + second.stdout
