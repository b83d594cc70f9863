"""HTTP formats of reranking, one module each."""
