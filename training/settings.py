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
class WrittenSettings:
    """How much a language model writes.

    Attributes:
        prompts: Beginnings of searches that it goes on from.
        questions: Questions kept at most.
        passages: Passages written for each.
        seed: Of all draws.
    """

    prompts: int
    questions: int
    passages: int
    seed: int


@dataclass(frozen=True, slots=True)
class TeacherSettings:
    """How the teacher looks across, and what its scores weigh.

    Attributes:
        gate: What is added to the attention logits between the two texts.
        gated: How many of its upper layers look across.
        weights: Of its cosine, its late interaction, and exact words.
    """

    gate: float
    gated: int
    weights: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class BranchSettings:
    """One way to train the start; the weights of all branches are averaged.

    Attributes:
        lists: "judged", those whose answers somebody judged, or "written", those about what a language model wrote.
        steps: Steps of the optimiser.
        per_step: Lists that a step sees.
        layers: How many of the upper layers it trains.
        learning_rate: Of the layers.
        scoring_rate: Of the gates and the scoring.
        label_weight: The share of the loss that comes from the labels, where there are any; the rest is the teacher's.
        start_weight: What the start's own logit weighs beside the teacher's scores.
        average_from: From which share of the steps on the weights are averaged.
    """

    lists: str
    steps: int
    per_step: int
    layers: int
    learning_rate: float
    scoring_rate: float
    label_weight: float
    start_weight: float
    average_from: float


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that decides what the weights become.

    Attributes:
        lists: What the candidate lists are made of.
        written: What a language model writes for them.
        teacher: How they are scored.
        branches: The ways in which the start is trained, by name.
        held_out: Lists that are not trained on; scale and offset are fitted on them.
        seed: The order of the lists.
    """

    lists: ListSettings
    written: WrittenSettings
    teacher: TeacherSettings
    branches: dict[str, BranchSettings]
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
        written = WrittenSettings(**values.pop("written"))
        teacher = TeacherSettings(**values.pop("teacher"))
        branches = {name: BranchSettings(**branch) for name, branch in values.pop("branches").items()}
        return Settings(lists=lists, written=written, teacher=teacher, branches=branches, **values)
    except (KeyError, TypeError) as error:
        raise InvalidValueError(f"'{file}' is not what the recipe needs: {error}.") from None
