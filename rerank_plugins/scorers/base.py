"""What turns queries and documents into scores: the local engine, a server, or a wrapper around another scorer."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from rerank_plugins.errors import InvalidValueError
from rerank_plugins.scores import QueryDocuments, Scored, ScoreScale


@runtime_checkable
class Scorer(Protocol):
    """What turns queries and documents into scores, from any number of threads and event loops.

    Attributes:
        name: What reports call it: a model's name.
        scale: What its raw scores are.
        fingerprint: Changes whenever its scores may change; None where nobody can tell, so that nothing is cached.
        takes_instruction: Whether an instruction has a place in what it reads. Where it has none, one is refused.

    Examples:
        >>> class ByLength:
        ...     name, scale, fingerprint = "by-length", ScoreScale.PROVIDER, "1"
        ...     takes_instruction = False
        ...
        ...     def score(self, lists, *, deadline=None):
        ...         return [Scored(scores=[DocumentScore(len(text)) for text in each.documents]) for each in lists]
        ...
        ...     async def ascore(self, lists, *, deadline=None):
        ...         return self.score(lists)
        ...
        ...     def close(self): ...
        >>> ScorerRanker(ByLength()).rank("which is longest", ["short", "a longer one"])[0].index
        1
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - see Attributes

    @property
    def scale(self) -> ScoreScale: ...  # noqa: D102

    @property
    def fingerprint(self) -> str | None: ...  # noqa: D102

    @property
    def takes_instruction(self) -> bool: ...  # noqa: D102

    def score(self, lists: Sequence[QueryDocuments], *, deadline: float | None = None) -> list[Scored]:
        """Score the documents of several queries.

        Args:
            lists: One list a query; queries are not blank, texts are valid Unicode, and there is no instruction
                unless it takes one.
            deadline: When to give up, on `time.perf_counter`; None: never.

        Returns:
            One result a list, in their order.

        Raises:
            DeadlineExceededError: If the deadline passes.
            OverloadedError: If it cannot take more work now.
            ScoringError: If it has no usable score for a document.
        """
        ...

    async def ascore(self, lists: Sequence[QueryDocuments], *, deadline: float | None = None) -> list[Scored]:
        """Do what `score` does without blocking the event loop; a cancelled call is dropped."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


def check_takes_instruction(scorer: Scorer, instruction: str | None) -> str | None:
    """Return an instruction, if there is none or the scorer takes it: others would ignore it without a word.

    Raises:
        InvalidValueError: If there is one, and the scorer takes none. The message does not quote it.
    """
    if instruction is not None and not scorer.takes_instruction:
        raise InvalidValueError(
            f"instruction has no place in what '{scorer.name}' reads, a query and a document. Leave it out, put it "
            "into the query, or use a model whose prompt takes one."
        )
    return instruction
