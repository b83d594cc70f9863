"""From scores to results: the activation, the order, the report."""
