"""A first stage to rerank: passages from a file, a bi-encoder, and a FAISS index, for demo, evaluation and examples."""
