"""Render a chat template as transformers and sentence-transformers do, and find out what it does with a pair."""

import json
import textwrap
from datetime import datetime
from typing import Any

from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.text.prompt.declared import ChatTemplate

Roles = tuple[str, str]
# The roles that sentence-transformers gives to the halves of a pair (`InputFormatter.pair_to_messages`).
PAIR_ROLES: Roles = ("query", "document")
# No template knows these.
_OTHER_ROLES: Roles = ("zquestionz", "zpassagez")
_REMEDY = (
    "Set a chat template that renders the roles query and document, as sentence-transformers saves rerankers, or give "
    "the prompt that the model was trained with: prompt='...{query}...{document}...'."
)


class ChatRenderer:
    """Render pairs with one chat template.

    Args:
        name: The model's name, for messages.
        template: What its folder declares.

    Raises:
        UnsupportedModelError: If the template is not Jinja.
    """

    def __init__(self, name: str, template: ChatTemplate) -> None:
        import jinja2  # Only models with a chat template need it.

        self._name = name
        self._template = template
        try:
            self._compiled = _environment().from_string(template.source)
        except jinja2.TemplateSyntaxError as error:
            raise self._refused(f"is not valid Jinja: line {error.lineno}: {error.message}") from error

    def __call__(self, query: str, document: str, instruction: str | None, roles: Roles = PAIR_ROLES) -> str:
        """Render a pair.

        Raises:
            UnsupportedModelError: If the template cannot be rendered.
        """
        messages = [(role, text) for role, text in zip(roles, (query, document), strict=True)]
        if instruction is not None:
            messages.insert(0, ("system", instruction))
        # What transformers passes where there are no tools and documents (`render_jinja_template`).
        variables = {"tools": None, "documents": None, "add_generation_prompt": False, **dict(self._template.variables)}
        try:
            return str(self._compiled.render(messages=[self._message(*each) for each in messages], **variables))
        except Exception as error:  # a template can raise whatever its expressions provoke
            reason = textwrap.shorten(str(error), 200) or type(error).__name__
            raise self._refused(f"fails on a query and a document: {reason}") from error

    def check_roles(self, query: str, document: str, instruction: str | None) -> None:
        """Refuse a template that writes any role's name as it comes, as ChatML does: it declares no reranker's prompt.

        Raises:
            UnsupportedModelError: If it does.
        """
        known = self(query, document, instruction).casefold()
        try:
            other = self(query, document, instruction, _OTHER_ROLES).casefold()
        except UnsupportedModelError:  # it knows which roles there are
            return
        for role, made_up in zip(PAIR_ROLES, _OTHER_ROLES, strict=True):
            other = other.replace(made_up, role)
        if other == known and query in known:  # else it leaves the roles out, which is another fault
            raise self._refused(
                "does not know the roles query and document: it renders them as it renders any role, so it is a "
                "chat's template and not a reranker's"
            )

    def _message(self, role: str, text: str) -> dict[str, Any]:
        return {"role": role, "content": [{"type": "text", "text": text}] if self._template.structured else text}

    def _refused(self, reason: str) -> UnsupportedModelError:
        return refuse_template(self._name, reason)


def refuse_template(name: str, fault: str) -> UnsupportedModelError:
    """Make the error for a chat template that is no prompt for a pair."""
    return UnsupportedModelError(f"The chat template of '{name}' {fault}. {_REMEDY}")


def _environment() -> Any:
    """Make the sandbox that transformers renders chat templates in (`_cached_compile_jinja_template`)."""
    from jinja2 import ext
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_generation_blocks(), ext.loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals |= {
        "raise_exception": _raise_exception,
        "strftime_now": _strftime_now,
        "dict": lambda *pairs, **values: dict(*pairs, **values),
        "namespace": _namespace,
    }
    return environment


def _generation_blocks() -> Any:
    from jinja2 import nodes
    from jinja2.ext import Extension

    class GenerationBlocks(Extension):
        """`{% generation %}` marks what an assistant wrote, for training: here it is a block like any other."""

        tags = {"generation"}  # noqa: RUF012  # Jinja's own attribute

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body, lineno=line)

    return GenerationBlocks


def _namespace(*pairs: Any, **values: Any) -> Any:
    from jinja2.exceptions import SecurityError
    from jinja2.utils import Namespace

    def check(name: str) -> None:
        if name.startswith("_"):
            raise SecurityError(f"a template may not set the private name {name!r}")

    class PublicNamespace(Namespace):
        """A namespace without private names, which would lead out of the sandbox."""

        def __setitem__(self, name: str, value: Any) -> None:
            check(name)
            super().__setitem__(name, value)

    for name in dict(*pairs, **values):
        check(name)
    return PublicNamespace(*pairs, **values)


def _raise_exception(message: str) -> None:
    from jinja2 import TemplateError

    raise TemplateError(message)


def _strftime_now(pattern: str) -> str:
    return datetime.now().strftime(pattern)  # noqa: DTZ005  # as transformers


def _to_json(
    value: Any,
    ensure_ascii: bool = False,  # noqa: FBT001, FBT002  # called by templates, as transformers' own
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,  # noqa: FBT001, FBT002
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
