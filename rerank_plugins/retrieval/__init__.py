"""First-stage retrieval for the demo, the evaluation and the examples: a bi-encoder and a FAISS index."""
