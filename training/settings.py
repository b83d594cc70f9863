"""Read the file with all training settings."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from rerank_plugins.errors import InvalidValueError

FILE = Path(__file__).with_name("settings.toml")


@dataclass(frozen=True, slots=True)
class ListSettings:
    """How candidate lists are built.

    Attributes:
        questions: Number of questions from each source.
        document_tokens: Documents are truncated to this many tokens.
        query_tokens: Questions are truncated to this many tokens.
        near: Candidates from the top `near_depth` of the embedding model, and as many from that of BM25.
        near_depth: The last rank that counts as near.
        middle: Candidates from ranks `near_depth` to `middle_depth` of the embedding model.
        middle_depth: The last rank that counts as middle.
        random: Candidates from the whole pool.
        seed: Random seed.
    """

    questions: dict[str, int]
    document_tokens: int
    query_tokens: int
    near: int
    near_depth: int
    middle: int
    middle_depth: int
    random: int
    seed: int

    @property
    def size(self) -> int:
        """Documents in a list: the answer and the other candidates."""
        return 1 + 2 * self.near + self.middle + self.random


@dataclass(frozen=True, slots=True)
class StageSettings:
    """One stage of training.

    Attributes:
        lists: Number of training lists.
        layers: Number of upper layers to train; 0: only the gates and the scoring.
        lists_per_step: Lists per optimizer step.
        learning_rate: Learning rate of the layers.
        scoring_rate: Learning rate of the gates and the scoring.
        label_weight: Weight of the labels in the target; the rest is the teacher and the untrained model.
        average_from: Fraction of the steps after which weights are averaged.
    """

    lists: int
    layers: int
    lists_per_step: int
    learning_rate: float
    scoring_rate: float
    label_weight: float
    average_from: float


@dataclass(frozen=True, slots=True)
class Settings:
    """All training settings.

    Attributes:
        lists: How the candidate lists are built.
        stages: The training stages by name, in order.
        held_out: Number of lists held out from training, on which scale and offset are fitted.
        seed: Random seed for the order of the lists.
    """

    lists: ListSettings
    stages: dict[str, StageSettings]
    held_out: int
    seed: int


def read_settings(file: Path = FILE) -> Settings:
    """Read settings.

    Args:
        file: A TOML file like `training/settings.toml`.

    Raises:
        InvalidValueError: If a setting is missing or unknown.
    """
    values = tomllib.loads(file.read_text("utf-8"))
    try:
        lists = ListSettings(**values.pop("lists"))
        stages = {name: StageSettings(**stage) for name, stage in values.pop("stages").items()}
        return Settings(lists=lists, stages=stages, **values)
    except (KeyError, TypeError) as error:
        raise InvalidValueError(f"'{file}' has missing or unknown settings: {error}.") from None
