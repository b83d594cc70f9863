"""The queue in front of a backend: the pairs of all callers, mixed into full batches."""
