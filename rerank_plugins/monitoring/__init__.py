"""Monitor reranking: observers of every call's report, and advice from recent reports.

Examples:
    >>> window = RollingWindow()
    >>> with observe(window):
    ...     results = reranker.rank("who wrote hamlet", ["Bread is baked.", "Shakespeare wrote Hamlet."])
    >>> window.summary()["calls"]
    1
"""

from rerank_plugins.monitoring.base import Observer, notify, observe
from rerank_plugins.monitoring.log import LogObserver
from rerank_plugins.monitoring.window import Advice, RollingWindow

__all__ = ["Advice", "LogObserver", "Observer", "RollingWindow", "notify", "observe"]
