"""Measure rankings before and after reranking, over judged queries."""
