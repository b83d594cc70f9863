"""How much the embedded model's scores may differ between processors, for tests that compare numbers.

Its int8 kernels for VNNI and for AVX2 round differently: `python benchmarks/processors.py` measures it.
"""

# The largest difference of a logit that was measured.
MEASURED = 0.07


def difference(value: float) -> float:
    """The tolerance for a score, or for a logit (a number outside of 0 to 1): twice the measured difference."""
    return 2 * MEASURED * (value * (1 - value) if 0 <= value <= 1 else 1)


def rounded(value: float, digits: int) -> float:
    """Round a number for a document; fail if it could round differently on another processor."""
    to_the_edge = abs(value * 10**digits % 1 - 0.5) / 10**digits
    assert to_the_edge > difference(value), f"{value} may round to another number elsewhere: show fewer digits of it"
    return round(value, digits)


def agrees(value: object, shown: object) -> bool:
    """Whether an output equals what a document shows, with numbers rounded to two decimals."""
    if isinstance(value, dict) and isinstance(shown, dict):
        return value.keys() == shown.keys() and all(agrees(value[key], shown[key]) for key in value)
    if isinstance(value, list) and isinstance(shown, list):
        return len(value) == len(shown) and all(map(agrees, value, shown))
    if isinstance(value, float) and isinstance(shown, float):
        return abs(value - shown) < 0.005 + difference(value)
    return value == shown
