"""The recipe from data to weights, step by step; a step whose result is there is not repeated."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from rerank_plugins.loading.folder import EMBEDDED_FOLDER, EMBEDDED_NAME
from rerank_plugins.retrieval.embedding import packaged_minilm
from rerank_plugins.scoring.tokenization import TextTokenizer, load_tokenizer
from training.batches import Pairs, Texts, logits_of
from training.calibrate import fit_platt
from training.development import DevelopmentSet, measure, read_development_sets
from training.export import export_fp32, export_int8
from training.lists import Chosen, Lists, choose, joined, mine
from training.model import VOCABULARY, GatedCrossEncoder
from training.pairs import Judged, read_pairs
from training.settings import BranchSettings, Settings
from training.targets import Floats, log_idf, targets
from training.teacher import Teacher, fetch_teacher
from training.train import Progress, Run, half_layers
from training.writer import Writer
from training.written import Written, write_texts

console = Console(highlight=False)
# Questions of each development set that a run is watched by, and steps between two lines about it.
_WATCHED, _STEPS_A_LINE = 100, 10


def _digest(settings: object) -> str:
    return hashlib.sha256(repr(settings).encode()).hexdigest()[:8]


def _save(file: Path, array: NDArray[np.float16]) -> None:
    """Write an array, at once or not at all: a file that is there is taken as done."""
    part = file.with_suffix(".part.npy")
    np.save(part, array)
    part.replace(file)


class Recipe:
    """The steps, each of which leaves a file in the work folder.

    Args:
        settings: What decides the weights.
        data: A folder with `train/pairs_en.jsonl.gz` and the collections of `eval/`.
        work: Where results and checkpoints are kept.
        device: "cpu" or "cuda".
    """

    def __init__(self, settings: Settings, data: Path, work: Path, *, device: str) -> None:
        self._settings, self._data, self._device = settings, data, device
        # Other settings for texts and lists make other lists: nothing of theirs may be taken for these.
        self._work = work / _digest((settings.lists, settings.written))
        self._work.mkdir(parents=True, exist_ok=True)
        self.tokenizer: TextTokenizer = load_tokenizer(EMBEDDED_NAME, EMBEDDED_FOLDER)

    @cached_property
    def chosen(self) -> Chosen:
        """Questions and passages from the pairs, without what stands in a judged collection."""
        file = self._work / "texts.json"
        if not file.is_file():
            pairs = read_pairs(self._data / "train" / "pairs_en.jsonl.gz")
            kept = list(self._judged.strip(pairs))
            console.print(f"{len(kept):,} of {len(pairs):,} pairs are in no collection that the model is judged on")
            file.write_text(json.dumps(asdict(choose(kept, self._settings.lists))), "utf-8")
        return Chosen(**json.loads(file.read_text("utf-8")))

    @cached_property
    def _judged(self) -> Judged:
        return Judged(sorted(folder for folder in (self._data / "eval").iterdir() if folder.is_dir()))

    @cached_property
    def written(self) -> list[Written]:
        """Questions and passages that a small language model wrote."""
        file = self._work / "written.json"
        if not file.is_file():
            writer = Writer.packaged(device=self._device)

            def write(prompts: Sequence[str], tokens: int, temperature: float, seed: int) -> list[str]:
                console.print(f"writing {len(prompts):,} texts")
                return writer.write(prompts, tokens=tokens, temperature=temperature, seed=seed)

            texts = write_texts(write, self.chosen.questions[: self.chosen.typed], self._judged, self._settings.written)
            file.write_text(json.dumps(texts), "utf-8")
        texts = [(question, passages) for question, passages in json.loads(file.read_text("utf-8"))]
        console.print(f"{len(texts):,} written questions, {sum(len(passages) for _, passages in texts):,} passages")
        return texts

    @cached_property
    def lists(self) -> Lists:
        """Questions with their candidate lists."""
        file = self._work / "lists.npz"
        if not file.is_file():
            chosen = joined(self.chosen, self.written)
            mine(chosen, self._settings.lists, self.tokenizer, packaged_minilm(), self._device).save(file)
        return Lists.load(file)

    @cached_property
    def pairs(self) -> Pairs:
        """The texts of the lists, on the device."""
        return Pairs(Texts(self.lists.queries, self._device), Texts(self.lists.documents, self._device))

    @cached_property
    def teacher(self) -> NDArray[np.float16]:
        """The teacher's scores of every list, of shape (lists, size, 3)."""
        settings = self._settings.teacher
        file = self._work / f"teacher-{_digest((settings.gate, settings.gated))}.npy"
        if not file.is_file():
            weights = fetch_teacher(self._work.parent)
            teacher = Teacher(weights, gate=settings.gate, gated=settings.gated, device=self._device)
            idf = torch.from_numpy(self.log_idf).to(self._device)
            _save(file, teacher.score(self.pairs, self.lists.members, idf))
        scores: NDArray[np.float16] = np.load(file, allow_pickle=False)
        return scores

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
        runs = self._work.parent / f"development-{_digest((_WATCHED, seed))}.json"
        return read_development_sets(self._data / "eval", runs, questions=_WATCHED, seed=seed)

    @cached_property
    def held_out(self) -> NDArray[np.int64]:
        """Judged lists that are not trained on."""
        judged = np.flatnonzero(self.lists.answers.any(1))
        return np.random.default_rng(self._settings.seed).permutation(judged)[: self._settings.held_out]

    def train(self) -> GatedCrossEncoder:
        """Train the branches, and average their weights."""
        return GatedCrossEncoder.averaged([self._train(*each) for each in self._settings.branches.items()])

    def _train(self, name: str, branch: BranchSettings) -> GatedCrossEncoder:
        folder = (
            self._work
            / f"{name}-{_digest((self._settings.seed, self._settings.held_out, self._settings.teacher, branch))}"
        )
        result = folder / "trained.safetensors"
        if result.is_file():
            return GatedCrossEncoder.load(result)
        folder.mkdir(exist_ok=True)
        rows = self._rows(branch)
        logits = self.teacher.astype(np.float32) @ np.array(self._settings.teacher.weights, dtype=np.float32)
        if branch.start_weight:
            own = rows[: branch.steps * branch.per_step]
            logits[own] += branch.start_weight * self._logits(half_layers(self.start), own)
        wanted = targets(logits, self.lists.answers, label_weight=branch.label_weight)
        run = Run(self.start, branch, self.pairs, self.lists.members, wanted, rows, folder, device=self._device)
        losses: list[float] = []

        def watch(progress: Progress) -> None:
            losses.append(progress.loss)
            if progress.step % _STEPS_A_LINE == 0:
                recent = np.mean(losses[-100:])
                console.print(f"{name} {progress.step}/{progress.steps}: loss {recent:.4f}, {progress.seconds:.0f} s")

        console.print(f"{name}: {branch}, from step {run.step}")
        final = run.run(watch)
        final.save(result)
        self.report(name, final)
        return final

    def _rows(self, branch: BranchSettings) -> NDArray[np.int64]:
        """The lists of a branch, in a random order, without the held-out ones."""
        judged = self.lists.answers.any(1)
        others = np.setdiff1d(np.flatnonzero(judged if branch.lists == "judged" else ~judged), self.held_out)
        return np.random.default_rng(self._settings.seed).permutation(others)

    def _logits(self, model: GatedCrossEncoder, rows: NDArray[np.int64]) -> Floats:
        """A model's logits of some lists, of shape (lists, size)."""
        documents = self.lists.members[rows].astype(np.int64)
        queries = np.repeat(rows, documents.shape[1])
        logits = logits_of(model.to(self._device), self.pairs, queries, documents.ravel())
        return logits.reshape(documents.shape)

    def calibrated(self, model: GatedCrossEncoder) -> GatedCrossEncoder:
        """Fold scale and offset into a model, fitted on the held-out lists."""
        logits = self._logits(model, self.held_out).ravel().astype(float)
        a, b = fit_platt(logits, self.lists.answers[self.held_out].ravel())
        console.print(f"scale and offset, fitted on {len(logits):,} held-out pairs: {a:.3f}, {b:+.3f}")
        return model.scaled(a, b)

    def ship(self, model: GatedCrossEncoder, folder: Path = EMBEDDED_FOLDER) -> None:
        """Write the model as int8 to the package, and as fp32 beside the checkpoints, to compare with."""
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
