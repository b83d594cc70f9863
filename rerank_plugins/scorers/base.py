"""What turns queries and documents into scores: the local engine, a server, or a wrapper around another scorer."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from rerank_plugins.scores import QueryDocuments, Scored, ScoreScale


@runtime_checkable
class Scorer(Protocol):
    """What turns queries and documents into scores, from any number of threads and event loops.

    Attributes:
        name: What reports call it: a model's name.
        scale: What its raw scores are.
        fingerprint: Changes whenever its scores may change; None where nobody can tell, so that nothing is cached.

    Examples:
        >>> class ByLength:
        ...     name, scale, fingerprint = "by-length", ScoreScale.PROVIDER, "1"
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

    def score(self, lists: Sequence[QueryDocuments], *, deadline: float | None = None) -> list[Scored]:
        """Score the documents of several queries.

        Args:
            lists: One list a query; queries are not blank, and texts are valid Unicode.
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
