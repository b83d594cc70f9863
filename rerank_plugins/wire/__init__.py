"""The HTTP formats of reranking, one module each, for whoever answers or asks in them."""
