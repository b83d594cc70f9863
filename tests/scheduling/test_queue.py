"""Who is served next and with which batch: `FairQueue` alone, without threads."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerank_plugins.errors import OverloadedError
from rerank_plugins.scheduling.queue import Batch, BatchLimits, FairQueue
from rerank_plugins.scheduling.request import Request
from rerank_plugins.text.pairs import EncodedPair

MANY = 10**6


def queue(
    *, workers: int = 1, pairs_per_batch: int | None = None, pads: bool = True, pass_tokens: int = 0
) -> FairQueue:
    limits = BatchLimits(workers=workers, pairs_per_batch=pairs_per_batch, pads=pads, pass_tokens=pass_tokens)
    return FairQueue(limits)


def request(*lengths: int, budget: int = 100) -> Request:
    pairs = [EncodedPair((place,), (), length, False, False) for place, length in enumerate(lengths)]
    return Request(pairs, max_batch_tokens=budget)


def add(to: FairQueue, *lengths: int, budget: int = 100, max_queue: int = MANY) -> Request:
    made = request(*lengths, budget=budget)
    to.add(made, max_queue=max_queue)
    return made


def lengths(batch: Batch) -> list[int]:
    return [owner.length(place) for owner, place in batch]


def owners(batches: Sequence[Batch], *requests: Request) -> list[str]:
    """Name the requests with pairs in each batch: "a" for the first one, "ab" for the first two."""
    return ["".join(chr(97 + place) for place, each in enumerate(requests) if each in dict(batch)) for batch in batches]


def take_all(waiting: FairQueue) -> list[Batch]:
    batches = []
    while waiting:
        batches.append(waiting.take_batch(idle=1))
    return batches


def test_an_empty_queue_is_false() -> None:
    waiting = queue()
    assert not waiting
    add(waiting, 1, 2)
    assert waiting
    assert waiting.waiting == 2
    take_all(waiting)
    assert (bool(waiting), waiting.waiting) == (False, 0)


@given(
    callers=st.lists(st.lists(st.integers(1, 60), min_size=1, max_size=30), min_size=1, max_size=6),
    budget=st.integers(1, 300),
    idle=st.integers(1, 3),
    most=st.none() | st.integers(1, 5),
    pass_tokens=st.integers(0, 100),
)
def test_every_pair_is_taken_once_within_the_limits(
    callers: list[list[int]], budget: int, idle: int, most: int | None, pass_tokens: int
) -> None:
    waiting = queue(workers=idle, pairs_per_batch=most, pass_tokens=pass_tokens)
    requests = [add(waiting, *each, budget=budget) for each in callers]
    taken: list[tuple[int, int]] = []
    while waiting:
        before = waiting.waiting
        batch = waiting.take_batch(idle=idle)
        assert 1 <= len(batch) <= (before if pass_tokens else max(1, -(-before // idle)))
        assert len(batch) == 1 or len(batch) * max(lengths(batch)) <= budget
        assert most is None or len(batch) <= most
        longest = max(lengths(batch))
        assert sum(longest - each for each in lengths(batch) if each < int(longest * 0.95)) <= pass_tokens
        for owner, place in batch:
            assert owner.answer.padding[place] == longest - owner.length(place)
            taken.append((requests.index(owner), place))
    assert sorted(taken) == [(caller, place) for caller, own in enumerate(callers) for place in range(len(own))]


def test_the_longest_pairs_come_first_with_those_of_like_length() -> None:
    waiting = queue()
    add(waiting, 1, 20, 19, 50, 20)
    assert [lengths(batch) for batch in take_all(waiting)] == [[50], [20, 20, 19], [1]]


def test_a_pair_longer_than_the_budget_goes_alone() -> None:
    waiting = queue()
    add(waiting, 500, 500)
    assert [lengths(batch) for batch in take_all(waiting)] == [[500], [500]]


def test_callers_share_a_batch() -> None:
    waiting = queue()
    requests = [add(waiting, 10) for _ in range(5)]
    assert owners(take_all(waiting), *requests) == ["abcde"]


def test_the_budget_of_a_batch_is_no_larger_than_that_of_anyone_in_it() -> None:
    waiting = queue()
    large, small = add(waiting, *[10] * 4, budget=100), add(waiting, *[10] * 4, budget=20)
    assert owners(take_all(waiting), large, small) == ["a", "b", "b"]
    small, large = add(waiting, 10, budget=20), add(waiting, *[10] * 4, budget=100)
    assert [lengths(batch) for batch in take_all(waiting)] == [[10, 10], [10, 10, 10]]


def test_padding_that_is_cheaper_than_a_pass_is_taken() -> None:
    waiting = queue(pass_tokens=20)
    add(waiting, 20, 12, 8, 1)
    add(waiting, 5)
    assert [lengths(batch) for batch in take_all(waiting)] == [[20, 12, 8], [5, 1]]


def test_nobody_takes_more_than_the_share_of_a_worker() -> None:
    waiting = queue(workers=2)
    add(waiting, *[10] * 8)
    assert [len(waiting.take_batch(idle=2)), len(waiting.take_batch(idle=1))] == [4, 4]


def test_pairs_of_a_batch_are_limited_where_a_backend_asks_for_it() -> None:
    waiting = queue(pairs_per_batch=3)
    add(waiting, *[10] * 8)
    assert [len(batch) for batch in take_all(waiting)] == [3, 3, 2]


def test_a_long_list_does_not_hold_up_a_short_one() -> None:
    waiting = queue()
    long, short = add(waiting, *[50] * 1000), add(waiting, *[20] * 5)
    assert owners(take_all(waiting)[:2], long, short) == ["a", "b"]


def test_one_who_comes_late_does_not_get_all_turns_to_catch_up() -> None:
    waiting = queue()
    first = add(waiting, *[100] * 40)
    for _ in range(20):
        waiting.take_batch(idle=1)
    late = add(waiting, *[100] * 40)
    turns = owners([waiting.take_batch(idle=1) for _ in range(20)], first, late)
    assert (turns.count("a"), turns.count("b")) == (10, 10)


def test_others_who_keep_coming_keep_nobody_waiting() -> None:
    waiting = queue()
    first = [add(waiting, *[50] * 3) for _ in range(4)]
    turns = 0
    while any(each.waiting for each in first):
        add(waiting, 50, 50)
        waiting.take_batch(idle=1)
        turns += 1
    assert turns < 25


def test_a_full_queue_refuses_and_takes_again_later() -> None:
    waiting = queue()
    add(waiting, *[10] * 8, max_queue=10)
    with pytest.raises(OverloadedError, match="8 pairs are waiting, and 3 more would exceed max_queue=10"):
        add(waiting, *[10] * 3, max_queue=10)
    add(waiting, 10, 10, max_queue=10)
    assert waiting.waiting == 10
    take_all(waiting)
    add(waiting, *[10] * 8, max_queue=10)


def test_a_list_longer_than_the_queue_is_taken_when_nobody_waits() -> None:
    waiting = queue()
    add(waiting, *[10] * 50, max_queue=10)
    assert waiting.waiting == 50


def test_what_is_removed_makes_room() -> None:
    waiting = queue()
    dropped, other = add(waiting, *[10] * 100), add(waiting, 7)
    waiting.remove(dropped)
    assert (dropped.waiting, waiting.waiting) == (0, 1)
    waiting.remove(dropped)  # as a caller does that gives up late
    assert owners(take_all(waiting), dropped, other) == ["b"]


def test_all_is_dropped_and_named() -> None:
    waiting = queue()
    requests = [add(waiting, *[100] * 3), add(waiting, 1)]
    waiting.take_batch(idle=1)
    assert waiting.remove_all() == requests
    assert (bool(waiting), [each.waiting for each in requests]) == (False, [0, 0])
    assert waiting.remove_all() == []


def test_memory_that_ran_out_is_remembered_for_everyone() -> None:
    waiting = queue()
    waiting.remember_memory(40)
    add(waiting, *[10] * 10)
    assert [len(batch) for batch in take_all(waiting)] == [4, 4, 2]
    waiting.remember_memory(60)  # what failed at 80 says nothing against what failed at 40
    add(waiting, *[10] * 4, budget=20)
    assert [len(batch) for batch in take_all(waiting)] == [2, 2]
    waiting.remember_memory(20)
    add(waiting, *[10] * 4)
    assert [len(batch) for batch in take_all(waiting)] == [2, 2]


def test_the_time_of_waiting_ends_with_the_first_pair() -> None:
    waiting = queue()
    made = add(waiting, 100, 100)
    assert made.started_at is None
    waiting.take_batch(idle=1)
    started = made.started_at
    assert started is not None
    waiting.take_batch(idle=1)
    assert made.started_at == started


@given(
    callers=st.lists(st.lists(st.integers(1, 60), min_size=1, max_size=30), min_size=1, max_size=6),
    budget=st.integers(1, 300),
    idle=st.integers(1, 3),
    most=st.none() | st.integers(1, 5),
)
def test_without_padding_every_pair_is_taken_once_within_the_limits(
    callers: list[list[int]], budget: int, idle: int, most: int | None
) -> None:
    waiting = queue(workers=idle, pairs_per_batch=most, pads=False)
    requests = [add(waiting, *each, budget=budget) for each in callers]
    taken: list[tuple[int, int]] = []
    while waiting:
        before = waiting.waiting
        batch = waiting.take_batch(idle=idle)
        assert 1 <= len(batch) <= max(1, -(-before // idle))
        assert len(batch) == 1 or sum(lengths(batch)) <= budget
        assert most is None or len(batch) <= most
        taken += [(requests.index(owner), place) for owner, place in batch]
    assert sorted(taken) == [(caller, place) for caller, each in enumerate(callers) for place in range(len(each))]
    assert all(not each.answer.padding.any() for each in requests)


def test_without_padding_pairs_of_all_lengths_share_a_batch() -> None:
    waiting = queue(pads=False)
    first, second = add(waiting, 50, 3, 20), add(waiting, 60, 10, 25)
    batches = take_all(waiting)
    assert [lengths(batch) for batch in batches] == [[50, 20, 3, 25], [60, 10]]
    assert owners(batches, first, second) == ["ab", "b"]


def test_a_pair_longer_than_the_budget_is_a_batch_of_its_own() -> None:
    waiting = queue(pads=False)
    add(waiting, 150, 30, 40)
    assert [lengths(batch) for batch in take_all(waiting)] == [[150], [40, 30]]


def more(of: Request, *lengths: int) -> list[EncodedPair]:
    return [EncodedPair((len(of.pairs) + place,), (), each, False, False) for place, each in enumerate(lengths)]


def growing(to: FairQueue, *lengths: int, coming: int, max_queue: int = MANY) -> Request:
    made = Request(max_batch_tokens=100)
    made.extend(request(*lengths).pairs, coming=coming)
    to.add(made, max_queue=max_queue)
    return made


def test_a_request_is_complete_when_nothing_more_comes() -> None:
    waiting = queue(pads=False)
    first = growing(waiting, 30, 10, coming=2)
    assert (waiting.waiting, waiting.is_complete) == (4, False)
    assert lengths(waiting.take_batch(idle=1)) == [30, 10]
    assert (bool(waiting), waiting.waiting, waiting.is_complete) == (False, 2, False)
    waiting.extend(first, more(first, 20, 40), coming=0)
    assert (bool(waiting), waiting.waiting, waiting.is_complete) == (True, 2, True)
    assert waiting.take_batch(idle=1) == [(first, 3), (first, 2)]
    assert (bool(waiting), waiting.waiting) == (False, 0)


def test_pairs_to_come_share_batches_with_those_that_wait() -> None:
    waiting = queue(pads=False)
    first = growing(waiting, 30, 10, coming=2)
    waiting.extend(first, more(first, 20, 40), coming=0)
    assert lengths(waiting.take_batch(idle=1)) == [40, 30, 20, 10]


def test_the_whole_list_counts_for_a_full_queue_once() -> None:
    waiting = queue()
    add(waiting, 1, 2)
    with pytest.raises(OverloadedError, match="2 pairs are waiting, and 9 more would exceed max_queue=10"):
        growing(waiting, 1, 1, 1, coming=6, max_queue=10)
    taken = growing(waiting, 1, 1, 1, coming=5, max_queue=10)
    with pytest.raises(OverloadedError, match="10 pairs are waiting, and 1 more"):
        add(waiting, 1, max_queue=10)
    waiting.extend(taken, more(taken, *[1] * 7), coming=0)  # windows of a long document
    assert waiting.waiting == 12


def test_a_growing_list_keeps_its_turn_and_saves_nothing_up() -> None:
    waiting = queue(pads=False)
    first = growing(waiting, *[10] * 10, coming=20)
    other = add(waiting, *[10] * 60)
    order = owners([waiting.take_batch(idle=1) for _ in range(4)], first, other)
    assert sorted(order[:2]) == ["a", "b"]
    assert order[2:] == ["b", "b"], "the first has nothing to give"
    waiting.extend(first, more(first, *[10] * 20), coming=0)
    order = owners(take_all(waiting), first, other)
    assert order[:3] in (["a", "b", "a"], ["b", "a", "b"]), "by turns, though the other was served more meanwhile"


def test_a_growing_request_that_is_removed_takes_nothing_along() -> None:
    waiting = queue()
    first = growing(waiting, 1, 2, coming=3)
    waiting.remove(first)
    assert first.dropped
    assert (bool(waiting), waiting.waiting, waiting.is_complete) == (False, 0, True)
