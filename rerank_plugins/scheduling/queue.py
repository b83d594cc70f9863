"""Who is served next, and with which batch: fair queueing over the pairs of all callers. No threads in here."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from rerank_plugins.errors import OverloadedError
from rerank_plugins.scheduling.request import Request
from rerank_plugins.text.pairs import EncodedPair

# A pair in a batch: its request, and its place among the request's pairs.
Slot = tuple[Request, int]
Batch = list[Slot]


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """What a backend wants of its batches.

    Attributes:
        workers: How many batches it scores at once.
        pairs_per_batch: Pairs that a batch may hold; None: no limit beside the callers' token budgets.
        pads: Whether pairs are padded to the longest of a batch, so that pairs of similar length belong together.
        pass_tokens: Tokens of padding that cost less than one more forward pass; above 0 the workers share one device,
            and what waits is not divided among them.
    """

    workers: int
    pairs_per_batch: int | None
    pads: bool
    pass_tokens: int


class FairQueue:
    """The waiting pairs of all callers.

    The caller that was served the fewest tokens comes next, so 1,000 documents do not hold up 5. A caller that arrives
    later starts at the virtual time that the others have reached on average: it neither gets every turn to catch up,
    nor do many newcomers keep somebody waiting for ever (fair queueing: Demers, Keshav and Shenker, SIGCOMM 1989).
    A batch starts with that caller's longest pair and is filled with pairs of similar length, its own first; of any
    length where nothing is padded.

    Args:
        limits: What the backend wants of its batches.
    """

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        self._requests: list[Request] = []
        # Tokens that a caller would have been served that had been here from the start.
        self._virtual_time = 0.0
        # Tokens of a batch that the device's memory is known to hold; None until it ran out.
        self._memory_budget: int | None = None

    def __bool__(self) -> bool:
        return any(request.waiting for request in self._requests)

    @property
    def waiting(self) -> int:
        """Pairs of all callers that no batch has taken, those to come included."""
        return sum(request.waiting + request.coming for request in self._requests)

    @property
    def is_complete(self) -> bool:
        """Whether no request waits for more of its pairs."""
        return not any(request.coming for request in self._requests)

    def add(self, request: Request, *, max_queue: int) -> None:
        """Queue a request.

        Args:
            request: The request; it has one pair or more. Those to come count, too.
            max_queue: Pairs that may wait, these included. A request is always accepted when nobody waits.

        Raises:
            OverloadedError: If the queue is full.
        """
        waiting, more = self.waiting, len(request.pairs) + request.coming
        if waiting and waiting + more > max_queue:
            raise OverloadedError(
                f"The queue is full: {waiting} pairs are waiting, and {more} more would exceed max_queue={max_queue}. "
                "Try again later, or raise max_queue."
            )
        request.submitted_at = time.perf_counter()
        request.turn.virtual_start = self._virtual_time
        self._requests.append(request)

    def extend(self, request: Request, pairs: Sequence[EncodedPair], *, coming: int) -> None:
        """Add pairs to a queued request, of which `coming` more will follow; it keeps its turn."""
        if not request.waiting:
            request.turn.resume(self._virtual_time)
        request.extend(pairs, coming=coming)

    def remove(self, request: Request) -> None:
        """Drop what waits of a request."""
        request.drop()
        if request in self._requests:
            self._requests.remove(request)

    def remove_all(self) -> list[Request]:
        """Drop everything that waits, and return whose it was."""
        dropped = self._requests
        for request in dropped:
            request.drop()
        self._requests = []
        return dropped

    def remember_memory(self, tokens: int) -> None:
        """Keep batches at `tokens` or below from now on, because the device's memory could not hold more."""
        self._memory_budget = min(tokens, self._memory_budget or tokens)

    def take_batch(self, *, idle: int) -> Batch:
        """Take the next batch.

        Args:
            idle: Workers without a batch, the one that asks included: none takes more than its share of what waits,
                so that all of them finish together, unless they share one device.
        """
        ready = [request for request in self._requests if request.waiting]
        by_priority = sorted(ready, key=lambda request: request.turn.priority)
        most = sum(request.waiting for request in ready)
        if not self._limits.pass_tokens:
            most = max(1, -(-most // idle))
        if self._limits.pairs_per_batch is not None:
            most = min(most, self._limits.pairs_per_batch)
        budget = self._budget(by_priority[0])
        sharing = [each for each in by_priority if each is by_priority[0] or self._budget(each) >= budget]
        batch = self._padded(sharing, budget, most) if self._limits.pads else self._packed(sharing, budget, most)
        self._virtual_time += sum(request.length(place) for request, place in batch) / len(by_priority)
        self._requests = [request for request in self._requests if request.waiting or request.coming]
        return batch

    def _padded(self, requests: Sequence[Request], budget: int, most: int) -> Batch:
        """Take up to `most` pairs of similar length, whose number times the longest keeps to the budget."""
        width = requests[0].longest
        room, spare = max(1, min(budget // width, most)), self._limits.pass_tokens
        batch: Batch = []
        for request in requests:
            if len(batch) == room:
                break
            taken = request.take(width, room - len(batch), spare=spare)
            spare -= sum(width - request.length(place) for place in taken)
            batch.extend((request, place) for place in taken)
        return batch

    def _packed(self, requests: Sequence[Request], budget: int, most: int) -> Batch:
        """Take up to `most` pairs, whose tokens together keep to the budget; the first of them may exceed it alone."""
        left = max(budget, requests[0].longest)
        batch: Batch = []
        for request in requests:
            taken = request.take_packed(left, most - len(batch))
            left -= sum(request.length(place) for place in taken)
            batch.extend((request, place) for place in taken)
        return batch

    def _budget(self, request: Request) -> int:
        own = request.max_batch_tokens
        return own if self._memory_budget is None else min(own, self._memory_budget)
