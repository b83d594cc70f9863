"""Keep scores from one call to the next, in memory or in Redis."""

from rerank_plugins.caching.base import ScoreCache

__all__ = ["ScoreCache", "open_cache"]


def open_cache(cache: str | ScoreCache) -> ScoreCache:
    """Return the cache that a configuration names: `memory`, a Redis URL, or a cache itself.

    Raises:
        MissingExtraError: If what it needs is not installed.
    """
    if not isinstance(cache, str):
        return cache
    if cache == "memory":
        from rerank_plugins.caching.memory import MemoryCache

        return MemoryCache()
    from rerank_plugins.caching.redis import RedisCache

    return RedisCache(cache)
