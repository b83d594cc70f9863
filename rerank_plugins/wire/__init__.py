"""The HTTP formats of reranking, one module each: for services that answer in them and clients that ask in them."""
