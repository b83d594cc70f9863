"""Keep the scores of any scorer from one call to the next."""

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rerank_plugins.caching.base import KeyMaker, ScoreCache
from rerank_plugins.caching.guarded import keep, look_up
from rerank_plugins.errors import InvalidValueError
from rerank_plugins.scorers.answers import check_scored
from rerank_plugins.scorers.base import Scorer
from rerank_plugins.scores import DocumentScore, QueryDocuments, Scored


class CachedScorer:
    """A `Scorer` that asks another one only for what its cache does not know.

    Args:
        scorer: The other one.
        cache: Where scores are kept.

    Attributes:
        name: The other scorer's name.
        scale: The other scorer's scale.
        fingerprint: The other scorer's fingerprint.
        takes_instruction: Whether the other scorer takes one.

    Raises:
        InvalidValueError: If the scorer has no fingerprint, so that nobody could tell when its scores change.
    """

    def __init__(self, scorer: Scorer, cache: ScoreCache) -> None:
        if scorer.fingerprint is None:
            raise InvalidValueError(
                f"The scores of '{scorer.name}' cannot be cached: it has no fingerprint that tells when they change. "
                "Leave cache= out."
            )
        self.name, self.scale, self.fingerprint = scorer.name, scorer.scale, scorer.fingerprint
        self.takes_instruction = scorer.takes_instruction
        self._scorer, self._cache = scorer, cache
        self._keys = KeyMaker(scorer.fingerprint)

    def score(self, lists: Sequence[QueryDocuments], *, deadline: float | None = None) -> list[Scored]:
        """See `Scorer.score`.

        Raises:
            ScoringError: If the other scorer's answer has no usable score for a document; nothing of it is kept.
        """
        lookup = self._look_up(lists)
        scored = self._scorer.score(lookup.missing, deadline=deadline)
        return self._merge(lookup, scored)

    async def ascore(self, lists: Sequence[QueryDocuments], *, deadline: float | None = None) -> list[Scored]:
        """See `Scorer.ascore`."""
        lookup = await asyncio.to_thread(self._look_up, lists)
        scored = await self._scorer.ascore(lookup.missing, deadline=deadline)
        return await asyncio.to_thread(self._merge, lookup, scored)

    def close(self) -> None:
        """Close the other scorer."""
        self._scorer.close()

    def _look_up(self, lists: Sequence[QueryDocuments]) -> "_Lookup":
        start = time.perf_counter()
        keys = [
            [self._keys.key(each.query, document, each.instruction) for document in each.documents] for each in lists
        ]
        unique = list(dict.fromkeys(key for own in keys for key in own))
        found = dict(zip(unique, look_up(self._cache, unique), strict=True))
        known = {key: score for key, score in found.items() if score is not None and math.isfinite(score.raw)}
        missing = [
            replace(each, documents=[text for text, key in zip(each.documents, own, strict=True) if key not in known])
            for each, own in zip(lists, keys, strict=True)
        ]
        return _Lookup(keys, known, missing, time.perf_counter() - start)

    def _merge(self, lookup: "_Lookup", scored: list[Scored]) -> list[Scored]:
        """Check and keep the new scores, and put them where they were missing."""
        check_scored(self.name, scored, lookup.missing)
        new: dict[bytes, DocumentScore] = {}
        for own, each in zip(lookup.keys, scored, strict=True):
            missing = (key for key in own if key not in lookup.known)
            new.update(zip(missing, each.scores, strict=True))
        keep(self._cache, new)
        scores = lookup.known | new
        uncounted = set(lookup.known)
        merged = []
        for own, each in zip(lookup.keys, scored, strict=True):
            cached = uncounted.intersection(own)
            uncounted -= cached
            merged.append(
                replace(
                    each,
                    scores=[scores[key] for key in own],
                    usage=replace(each.usage, cached=each.usage.cached + len(cached)),
                    timing=replace(each.timing, tokenize=each.timing.tokenize + lookup.seconds),
                )
            )
        return merged


@dataclass(frozen=True, slots=True)
class _Lookup:
    """What the cache knows of a call.

    Attributes:
        keys: The name of each pair, list by list.
        known: The scores that it knows.
        missing: The same lists, with only the documents that it does not know.
        seconds: How long it took.
    """

    keys: list[list[bytes]]
    known: dict[bytes, DocumentScore]
    missing: list[QueryDocuments]
    seconds: float
