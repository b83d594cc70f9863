"""Tests for your own scorers and backends: subclass a contract in a test module, and pytest runs it. Needs pytest."""

import pytest

pytest.register_assert_rewrite("rerank_plugins.contracts.backend", "rerank_plugins.contracts.scorer")

from rerank_plugins.contracts.backend import BackendContract  # noqa: E402 - pytest rewrites what is imported afterwards
from rerank_plugins.contracts.scorer import ScorerContract  # noqa: E402

__all__ = ["BackendContract", "ScorerContract"]
