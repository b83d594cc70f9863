"""Train one stage, the upper layers, the gates and the scoring, on candidate lists, with checkpoints."""

import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR

from training.batches import Pairs
from training.model import LAYERS, GatedCrossEncoder
from training.settings import StageSettings
from training.targets import Floats

_BUDGET = {"cpu": 8192, "cuda": 65_536}
_WARM_UP = 0.05
_CLIP = 1.0
# Learning rate of the scoring's matrices, relative to that of its scalars and the gates.
_MATRIX_RATE = 0.01


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a run, as passed to the callback."""

    step: int
    steps: int
    loss: float
    seconds: float


class Run:
    """One training stage, from initial to averaged weights.

    Forward and backward passes run on a bfloat16 copy. The optimizer updates the float32 weights, because updates of
    1e-5 are lost in bfloat16.

    Args:
        model: The initial model, in float32. It is trained in place.
        stage: The stage's settings.
        pairs: The texts of the lists.
        members: The documents of each list, of shape (lists, size).
        targets: The target distribution of each list, of the same shape.
        rows: The lists to train on, in order; repeated if the stage needs more.
        folder: The folder of the checkpoint; training resumes from one that exists.
        device: "cpu" or "cuda".
        checkpoint_seconds: Seconds between checkpoints.
    """

    def __init__(
        self,
        model: GatedCrossEncoder,
        stage: StageSettings,
        pairs: Pairs,
        members: NDArray[np.int32],
        targets: Floats,
        rows: NDArray[np.int64],
        folder: Path,
        *,
        device: str,
        checkpoint_seconds: float = 120.0,
    ) -> None:
        self._stage, self._pairs, self._device = stage, pairs, device
        self._members, self._targets, self._rows = members.astype(np.int64), targets, rows
        self.model = _freeze(model.to(device), stage.layers)
        self._working = half_layers(model)
        self._checkpoint_seconds = checkpoint_seconds
        self._checkpoint = folder / "checkpoint.pt"
        self._optimizer = torch.optim.AdamW(_groups(self.model, stage), weight_decay=0.0, betas=(0.9, 0.98))
        self.steps = stage.lists // stage.lists_per_step
        self._schedule = LambdaLR(self._optimizer, self._rate)
        self.average = {name: torch.zeros_like(each) for name, each in _trained(self.model)}
        self._averaged, self.step, self.seconds = 0, 0, 0.0
        if self._checkpoint.is_file():
            self._resume()

    def run(self, on_step: Callable[[Progress], object]) -> GatedCrossEncoder:
        """Train to the end and return the model with averaged weights."""
        self.model.train(mode=False)  # no dropout
        written = time.monotonic()
        while self.step < self.steps:
            started = time.monotonic()
            loss = self._step()
            self.step += 1
            if self.step > self._stage.average_from * self.steps:
                self._averaged += 1
                for name, parameter in _trained(self.model):
                    self.average[name] += (parameter.detach() - self.average[name]) / self._averaged
            self.seconds += time.monotonic() - started
            on_step(Progress(self.step, self.steps, loss, self.seconds))
            if time.monotonic() - written > self._checkpoint_seconds:
                self._save()
                written = time.monotonic()
        self._save()
        return self.averaged()

    def averaged(self) -> GatedCrossEncoder:
        """Return the model with the weights averaged so far, or the current weights if averaging has not started."""
        model = deepcopy(self.model).cpu()
        if self._averaged:
            model.load_state_dict(self.average, strict=False)
        return model.eval()

    def _step(self) -> float:
        places = np.arange(self._stage.lists_per_step) + self.step * self._stage.lists_per_step
        chosen = self._rows[places % len(self._rows)]
        members = self._members[chosen]
        queries = np.repeat(chosen, members.shape[1])
        parts, order = [], []
        for batch, tensors in self._pairs.batches(queries, members.ravel(), budget=_BUDGET[self._device]):
            parts.append(self._working(*tensors))
            order.append(batch)
        back = torch.from_numpy(np.argsort(np.concatenate(order))).to(self._device)
        target = torch.from_numpy(self._targets[chosen]).to(self._device)
        loss = functional.cross_entropy(torch.cat(parts)[back].view(members.shape), target)
        loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
        self._update()
        return loss.item()

    def _update(self) -> None:
        working = dict(self._working.named_parameters())
        for name, parameter in _trained(self.model):
            gradient = working[name].grad
            parameter.grad = None if gradient is None else gradient.float()
            working[name].grad = None
        nn.utils.clip_grad_norm_([parameter for _, parameter in _trained(self.model)], _CLIP)
        self._optimizer.step()
        self._schedule.step()
        with torch.no_grad():
            for name, parameter in _trained(self.model):
                working[name].copy_(parameter)

    def _rate(self, step: int) -> float:
        done = step / self.steps
        return min(done / _WARM_UP, (1 - done) / (1 - _WARM_UP)) if self.steps else 1.0

    def _save(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "numbers": (self._averaged, self.step, self.seconds),
        }
        part = self._checkpoint.with_suffix(".part")
        torch.save(state, part)
        part.replace(self._checkpoint)

    def _resume(self) -> None:
        state = torch.load(self._checkpoint, map_location=self._device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average = state["average"]
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self._averaged, self.step, self.seconds = state["numbers"]
        self._working.load_state_dict(self.model.state_dict())


def half_layers(model: GatedCrossEncoder) -> GatedCrossEncoder:
    """Return a copy of a model with its layers in bfloat16; the gates and the scoring stay in float32."""
    copy = deepcopy(model)
    copy.emb.bfloat16()
    copy.layers.bfloat16()
    return copy.eval()


def _freeze(model: GatedCrossEncoder, layers: int) -> GatedCrossEncoder:
    for parameter in model.parameters():
        parameter.requires_grad = True
    for part in (model.emb, *model.layers[: LAYERS - layers]):
        for parameter in part.parameters():
            parameter.requires_grad = False
    return model


def _trained(model: GatedCrossEncoder) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, each) for name, each in model.named_parameters() if each.requires_grad)


def _groups(model: GatedCrossEncoder, stage: StageSettings) -> list[dict[str, object]]:
    layers = [each for name, each in _trained(model) if name.startswith("layers.")]
    matrices = [each for name, each in _trained(model) if name.startswith(("head", "token_weight"))]
    numbers = [each for name, each in _trained(model) if not name.startswith(("layers.", "head", "token_weight"))]
    groups: list[dict[str, object]] = [
        {"params": numbers, "lr": stage.scoring_rate},
        {"params": matrices, "lr": stage.scoring_rate * _MATRIX_RATE},
    ]
    return [*groups, {"params": layers, "lr": stage.learning_rate}] if layers else groups
