"""Three pairs whose order is beyond doubt: the quickest way to notice a model that was converted wrongly."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from rerank_plugins.errors import ImplausibleScoresWarning
from rerank_plugins.scheduling.scheduler import Run
from rerank_plugins.text.language import LanguageCheck
from rerank_plugins.text.pairs import Encoder, Pair


@dataclass(frozen=True, slots=True)
class Probe:
    """A query, and three documents that no reranker should put in another order than this one.

    Attributes:
        language: Its language, as an ISO 639-1 code.
        query: The query.
        answer: A text that answers it.
        related: A text on its subject that does not.
        unrelated: A text on another subject.
    """

    language: str
    query: str
    answer: str
    related: str
    unrelated: str

    @property
    def documents(self) -> tuple[str, str, str]:
        """The three documents, best first."""
        return self.answer, self.related, self.unrelated


PROBES = (
    Probe(
        "en",
        "How do plants make sugar from sunlight?",
        "In photosynthesis, plants use sunlight to turn water and carbon dioxide into sugar and oxygen.",
        "Many plants grow best in a sunny place and need water every few days.",
        "The national football team lost the final on penalties last night.",
    ),
    Probe(
        "zh",
        "植物如何利用阳光制造糖分？",
        "植物通过光合作用，利用阳光把水和二氧化碳转化为糖和氧气。",
        "许多植物喜欢阳光充足的地方，每隔几天需要浇一次水。",
        "国家足球队昨晚在点球大战中输掉了决赛。",
    ),
)


@dataclass(frozen=True, slots=True)
class ProbeScores:
    """What a model says of a probe.

    Attributes:
        probe: The probe.
        raw: The raw scores of its documents: answer, related, unrelated.
    """

    probe: Probe
    raw: tuple[float, float, float]

    @property
    def plausible(self) -> bool:
        """Whether the answer is above the unrelated text.

        This much every reranker does that reads its texts at all. Where the related one stands is a matter of taste,
        and equal scores mean that a prompt drops the document.
        """
        answer, _, unrelated = self.raw
        return answer > unrelated


def readable_probes(languages: LanguageCheck) -> list[Probe]:
    """Choose the probes in languages that a model can read."""
    return [each for each in PROBES if not any(map(languages.unreadable, (each.query, *each.documents)))]


def score_probes(
    probes: Sequence[Probe], encoder: Encoder, run: Run, *, instruction: str | None = None
) -> list[ProbeScores]:
    """Score probes, all of them at once.

    Args:
        probes: The probes.
        encoder: Turns their pairs into token ids.
        run: Scores a batch.
        instruction: For a prompt that needs one; None: its own.
    """
    pairs = [Pair(probe.query, document, instruction) for probe in probes for document in probe.documents]
    scores = [float(run([pair])[0]) for pair in encoder.encode(pairs).pairs]
    return [
        ProbeScores(probe, (scores[3 * place], scores[3 * place + 1], scores[3 * place + 2]))
        for place, probe in enumerate(probes)
    ]


def warn_of_order(name: str, scores: Sequence[ProbeScores]) -> None:
    """Warn of a model that puts an unrelated text above an answer, or beside it."""
    for each in scores:
        if not each.plausible:
            answer, _, unrelated = each.raw
            warnings.warn(
                f"'{name}' scores an unrelated text with {unrelated:.4g} and an answer with {answer:.4g}, for the "
                f"query {each.probe.query!r}. Was it converted wrongly, or is its prompt or head that of another "
                f"model? See `rerank-plugins inspect {name} --pairs`, with the same options.",
                ImplausibleScoresWarning,
                stacklevel=2,
            )
            return
