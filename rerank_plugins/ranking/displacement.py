"""How far an order is from the one that was received."""

from collections.abc import Sequence


def kendall_tau(order: Sequence[int]) -> float | None:
    """Compare an order with the one it was made from (Kendall, "A new measure of rank correlation", 1938).

    Args:
        order: Places in the order received, in the order given: a permutation of 0, 1, 2, ...

    Returns:
        1 for the same order, -1 for the reverse one; None for fewer than two.

    Examples:
        >>> kendall_tau([0, 2, 1])
        0.3333333333333333
    """
    size = len(order)
    if size < 2:
        return None
    exchanged, _ = _inversions(order)
    return 1.0 - 4.0 * exchanged / (size * (size - 1))


def _inversions(order: Sequence[int]) -> tuple[int, list[int]]:
    """Count the pairs in the wrong order while merging; the sorted places come along."""
    if len(order) < 2:
        return 0, list(order)
    half = len(order) // 2
    (before, left), (behind, right) = _inversions(order[:half]), _inversions(order[half:])
    merged: list[int] = []
    exchanged, place = before + behind, 0
    for value in right:
        while place < len(left) and left[place] < value:
            merged.append(left[place])
            place += 1
        exchanged += len(left) - place
        merged.append(value)
    return exchanged, merged + left[place:]
