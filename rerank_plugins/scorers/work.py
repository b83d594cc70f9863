"""The different pairs of one call on their way to the model, and their scores' way back into the caller's lists."""

import math
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate

from rerank_plugins.errors import ScoringError
from rerank_plugins.scheduling.request import Request
from rerank_plugins.scores import DocumentScore, QueryDocuments, Scored, Timing, Usage
from rerank_plugins.text.pairs import EncodedPairs, Pair

# English text; other languages have fewer.
_CHARACTERS_A_TOKEN = 4


class Work:
    """The pairs of one call, each of them once, and the way back to the caller's lists.

    Args:
        lists: The caller's lists.
        request: Empty; what will take its pairs through the queue.

    Attributes:
        request: The same.
        pairs: The different pairs of the lists, once `read_lists` was called.
        unreadable: Texts that the model cannot read, with their languages.
        tokenize_seconds: How long it took until the first pairs were queued.
    """

    def __init__(self, lists: Sequence[QueryDocuments], request: Request) -> None:
        self.request = request
        self.pairs: list[Pair] = []
        self.unreadable: dict[str, str] = {}
        self.tokenize_seconds = 0.0
        self._lists = lists
        # For each pair of the request, the place of its own pair in `pairs`.
        self._owners: list[int] = []

    def read_lists(self) -> None:
        """Collect the different pairs."""
        self.pairs = list(dict.fromkeys(pair for each in self._lists for pair in _pairs(each)))

    def texts(self) -> list[str]:
        """List the different texts."""
        return list(dict.fromkeys(text for pair in self.pairs for text in (pair.query, pair.document)))

    def add(self, part: range, encoded: EncodedPairs) -> None:
        """Note whose what the model reads is.

        Args:
            part: The places of some pairs.
            encoded: What they were encoded to.
        """
        self._owners += [part.start + owner for owner in encoded.owners]

    def finish(self) -> list[Scored]:
        """Put the scores back into the caller's lists."""
        found = self._best(self.request.answer.scores.tolist())
        queue = self.request.queue_seconds
        forward = time.perf_counter() - self.request.submitted_at - queue
        timing = Timing(queue=queue, tokenize=self.tokenize_seconds, forward=forward)
        return [
            Scored(
                scores=[found[pair] for pair in _pairs(each)],
                usage=usage,
                timing=timing,
                unreadable=self._languages(each),
            )
            for each, usage in zip(self._lists, self._usages(), strict=True)
        ]

    def _best(self, raw_scores: list[float]) -> dict[Pair, DocumentScore]:
        """Give each pair the score of its best window; the first of equals, as a reader would."""
        _check_finite(raw_scores)
        best: dict[Pair, DocumentScore] = {}
        for owner, window, raw in zip(self._owners, self.request.pairs, raw_scores, strict=True):
            pair = self.pairs[owner]
            if pair not in best or raw > best[pair].raw:
                best[pair] = DocumentScore(raw, window.query_truncated, window.document_truncated, window.span)
        return best

    def _usages(self) -> list[Usage]:
        """Count what each list took; a pair that several lists share counts for the first of them."""
        owned: dict[Pair, list[int]] = {pair: [] for pair in self.pairs}
        for place, owner in enumerate(self._owners):
            owned[self.pairs[owner]].append(place)
        usages = []
        for each in self._lists:
            windows = [owned.pop(pair, []) for pair in _pairs(each)]
            read = [place for places in windows for place in places]
            scored = sum(1 for places in windows if places)
            usages.append(
                Usage(
                    scored=scored,
                    windows=len(read) - scored,
                    tokens=sum(self.request.length(place) for place in read),
                    padding=int(self.request.answer.padding[read].sum()) if read else 0,
                )
            )
        return usages

    def _languages(self, each: QueryDocuments) -> Counter[str]:
        if not self.unreadable:
            return Counter()
        texts = {each.query, *each.documents}
        return Counter(self.unreadable[text] for text in texts if text in self.unreadable)


def _pairs(asked: QueryDocuments) -> list[Pair]:
    return [Pair(asked.query, document, asked.instruction) for document in asked.documents]


def in_parts(pairs: Sequence[Pair], tokens: int | None) -> Iterator[range]:
    """Divide a call's pairs into parts that are tokenized one after the other, while the model reads those before.

    Each part is twice as large as the one before: tokenizing is faster than a model, and so few parts are enough.

    Args:
        pairs: The pairs.
        tokens: About how many tokens the first part has; None: all pairs are one part.

    Returns:
        The places of each part's pairs.
    """
    ends = list(accumulate(len(pair.query) + len(pair.document) for pair in pairs))
    start, size = 0, math.inf if tokens is None else tokens * _CHARACTERS_A_TOKEN
    while start < len(pairs):
        before = ends[start - 1] if start else 0
        end = max(start + 1, bisect_right(ends, before + size, lo=start))
        yield range(start, end)
        start, size = end, 2 * size


def _check_finite(raw_scores: list[float]) -> None:
    if wrong := [raw for raw in raw_scores if not math.isfinite(raw)]:
        raise ScoringError(
            f"The model answered {wrong[0]} for {len(wrong)} of {len(raw_scores)} pairs, which cannot be sorted. In "
            "half precision this is an overflow: use dtype='fp32' or 'bf16'. In fp32 the weights are damaged."
        )
