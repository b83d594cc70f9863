"""What every backend offers: batches of token ids in, one raw score a pair out."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rerank_plugins.backends.heads import ClassifierHead, Head
from rerank_plugins.options import RerankConfig, RuntimeOptions

Inputs = Mapping[str, NDArray[np.int64]]
RawScores = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a model runs, and how.

    Attributes:
        device: As torch spells devices.
        dtype: What it computes in; `auto` for what the file holds.
        threads: How many threads run it; None: its library's own default.
    """

    device: str
    dtype: str
    threads: int | None


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model's files on this machine.

    Attributes:
        name: What the user asked for, for messages.
        path: The folder.
        weights: The files that the backend loads weights from, relative to the folder; the first one is the entry, and
            the last ones are those that it names.
        trust_remote_code: Whether Python code that comes with the model may run.
        head: How its hidden states become a score.
    """

    name: str
    path: Path
    weights: tuple[str, ...]
    trust_remote_code: bool = False
    head: Head = field(default_factory=ClassifierHead)


class Backend(Protocol):
    """A way to run models, and, once it is made, a loaded model.

    The module of a backend is light: what it runs on is imported when a model is loaded. To add one, write a module
    with a class like this, and a line in the table of `backends/__init__.py`; a class of your own can also be passed
    as `Reranker(model, backend=MyBackend)`.

    Attributes:
        inputs: Names of the arrays that `forward` wants: `input_ids` and `attention_mask`, and, where the model reads
            them, `token_type_ids`, `position_ids` or `segment_ids`.
        placement: Where it runs; `auto` dtypes are resolved by now, where the weights decide them.
        workers: How many `forward` calls it takes at once, from as many threads.
        pads: Whether it computes the padding of a batch. If not, padding counts for nothing, and pairs of all lengths
            share batches.
        batch_tokens: Tokens that a batch may hold, unless a user says otherwise; with `pads` padding included.
        pairs_per_batch: Pairs that a batch may hold; None: as many as the token budget allows.
        pass_tokens: Tokens of padding that cost less than one more `forward`; above 0 the workers share one device: one
            prepares a batch while another's runs, and no batch is divided among them. A long list is then tokenized
            while its first pairs are scored, unless they are padded.
    """

    inputs: tuple[str, ...]
    placement: Placement
    workers: int
    pads: bool
    batch_tokens: int
    pairs_per_batch: int | None
    pass_tokens: int

    @classmethod
    def claim(cls, files: Collection[str], config: RerankConfig) -> int:
        """Say how well this backend suits a model, by the names of its files.

        Args:
            files: The files of a folder or a Hub repository, relative, with `/` between folders.
            config: What the user asked for.

        Returns:
            0: not at all. Otherwise the backend with the highest number loads the model.
        """
        ...

    @classmethod
    def choose_weights(cls, files: Collection[str], config: RerankConfig) -> Sequence[str]:
        """Choose the files to load weights from; the first one is the entry.

        What an ONNX file or a safetensors index names beside itself is added to them.

        Raises:
            ModelNotFoundError: If there are none, or the choice is ambiguous.
        """
        ...

    @classmethod
    def place(cls, options: RuntimeOptions) -> Placement:
        """Choose device, dtype and threads, before the model's files are there.

        `auto` is resolved, except for a dtype that the weights decide.

        Raises:
            InvalidValueError: If the device is not available, or the dtype or the threads do not work on it.
        """
        ...

    def __init__(self, folder: ModelFolder, placement: Placement) -> None:
        """Load the model.

        Raises:
            UnsupportedModelError: If the weights are not those of a cross-encoder with one label.
            MissingExtraError: If what it runs on is not installed.
        """

    def forward(self, inputs: Inputs) -> RawScores:
        """Run the model.

        Args:
            inputs: An int64 array of shape (pairs, tokens) for each name in `inputs`, padded on the right.

        Returns:
            One float32 number a pair, shape (pairs,): higher is more relevant.

        Raises:
            OutOfMemoryError: If the device's memory cannot hold the batch.
            ForkedError: If the model was loaded before a fork that it does not survive.
        """
        ...

    def warm_up(self) -> None:
        """Pay costs that come once, beyond those of the first `forward`; called at any time, or never.

        `batch_tokens` may change here.
        """

    def close(self) -> None:
        """Free the weights."""
