"""How a folder, or a user, says that hidden states become one score."""

from pathlib import Path

from rerank_plugins.backends.heads import ClassifierHead, Head, ModulesHead, TokenHead
from rerank_plugins.errors import InvalidValueError, UnsupportedModelError
from rerank_plugins.json_files import Fields
from rerank_plugins.models.architectures import ELSEWHERE, Architecture
from rerank_plugins.models.saved import Saved
from rerank_plugins.options import ModelOptions
from rerank_plugins.scores import ScoreScale
from rerank_plugins.text.tokenizer import load_tokenizer

_PROBLEM_TYPES = (None, "regression", "single_label_classification", "multi_label_classification")


def choose_head(
    folder: Path,
    config: Fields,
    architecture: Architecture,
    chain: TokenHead | ModulesHead | None,
    saved: Saved,
    options: ModelOptions,
) -> Head:
    """Choose the head that the modules make, else the architecture's own, else the one that the user names.

    Args:
        folder: The model's folder.
        config: Its `config.json`.
        architecture: The network.
        chain: The head that its modules make; None: they make none.
        saved: What else sentence-transformers saved.
        options: `head` and `label`.

    Raises:
        InvalidValueError: If an option contradicts what the folder declares, or has no meaning for the model.
        UnsupportedModelError: If nothing says how a score is made.
    """
    if chain is not None:
        return _of_modules(config, architecture, chain, options)
    if architecture.is_classifier:
        return _of_classifier(config, architecture, saved, options)
    if options.label is not None:
        raise InvalidValueError(
            f"label={options.label}: '{config.model}' has no classification head ({architecture.name}). Leave label "
            "out."
        )
    if architecture.is_language_model:
        return _of_language_model(folder, config, architecture, options)
    raise UnsupportedModelError(_no_head(config, architecture))


def scale_of(head: Head) -> ScoreScale:
    """Say what a head's raw scores are.

    Examples:
        >>> scale_of(TokenHead(9693, 2152))
        <ScoreScale.LOG_ODDS: 'log-odds'>
    """
    if isinstance(head, TokenHead):
        return ScoreScale.TOKEN_LOGIT if head.false_token_id is None else ScoreScale.LOG_ODDS
    return ScoreScale.LOG_ODDS if isinstance(head, ClassifierHead) and head.exclusive else ScoreScale.LOGIT


def _no_head(config: Fields, architecture: Architecture) -> str:
    if not config.texts("architectures"):
        return (
            f"The config.json of '{config.model}' names no architecture (architectures), so nothing says how the model "
            "scores. Save the model again with transformers' save_pretrained, or download it again."
        )
    return (
        f"'{config.model}' declares {architecture.name}, which has no classification head, and has no modules.json "
        f"that makes a score: is it an embedding model? {ELSEWHERE}."
    )


def _of_modules(
    config: Fields, architecture: Architecture, chain: TokenHead | ModulesHead, options: ModelOptions
) -> Head:
    for option in ("head", "label"):
        if (value := getattr(options, option)) is not None:
            raise InvalidValueError(
                f"{option}={value!r}: '{config.model}' declares how it scores itself, in its modules.json. Leave "
                f"{option} out."
            )
    if isinstance(chain, TokenHead):
        if not architecture.is_language_model:
            raise UnsupportedModelError(
                f"The modules.json of '{config.model}' names a LogitScore, which needs a language model, and its "
                f"config.json declares {architecture.name}. Download the model again."
            )
        _check_vocabulary(config, chain)
    return chain


def _check_vocabulary(config: Fields, head: TokenHead) -> None:
    size = config.integer("vocab_size", at_least=1)
    for key in ("true_token_id", "false_token_id"):
        token = getattr(head, key)
        if size is not None and token is not None and token >= size:
            raise UnsupportedModelError(
                f"The LogitScore of '{config.model}' declares {key}={token}, and the vocabulary has {size} tokens "
                "(vocab_size in its config.json). Download the model again."
            )


