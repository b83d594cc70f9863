"""Refuse weights and tokenizers that would be scored wrongly, with the reason and the remedy."""

from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.json_files import Fields
from rerank_plugins.models.architectures import ELSEWHERE
from rerank_plugins.text.template import PairTemplate
from rerank_plugins.text.tokenizer import TextTokenizer


def check_quantization(config: Fields) -> None:
    """Refuse weights that another library quantized.

    Raises:
        UnsupportedModelError: If the `config.json` says so.
    """
    if quantization := config.fields("quantization_config"):
        method = quantization.text("quant_method") or "an unnamed method"
        raise UnsupportedModelError(
            f"The weights of '{config.model}' are quantized with {method} (quantization_config in its config.json), "
            "which is not supported. Use the original weights; for int8 on a CPU export them with "
            "`rerank-plugins export --quantize int8`."
        )


def check_template(name: str, template: PairTemplate) -> None:
    """Refuse a pair template that leaves the model no way to tell the query from the document.

    Nothing between them, or only the tokens that begin a sequence (Llama's `<s> query <s> document`), is what the
    tokenizers of decoders do. Encoders put a separator there.

    Args:
        name: The model's name.
        template: What `read_template` read off its tokenizer.

    Raises:
        UnsupportedModelError: If there is no separator.
    """
    middle = set(template.middle.ids)
    if middle and (template.suffix.ids or middle - set(template.prefix.ids)):
        return
    raise UnsupportedModelError(
        f"The tokenizer of '{name}' puts no separator between query and document, so ('who wrote', 'hamlet') and "
        "('who', 'wrote hamlet') would be the same input: it belongs to a model that needs a prompt around each pair "
        f"and declares none, or its tokenizer.json lost its post-processor. {ELSEWHERE}, or save the tokenizer "
        "again from the original model."
    )


def check_query_prompt(name: str, prompt: str, tokenizer: TextTokenizer) -> None:
    """Refuse a text before each query that holds control tokens: they would be spelled out as those of a query are.

    Args:
        name: The model's name.
        prompt: The default prompt that it declares.
        tokenizer: Its tokenizer.

    Raises:
        UnsupportedModelError: If it has one.
    """
    control = [token.content for token in tokenizer.tokenizer.get_added_tokens_decoder().values() if token.special]
    if found := [token for token in control if token in prompt]:
        raise UnsupportedModelError(
            f"'{name}' declares a default prompt with the control token {found[0]} (prompts in its "
            "config_sentence_transformers.json), which is not supported before a query. Use "
            "sentence_transformers.CrossEncoder for this model."
        )
