"""From texts to token ids: the tokenizer, the pair template, pairs that fit."""
