"""Wait for a state of another thread or process by polling."""

import time
from collections.abc import Callable

# Long enough for any machine: it only keeps a test that hangs from hanging for ever.
SECONDS = 60.0


def until(condition: Callable[[], object]) -> None:
    """Return as soon as the condition holds."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)
