"""Training learns, resumes after a stop as if there had been none, and averages weights as configured."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from training.batches import Pairs, Texts
from training.calibrate import calibration_error, fit_platt, reliability
from training.lists import Lists
from training.model import VOCABULARY, GatedCrossEncoder
from training.settings import StageSettings
from training.targets import log_idf, targets
from training.train import Progress, Run

pytestmark = pytest.mark.slow

STAGE = StageSettings(
    lists=16,
    layers=1,
    lists_per_step=2,
    learning_rate=1e-4,
    scoring_rate=5e-2,
    label_weight=1.0,
    average_from=0.5,
)


@pytest.fixture(scope="module")
def lists() -> Lists:
    """Questions of four word pieces; the answer is the one document that repeats them."""
    generator = np.random.default_rng(0)
    queries = [generator.integers(2000, 3000, 4).astype(np.uint16) for _ in range(4)]
    others = [generator.integers(2000, 3000, 8).astype(np.uint16) for _ in range(4)]
    answers = [np.concatenate([query, query[::-1]]) for query in queries]
    members = np.array([[4 + row, row, (row + 1) % 4] for row in range(4)], dtype=np.int32)
    labels = np.array([[True, False, False]] * 4)
    return Lists(queries, others + answers, members, labels, np.zeros((4, 3), dtype=np.float16), np.array(["s"] * 4))


def start(minilm_folder: Path) -> GatedCrossEncoder:
    return GatedCrossEncoder.from_bi_encoder(minilm_folder, torch.zeros(VOCABULARY))


def train(model: GatedCrossEncoder, lists: Lists, folder: Path, stop_after: int | None = None) -> list[float]:
    """Train and return the losses. A stop is an exception, like a process killed between two steps."""
    losses: list[float] = []

    def watch(progress: Progress) -> None:
        losses.append(progress.loss)
        if progress.step == stop_after:
            raise KeyboardInterrupt

    folder.mkdir(exist_ok=True)
    nothing = np.zeros((4, 3, 3), dtype=np.float16)
    labels = targets(nothing[..., :2], nothing[..., 2], lists.answers, label_weight=1.0)
    pairs = Pairs(Texts(lists.queries, "cpu"), Texts(lists.documents, "cpu"))
    run = Run(model, STAGE, pairs, lists.members, labels, np.arange(4), folder, device="cpu", checkpoint_seconds=0.0)
    with contextlib.suppress(KeyboardInterrupt):
        run.run(watch)
    return losses


def test_training_learns(minilm_folder: Path, lists: Lists, tmp_path: Path) -> None:
    losses = train(start(minilm_folder), lists, tmp_path / "run")
    assert len(losses) == 8
    assert np.mean(losses[-2:]) < np.mean(losses[:2])


def test_a_stopped_run_goes_on_where_it_stopped(minilm_folder: Path, lists: Lists, tmp_path: Path) -> None:
    whole = train(start(minilm_folder), lists, tmp_path / "whole")
    first = train(start(minilm_folder), lists, tmp_path / "halves", stop_after=4)
    second = train(start(minilm_folder), lists, tmp_path / "halves")
    # A step that was not yet in the checkpoint is repeated.
    assert first + second[-4:] == pytest.approx(whole, rel=0.02)
    assert len(second) in (4, 5)


def test_the_word_embeddings_and_lower_layers_stay_as_they_were(
    minilm_folder: Path, lists: Lists, tmp_path: Path
) -> None:
    model, before = start(minilm_folder), start(minilm_folder).state_dict()
    train(model, lists, tmp_path / "run")
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert {"gate", "scale", "late", "exact", "layers.5.output.dense.weight"} <= changed
    assert not {name for name in changed if name.startswith(("emb.", "layers.0.", "layers.4."))}


def test_targets_mix_label_teacher_and_start() -> None:
    teacher = np.array([[[0.0, 0.0], [0.05, 0.05]]], dtype=np.float16)  # 1 between them, at ten times each
    start = np.array([[0.0, np.log(3.0) - 1.0]], dtype=np.float16)
    mixed = targets(teacher, start, np.array([[True, False]]), label_weight=0.5)
    assert mixed[0] == pytest.approx([0.625, 0.375], abs=1e-3)


def test_log_idf_is_higher_for_what_few_documents_have(lists: Lists) -> None:
    table = log_idf(lists, VOCABULARY)
    assert table[int(lists.queries[0][0])] < table[5]  # a word piece that is in no document


def test_fit_platt_finds_the_scale_and_offset_that_made_the_labels() -> None:
    generator = np.random.default_rng(0)
    logits: NDArray[np.float64] = generator.normal(0, 2, 20_000)
    answers = generator.random(20_000) < 1 / (1 + np.exp(-(1.5 * logits - 1.0)))
    assert fit_platt(logits, answers) == pytest.approx((1.5, -1.0), abs=0.1)


def test_calibration_error_is_the_distance_of_promise_and_truth() -> None:
    probabilities = np.array([0.95] * 10 + [0.05] * 10)
    answers = np.array([True] * 5 + [False] * 15)
    assert calibration_error(reliability(probabilities, answers)) == pytest.approx((0.45 + 0.05) / 2)