def _of_classifier(config: Fields, architecture: Architecture, saved: Saved, options: ModelOptions) -> Head:
    if saved.task not in (None, "sequence-classification"):
        raise UnsupportedModelError(
            f"'{config.model}' has a classification head ({architecture.name}), and its sentence_bert_config.json says "
            f"transformer_task={saved.task!r}, with which it is not used and no module makes a score. Correct the file."
        )
    if options.head is not None:
        raise InvalidValueError(
            f"head={options.head!r} is for language models, and '{config.model}' has a classification head "
            f"({architecture.name}). Leave head out."
        )
    labels = _labels(config)
    if labels == 1:
        if options.label is not None:
            raise InvalidValueError(f"label={options.label}: '{config.model}' has one label. Leave label out.")
        return ClassifierHead()
    exclusive = _are_exclusive(config, labels)
    if options.label is None:
        raise UnsupportedModelError(
            f"'{config.model}' has {labels} labels; a reranker has one, the relevance. Choose a cross-encoder trained "
            f"with num_labels=1, or name the label that counts with label=0 to label={labels - 1}{_names(config)}."
        )
    if options.label >= labels:
        raise InvalidValueError(
            f"label={options.label}: '{config.model}' has {labels} labels, from 0 to {labels - 1}{_names(config)}."
        )
    return ClassifierHead(options.label, exclusive)


def _labels(config: Fields) -> int:
    # transformers falls back to two labels where a config names none.
    named, number = len(config.fields("id2label")), config.integer("num_labels", at_least=1)
    if named and number is not None and named != number:
        raise config.wrong("num_labels", f"{named}, the number of labels in id2label")
    return number or named or 2


def _are_exclusive(config: Fields, labels: int) -> bool:
    # Where a config says nothing, transformers and sentence-transformers train several labels with a softmax; their
    # losses for anything else are declared (transformers, `ForSequenceClassificationLoss`).
    kind = config.text("problem_type")
    if kind not in _PROBLEM_TYPES:
        raise config.wrong("problem_type", " or ".join(filter(None, _PROBLEM_TYPES)))
    if kind == "regression":
        raise UnsupportedModelError(
            f"'{config.model}' declares problem_type='regression' with {labels} labels in its config.json: it "
            "measures several things, and a reranker has one score, the relevance. Choose a cross-encoder trained with "
            "num_labels=1."
        )
    return kind != "multi_label_classification"


def _names(config: Fields) -> str:
    names = config.fields("id2label")
    found = [f"{key}: {names.value(key)}" for key in names]
    return f" ({', '.join(found[:5])}{', ...' if len(found) > 5 else ''})" if found else ""


def _of_language_model(folder: Path, config: Fields, architecture: Architecture, options: ModelOptions) -> TokenHead:
    if options.head is None:
        raise UnsupportedModelError(
            f"'{config.model}' is a language model ({architecture.name}), and nothing in its folder says which tokens "
            "make a score: it has no modules.json with a LogitScore. Models use different ones (yes and no, 1 and 0, "
            "Yes alone), and those of another model give scores that look right and are not, so they are not guessed. "
            "Name those that it was trained with, head='tokens:yes,no' or head='token:Yes', and its prompt, such as "
            "prompt='qwen3'; or use a copy of the model saved for sentence-transformers 5.4 or later."
        )
    kind, _, rest = options.head.partition(":")
    texts = [rest] if kind == "token" else rest.split(",", 1)
    tokenizer = load_tokenizer(config.model, folder).tokenizer
    ids = []
    for text in texts:
        pieces = tokenizer.encode(text, add_special_tokens=False)
        if len(pieces.ids) != 1 and (known := tokenizer.token_to_id(text)) is not None:
            ids.append(known)
        elif len(pieces.ids) != 1:
            raise InvalidValueError(
                f"head={options.head!r}: {text!r} is {len(pieces.ids)} tokens of '{config.model}' "
                f"({', '.join(map(repr, pieces.tokens[:8]))}), and must be one. Name the token that its authors name."
            )
        else:
            ids.append(pieces.ids[0])
    if len(set(ids)) < len(ids):
        raise InvalidValueError(f"head={options.head!r}: both are the same token. Name two different ones.")
    return TokenHead(*ids)
