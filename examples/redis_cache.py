"""A Redis cache: pairs that one process has scored are not scored again by others, on any machine.

Run it twice with: python examples/redis_cache.py [redis://localhost:6379/0]
"""

import sys

from first_stage import search
from redis import Redis, RedisError

from rerank_plugins import Reranker
from rerank_plugins.caching.redis import RedisCache

QUESTIONS = [
    "who got the first nobel prize in physics",
    "who got the first nobel prize in physics",
    "who was awarded the nobel prize in physics first",
]


def main(url: str = "redis://localhost:6379/0") -> None:
    """Ask one question twice, then rephrase it, which misses the cache."""
    try:  # A Reranker works without Redis too, uncached; this example would show nothing.
        Redis.from_url(url).ping()
    except RedisError:
        sys.exit(f"This example needs Redis, but nothing answers at {url}. Start it with: redis-server")
    # Reranker(cache=url) is enough; use RedisCache for its options. Keys are digests of the model and both texts.
    reranker = Reranker(cache=RedisCache(url, ttl=3600, timeout=1.0))
    for question in QUESTIONS:
        report = reranker.rank(question, [passage.full_text for _, passage in search(question, 50)], top_n=5).report
        print(f"{report.scored:2} scored, {report.cached:2} from Redis, {report.seconds * 1000:6.1f} ms: {question}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
