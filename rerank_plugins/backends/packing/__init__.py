"""Batches as one row without padding: prefixes that several pairs share, attention over the row, and how it is run.

`PackedRows.of(inputs, shared_prefixes=True)` lays a batch out; after `enable(model)`, `run(model, rows)` runs a
decoder on it. `network.PackedNetwork` does the same for every network that has a head.
"""

from rerank_plugins.backends.packing.rows import PackedRows
from rerank_plugins.backends.packing.running import CannotPackError, enable, hidden_states, run

__all__ = ["CannotPackError", "PackedRows", "enable", "hidden_states", "run"]
