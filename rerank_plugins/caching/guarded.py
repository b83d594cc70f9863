"""Ask a cache, whatever it does: scoring continues without a cache that fails, and never with half an answer."""

import logging
from collections.abc import Mapping, Sequence

from rerank_plugins.caching.base import ScoreCache
from rerank_plugins.scores import DocumentScore

logger = logging.getLogger(__name__)


def look_up(cache: ScoreCache, keys: Sequence[bytes]) -> list[DocumentScore | None]:
    """Look scores up as `ScoreCache.get_many` does, if it does.

    Returns:
        One score a key, or None for a miss: all are misses where it raised or returned anything else.
    """
    try:
        found = list(cache.get_many(keys))
    except Exception as error:  # noqa: BLE001 - a cache of a user's own may raise anything
        _warn(cache, type(error).__name__)
        return [None] * len(keys)
    if len(found) != len(keys):
        _warn(cache, f"{len(found)} values for {len(keys)} keys")
        return [None] * len(keys)
    return [each if isinstance(each, DocumentScore) else None for each in found]


def keep(cache: ScoreCache, scores: Mapping[bytes, DocumentScore]) -> None:
    """Keep scores as `ScoreCache.set_many` does, if it does."""
    try:
        cache.set_many(scores)
    except Exception as error:  # noqa: BLE001 - as above
        _warn(cache, type(error).__name__)


def _warn(cache: ScoreCache, reason: str) -> None:
    logger.warning("The cache %s failed (%s); scoring continues without it.", type(cache).__name__, reason)
