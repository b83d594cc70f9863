"""The encoder that a model and a user's options ask for, and its name in cache keys."""

from rerank_plugins.options import MIN_MAX_LENGTH, ReadingOptions
from rerank_plugins.options.declaration import options_of
from rerank_plugins.text.pairs import Encoder, PairEncoder
from rerank_plugins.text.prompt import Prompt, PromptEncoder
from rerank_plugins.text.template import PairTemplate
from rerank_plugins.text.tokenizer import TextTokenizer

# Part of every cache key: raise it when a change of encoding can change a score.
ENCODING_VERSION = 3


def pair_encoder(
    tokenizer: TextTokenizer,
    template: PairTemplate | Prompt,
    options: ReadingOptions,
    *,
    default_max_length: int,
    max_positions: int | None,
    query_prompt: str = "",
) -> Encoder:
    """Make the encoder that a user's options ask for.

    Args:
        tokenizer: The model's tokenizer.
        template: The model's pair template, or its prompt.
        options: What the user asked for.
        default_max_length: Tokens of a pair where the user asked for nothing.
        max_positions: Positions that the model has; None: no limit.
        query_prompt: What stands before each query of a pair template.

    Raises:
        InvalidValueError: If the prompt leaves no room for texts at this length.
    """
    max_length = options.max_length or default_max_length
    max_windows = options.max_windows if options.long_documents == "windows" else None
    if isinstance(template, Prompt):
        return PromptEncoder(template, max_length=max_length, max_positions=max_positions, max_windows=max_windows)
    return PairEncoder(
        tokenizer,
        template,
        max_length=max_length,
        max_positions=max_positions,
        max_windows=max_windows,
        query_prompt=query_prompt,
    )


def trial_encoder(tokenizer: TextTokenizer, template: PairTemplate | Prompt) -> Encoder:
    """Make an encoder of short pairs, for a first try of a model."""
    if isinstance(template, Prompt):
        return PromptEncoder(template, max_length=template.tokens + MIN_MAX_LENGTH, max_positions=None)
    return PairEncoder(tokenizer, template, max_length=MIN_MAX_LENGTH, max_positions=None)


def reading_fingerprint(options: ReadingOptions, encoder: Encoder) -> str:
    """Name everything about reading that decides a raw score: all options of the group, and how pairs are encoded.

    An option that is added to the group is in every cache key from the start.

    Args:
        options: What the user asked for.
        encoder: What became of it.
    """
    names = (option.name for option in options_of(ReadingOptions))
    # The instruction is part of each pair's own key, and the activation comes after the raw score.
    elsewhere = ("instruction", "max_length", "activation")
    values = {name: getattr(options, name) for name in names if name not in elsewhere}
    return f"{ENCODING_VERSION} {encoder.max_length} {encoder.fingerprint!r} {values}"
