"""Read the one file that all settings of the recipe stand in."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from rerank_plugins.errors import InvalidValueError

FILE = Path(__file__).with_name("settings.toml")


@dataclass(frozen=True, slots=True)
class ListSettings:
    """What candidate lists are made of.

    Attributes:
        questions: How many questions to take from each source.
        document_tokens: Where documents are cut, in tokens.
        query_tokens: Where questions are cut.
        near: Candidates from the embedding model's and BM25's first `near_depth` each.
        near_depth: How deep "near" goes.
        middle: Candidates from ranks `near_depth` to `middle_depth` of the embedding model.
        middle_depth: How deep "middle" goes.
        random: Candidates from anywhere.
        seed: The draw.
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
        lists: How many lists it sees.
        layers: How many of the upper layers it trains; 0 for the gates and the scoring alone.
        lists_per_step: Lists between two steps of the optimiser.
        learning_rate: Of the layers.
        scoring_rate: Of the gates and the scoring.
        label_weight: The share of the loss that comes from the labels; the rest comes from the teacher and the start.
        average_from: From which share of the steps on the weights are averaged.
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
    """Everything that decides what the weights become.

    Attributes:
        lists: What the candidate lists are made of.
        stages: The stages of training by name, in their order.
        held_out: Lists that are not trained on; scale and offset are fitted on them.
        seed: The order of the lists.
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
        InvalidValueError: If a setting is missing or there is one too many.
    """
    values = tomllib.loads(file.read_text("utf-8"))
    try:
        lists = ListSettings(**values.pop("lists"))
        stages = {name: StageSettings(**stage) for name, stage in values.pop("stages").items()}
        return Settings(lists=lists, stages=stages, **values)
    except (KeyError, TypeError) as error:
        raise InvalidValueError(f"'{file}' is not what the recipe needs: {error}.") from None
