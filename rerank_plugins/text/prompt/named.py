"""Prompts of published rerankers whose folders do not declare them: chosen by the user, by name."""

from rerank_plugins.errors import InvalidValueError
from rerank_plugins.text.prompt.declared import TextTemplate
from rerank_plugins.text.prompt.pieces import find_fault, split_text

_CHAT_START = "<|im_start|>"
_CHAT_END = "<|im_end|>\n"

NAMED_PROMPTS: dict[str, TextTemplate] = {
    # Qwen3-Reranker's model card (`format_instruction`, `prefix`, `suffix`).
    "qwen3": TextTemplate(
        f"{_CHAT_START}system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
        f'provided. Note that the answer can only be "yes" or "no".{_CHAT_END}'
        f"{_CHAT_START}user\n<Instruct>: {{instruction}}\n<Query>: {{query}}\n<Document>: {{document}}{_CHAT_END}"
        f"{_CHAT_START}assistant\n<think>\n\n</think>\n\n",
        instruction="Given a web search query, retrieve relevant passages that answer the query",
    ),
    # mixedbread-ai/mxbai-rerank, mxbai_rerank_v2.py (`MxbaiRerankV2.prepare_inputs`).
    "mxbai": TextTemplate(
        f"{_CHAT_START}system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.{_CHAT_END}"
        f"{_CHAT_START}user\ninstruction: {{instruction}}\nquery: {{query}}\ndocument: {{document}}\n"
        "You are a search relevance expert who evaluates how well documents match search queries. For each "
        "query-document pair, carefully analyze the semantic relationship between them, then provide your binary "
        f"relevance judgment (0 for not relevant, 1 for relevant).\nRelevance:{_CHAT_END}{_CHAT_START}assistant\n",
        apart=True,
    ),
    # FlagOpen/FlagEmbedding, inference/reranker/decoder_only/base.py (`BaseLLMReranker.compute_score_single_gpu`).
    "flag": TextTemplate(
        "A: {query}\nB: {document}\nGiven a query A and a passage B, determine whether the passage contains an answer "
        "to the query by providing a prediction of either 'Yes' or 'No'.",
        apart=True,
    ),
    # zeroentropy/zerank, modeling_zeranker.py (`format_pointwise_datapoints`) with Qwen3's chat template.
    "zerank": TextTemplate(
        f"{_CHAT_START}system\n{{query}}{_CHAT_END}{_CHAT_START}user\n{{document}}{_CHAT_END}{_CHAT_START}assistant\n",
        strip=True,
    ),
    # nvidia/llama-nemotron-rerank-1b-v2's model card (`prompt_template`).
    "nemotron": TextTemplate("question:{query} \n \n passage:{document}"),
}


def parse_prompt(prompt: str) -> TextTemplate:
    r"""Make a template of what a user gave as `prompt=`.

    Args:
        prompt: A name of `NAMED_PROMPTS`, or a text with `{query}` and `{document}`, and maybe `{instruction}`.

    Raises:
        InvalidValueError: If it is neither.

    Examples:
        >>> parse_prompt("Query: {query}\nPassage: {document}\nRelevant:").instruction is None
        True
    """
    if prompt in NAMED_PROMPTS:
        return NAMED_PROMPTS[prompt]
    if fault := find_fault(split_text(prompt)):
        names = ", ".join(NAMED_PROMPTS)
        raise InvalidValueError(
            f"prompt={prompt!r} {fault}. It must be one of {names}, or a text with {{query}} and, after it, "
            "{document}, such as 'Query: {query}\\nDocument: {document}\\nRelevant:'."
        )
    return TextTemplate(prompt)
