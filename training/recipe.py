"""The recipe from data to weights, step by step. A step whose output file exists is skipped."""

import hashlib
import json
import shutil
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from rerank_plugins.models.source import EMBEDDED_FOLDER, EMBEDDED_NAME
from rerank_plugins.retrieval.embedding import BiEncoder, packaged_minilm
from rerank_plugins.text.tokenizer import TextTokenizer, load_tokenizer
from training.batches import Pairs, Texts, logits_of
from training.calibrate import fit_platt
from training.development import DevelopmentSet, measure, read_development_sets
from training.export import export_fp32, export_int8
from training.lists import Lists, choose, mine
from training.model import VOCABULARY, GatedCrossEncoder
from training.pairs import Judged, read_pairs
from training.settings import Settings, StageSettings
from training.targets import Floats, log_idf, targets
from training.teacher import Teacher, fetch_teacher, score
from training.train import Progress, Run, half_layers

console = Console(highlight=False)
# Lists that the untrained model scores before the result is saved.
_SAVED_EACH = 200
# Questions of each development set for the checks during training, and checks per stage.
_CHECK_QUESTIONS, _CHECKS = 100, 2


def _digest(settings: object) -> str:
    return hashlib.sha256(repr(settings).encode()).hexdigest()[:8]


def _save(file: Path, array: NDArray[np.float16]) -> None:
    """Write an array atomically, because an existing file counts as a finished step."""
    part = file.with_suffix(".part.npy")
    np.save(part, array)
    part.replace(file)


