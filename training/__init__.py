"""The recipe of the embedded cross-encoder: run it with `make train`."""
