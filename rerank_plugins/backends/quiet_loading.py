"""Load with transformers one model at a time, and without its bars and tables on stderr."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rerank_plugins.extras import extra

with extra("torch", provides="transformers"):
    from transformers.utils import logging

_loading = threading.Lock()


@contextmanager
def alone_and_quiet() -> Iterator[None]:
    """Keep other loads and transformers' output away while a model loads.

    `from_pretrained` changes the default dtype and the initialisers of the whole process while it runs: two at once
    would leave each other's behind.
    """
    with _loading:
        bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        try:
            yield
        finally:
            logging.set_verbosity(verbosity)
            if bars:
                logging.enable_progress_bar()  # type: ignore[no-untyped-call]
