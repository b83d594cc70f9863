"""What a prompt is declared as: a chat template in Jinja, or a text with slots."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """A chat template that renders the roles `query` and `document`, as sentence-transformers saves rerankers.

    Attributes:
        source: The template, in Jinja.
        instruction: The default prompt that the folder declares, sent as the `system` message; None: it declares none.
        variables: What the template may read beside the messages: `bos_token`, `add_generation_prompt`, ...
        structured: Whether a message's content is a list of parts (`[{"type": "text", "text": ...}]`), and not a text.
    """

    source: str
    instruction: str | None = None
    variables: tuple[tuple[str, object], ...] = ()
    structured: bool = False


@dataclass(frozen=True, slots=True)
class TextTemplate:
    r"""A text with `{query}` and `{document}`, and maybe `{instruction}`; all other braces are text.

    The special tokens that the tokenizer puts around a single text (Llama's `<|begin_of_text|>`) are added where the
    text does not begin or end with them.

    Attributes:
        text: The text.
        instruction: The default instruction. None: without one, the line that holds `{instruction}` is left out.
        apart: Whether the document's line and the line breaks around it are tokenized apart from the rest.
        strip: Whether white space around query and document is stripped.

    Examples:
        >>> TextTemplate("question:{query} \n \n passage:{document}").apart
        False
    """

    text: str
    instruction: str | None = None
    apart: bool = False
    strip: bool = False


DeclaredPrompt = ChatTemplate | TextTemplate