class Recipe:
    """The training steps, each of which writes a file to the work folder.

    Args:
        settings: All training settings.
        data: A folder with `train/pairs_en.jsonl.gz` and the collections in `eval/`.
        work: The folder for results and checkpoints.
        device: "cpu" or "cuda".
    """

    def __init__(self, settings: Settings, data: Path, work: Path, *, device: str) -> None:
        self._settings, self._data, self._device = settings, data, device
        # Each set of list settings has its own folder, so outputs for other lists are never reused.
        self._work = work / _digest(settings.lists)
        self._work.mkdir(parents=True, exist_ok=True)
        self.tokenizer: TextTokenizer = load_tokenizer(EMBEDDED_NAME, EMBEDDED_FOLDER)

    @cached_property
    def lists(self) -> Lists:
        """Questions with their candidate lists, mined from the pairs."""
        file = self._work / "lists.npz"
        if not file.is_file():
            pairs = read_pairs(self._data / "train" / "pairs_en.jsonl.gz")
            judged = Judged(sorted(folder for folder in (self._data / "eval").iterdir() if folder.is_dir()))
            kept = list(judged.strip(pairs))
            console.print(f"{len(kept):,} of {len(pairs):,} pairs do not appear in an evaluation collection")
            chosen = choose(kept, self._settings.lists)
            (self._work / "texts.json").write_text(json.dumps([chosen.questions, chosen.passages]), "utf-8")
            mine(chosen, self._settings.lists, self.tokenizer, BiEncoder()).save(file)
        return Lists.load(file)

    @cached_property
    def pairs(self) -> Pairs:
        """The texts of the lists, on the device."""
        return Pairs(Texts(self.lists.queries, self._device), Texts(self.lists.documents, self._device))

    @cached_property
    def teacher(self) -> NDArray[np.float16]:
        """The teacher's scores of every list, of shape (lists, size, 2)."""
        file = self._work / "teacher.npy"
        if not file.is_file():
            lists, states = self.lists, self._work / "states"
            texts = json.loads((self._work / "texts.json").read_text("utf-8"))
            limit = self._settings.lists.document_tokens
            teacher = Teacher(fetch_teacher(self._work.parent), max_length=limit, device=self._device)
            states.mkdir(exist_ok=True)
            queries, documents = (
                teacher.encode(each, states / f"{name}.npy")
                for name, each in zip(("queries", "documents"), texts, strict=True)
            )
            _save(file, score(queries, documents, lists.members))
            shutil.rmtree(states)  # gigabytes that only scoring needs
        scores: NDArray[np.float16] = np.load(file, allow_pickle=False)
        return scores

    @cached_property
    def start_logits(self) -> NDArray[np.float16]:
        """The untrained model's logits, of shape (lists, size); NaN for lists that no stage trains on."""
        file = self._work / "start.npy"
        logits = np.load(file) if file.is_file() else np.full(self.lists.members.shape, np.nan, dtype=np.float16)
        wanted = self._trained_on[: sum(stage.lists for stage in self._settings.stages.values())]
        missing = wanted[np.isnan(logits[wanted]).any(1)]
        if not len(missing):
            return logits
        model = half_layers(self.start.to(self._device))
        for begin in range(0, len(missing), _SAVED_EACH):
            rows = missing[begin : begin + _SAVED_EACH]
            logits[rows] = self._logits(model, rows)
            _save(file, logits)
            console.print(f"untrained model: scored {begin + len(rows):,} of {len(missing):,} lists")
        return logits

    @cached_property
    def log_idf(self) -> Floats:
        """The logarithm of each word piece's idf over the passages."""
        return log_idf(self.lists, VOCABULARY)

    @property
    def start(self) -> GatedCrossEncoder:
        """The untrained model."""
        return GatedCrossEncoder.from_bi_encoder(packaged_minilm(), torch.from_numpy(self.log_idf))

    @cached_property
    def development(self) -> list[DevelopmentSet]:
        """A sample of the development sets."""
        seed = self._settings.seed + 1
        runs = self._work.parent / f"development-{_digest((_CHECK_QUESTIONS, seed))}.json"
        return read_development_sets(self._data / "eval", runs, questions=_CHECK_QUESTIONS, seed=seed)

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """The rows of the lists in random order: training lists first, held-out lists last."""
        return np.random.default_rng(self._settings.seed).permutation(len(self.lists.members))

    @property
    def _trained_on(self) -> NDArray[np.int64]:
        return self.rows[: -self._settings.held_out]

    def train(self) -> GatedCrossEncoder:
        """Run the stages one after another."""
        model, begin = self.start, 0
        before: list[object] = [self._settings.seed, self._settings.held_out]
        for name, stage in self._settings.stages.items():
            before.append(stage)
            model = self._stage(f"{name}-{_digest(before)}", stage, model, begin)
            begin += stage.lists
        return model

    def _stage(self, name: str, stage: StageSettings, model: GatedCrossEncoder, begin: int) -> GatedCrossEncoder:
        folder = self._work / name
        result = folder / "trained.safetensors"
        if result.is_file():
            return GatedCrossEncoder.load(result)
        folder.mkdir(exist_ok=True)
        wanted = targets(self.teacher, self.start_logits, self.lists.answers, label_weight=stage.label_weight)
        rows = np.roll(self._trained_on, -begin)
        run = Run(model, stage, self.pairs, self.lists.members, wanted, rows, folder, device=self._device)
        losses: list[float] = []

        def watch(progress: Progress) -> None:
            losses.append(progress.loss)
            if progress.step % 10 == 0:
                recent = np.mean(losses[-100:])
                console.print(f"{name} {progress.step}/{progress.steps}: loss {recent:.4f}, {progress.seconds:.0f} s")
            if progress.step % max(1, progress.steps // _CHECKS) == 0:
                self.report(f"{name} {progress.step}", run.averaged())

        console.print(f"{name}: {stage}, from step {run.step}")
        final = run.run(watch)
        final.save(result)
        return final

    def _logits(self, model: GatedCrossEncoder, rows: NDArray[np.int64]) -> Floats:
        """Return a model's logits for some lists, of shape (lists, size)."""
        documents = self.lists.members[rows].astype(np.int64)
        logits = logits_of(model, self.pairs, np.repeat(rows, documents.shape[1]), documents.ravel())
        return logits.reshape(documents.shape)

    def calibrated(self, model: GatedCrossEncoder) -> GatedCrossEncoder:
        """Return the model with scale and offset, fitted on the held-out lists, folded into its weights."""
        held_out = self.rows[-self._settings.held_out :]
        logits = self._logits(model.to(self._device), held_out).ravel().astype(float)
        a, b = fit_platt(logits, self.lists.answers[held_out].ravel())
        console.print(f"scale and offset, fitted on {len(logits):,} held-out pairs: {a:.3f}, {b:+.3f}")
        return model.scaled(a, b)

    def ship(self, model: GatedCrossEncoder, folder: Path = EMBEDDED_FOLDER) -> None:
        """Write the int8 model to the package, and the fp32 model to the work folder for comparison."""
        whole = self._work / "fp32"
        whole.mkdir(exist_ok=True)
        for name in ("config.json", "tokenizer.json"):
            shutil.copyfile(folder / name, whole / name)
        model.save(self._work / "final.safetensors")
        export_fp32(model.cpu(), whole / "model.onnx")
        export_int8(whole / "model.onnx", folder / "model.onnx")
        console.print(f"{folder / 'model.onnx'}: {(folder / 'model.onnx').stat().st_size:,} bytes")

    def report(self, label: str, model: GatedCrossEncoder) -> None:
        """Print nDCG@10 of a model on the samples of the development sets."""
        figures = measure(half_layers(model.to(self._device)), self.development, self.tokenizer, device=self._device)
        before = {each.dataset.name: each.ndcg(each.before) for each in self.development}
        gains = ", ".join(f"{name} {value:.3f} ({value - before[name]:+.3f})" for name, value in figures.items())
        console.print(f"{label}: {gains}")
