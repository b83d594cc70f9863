"""From pairs of texts to one logit each: encoding, batching, running, activating."""
