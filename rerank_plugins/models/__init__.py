"""From the name of a model to a loaded model."""
