"""Prompts around a pair: read from what a model declares, or given by the user."""

from rerank_plugins.text.prompt.declared import ChatTemplate, DeclaredPrompt, TextTemplate
from rerank_plugins.text.prompt.encoder import PromptEncoder
from rerank_plugins.text.prompt.named import NAMED_PROMPTS, parse_prompt
from rerank_plugins.text.prompt.reading import Prompt, read_prompt

__all__ = [
    "NAMED_PROMPTS",
    "ChatTemplate",
    "DeclaredPrompt",
    "Prompt",
    "PromptEncoder",
    "TextTemplate",
    "parse_prompt",
    "read_prompt",
]
