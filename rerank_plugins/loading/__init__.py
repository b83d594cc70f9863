"""From a model's name to its files on disk, and to what its config declares."""
