"""Refuse a scorer's answer that cannot be ranked."""

import math
from collections.abc import Sequence

from rerank_plugins.errors import ScoringError
from rerank_plugins.scores import QueryDocuments, Scored


def check_scored(name: str, scored: Sequence[Scored], asked: Sequence[QueryDocuments]) -> None:
    """Check that a scorer gave one finite score for each document that it was asked for.

    Raises:
        ScoringError: If one is missing, one too many, NaN or infinite: there is no ranking to make of that.
    """
    if len(scored) != len(asked):
        raise ScoringError(f"'{name}' answered {len(scored)} of {len(asked)} lists. Its score() must return one each.")
    for each, own in zip(scored, asked, strict=True):
        if len(each.scores) != len(own.documents):
            raise ScoringError(
                f"'{name}' gave {len(each.scores)} scores for {len(own.documents)} documents. It must give one each."
            )
        if wrong := [score.raw for score in each.scores if not math.isfinite(score.raw)]:
            raise ScoringError(
                f"'{name}' answered {wrong[0]} for {len(wrong)} of {len(each.scores)} documents, which cannot be "
                "sorted. Its score() must raise a ScoringError if it has no usable score."
            )
