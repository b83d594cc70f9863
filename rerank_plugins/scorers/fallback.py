"""Let another scorer answer what the first one cannot."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from rerank_plugins.errors import OutOfMemoryError, RerankError
from rerank_plugins.forks import ForkSafeLock
from rerank_plugins.scorers.base import Scorer, check_takes_instruction
from rerank_plugins.scores import QueryDocuments, Scored


class FallbackScorer:
    """A `Scorer` that asks a second one where the first one fails, and says so in what it returns.

    Args:
        scorer: The first one.
        make_fallback: Makes the second one, when it is first needed.
        on: The errors after which the second one is asked; others go to the caller.

    Attributes:
        name: The first scorer's name.
        scale: The first scorer's scale.
        fingerprint: None: the two may score differently.
        takes_instruction: Whether the first scorer takes one; the second one is asked with it only if it takes one too.
    """

    fingerprint = None

    def __init__(
        self,
        scorer: Scorer,
        make_fallback: Callable[[], Scorer],
        *,
        on: tuple[type[RerankError], ...] = (OutOfMemoryError,),
    ) -> None:
        self.name, self.scale, self.takes_instruction = scorer.name, scorer.scale, scorer.takes_instruction
        self._scorer, self._make_fallback, self._on = scorer, make_fallback, on
        self._fallback: Scorer | None = None
        self._making = ForkSafeLock()

    def score(self, lists: Sequence[QueryDocuments], *, deadline: float | None = None) -> list[Scored]:
        """See `Scorer.score`."""
        try:
            return self._scorer.score(lists, deadline=deadline)
        except self._on as error:
            reason = str(error)
        # Outside of the except: inside, the error's traceback would keep alive what ran out of memory.
        return _marked(self._other(lists).score(lists, deadline=deadline), reason)

    async def ascore(self, lists: Sequence[QueryDocuments], *, deadline: float | None = None) -> list[Scored]:
        """See `Scorer.ascore`."""
        try:
            return await self._scorer.ascore(lists, deadline=deadline)
        except self._on as error:
            reason = str(error)
        other = await asyncio.to_thread(self._other, lists)
        return _marked(await other.ascore(lists, deadline=deadline), reason)

    def close(self) -> None:
        """Close both."""
        self._scorer.close()
        if self._fallback is not None:
            self._fallback.close()

    def _other(self, lists: Sequence[QueryDocuments]) -> Scorer:
        """Return the second scorer, if it takes what the lists ask for."""
        with self._making:
            if self._fallback is None:
                self._fallback = self._make_fallback()
        for each in lists:
            check_takes_instruction(self._fallback, each.instruction)
        return self._fallback


def _marked(lists: list[Scored], reason: str) -> list[Scored]:
    return [replace(each, fallback=reason) for each in lists]
