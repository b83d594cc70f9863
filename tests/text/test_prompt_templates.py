"""Chat templates are rendered as sentence-transformers does, and refused where they are no prompt for a pair."""

from pathlib import Path

import pytest
from sentence_transformers.base.modality import InputFormatter

from rerank_plugins import InvalidValueError, UnsupportedModelError
from rerank_plugins.text.pairs import Pair
from rerank_plugins.text.prompt import NAMED_PROMPTS, ChatTemplate, Prompt, PromptEncoder, parse_prompt, read_prompt
from rerank_plugins.text.tokenizer import TextTokenizer
from tests.text.families import reference, trained

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
START = "{%- set query = messages | selectattr('role', 'eq', 'query') | map(attribute='content') | first -%}\n"
START += "{%- set document = messages | selectattr('role', 'eq', 'document') | map(attribute='content') | first -%}\n"
PLAIN = START + "<Query>: {{ query }}\n<Document>: {{ document }}"
# The template of an STv6 reranker: structured content, a default instruction of its own, options.
STRUCTURED = """
{%- set instruction = "Given a web search query, retrieve relevant passages" -%}
{%- for message in messages -%}
  {%- if message.role == "system" %}{% set instruction = message.content[0].text %}{% endif -%}
{%- endfor -%}
{%- set ns = namespace(instruction=instruction) -%}
{%- for message in messages if message.role == "system" -%}
  {%- set ns.instruction = message.content[0].text -%}
{%- endfor -%}
{{ bos_token }}<|im_start|>user
<Instruct>: {{ ns.instruction }}
{% generation %}<Query>: {{ (messages | selectattr("role", "eq", "query") | first).content[0].text }}{% endgeneration %}

<Document>: {{ (messages | selectattr("role", "eq", "document") | first).content[0].text }}<|im_end|>
{% if tools or documents %}tools{% endif %}{% for n in range(9) %}{% if n %}{% break %}{% endif %}{{ n }}{% endfor %}
{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def read(template: ChatTemplate) -> Prompt:
    return read_prompt("m", template, TextTokenizer(trained("qwen")))


def ids(template: ChatTemplate, pair: Pair) -> list[int]:
    (encoded,) = PromptEncoder(read(template), max_length=512, max_positions=None).encode([pair]).pairs
    return [*encoded.query, *encoded.document]


@pytest.mark.parametrize("instruction", [None, "Find code."])
@pytest.mark.parametrize("generation", [False, True])
def test_messages_are_those_of_sentence_transformers(instruction: str | None, generation: bool) -> None:
    loaded = reference("qwen")
    formatter = InputFormatter("qwen3", message_format="structured")
    messages = formatter.pair_to_messages(("who wrote hamlet", "shakespeare\n"))
    if instruction is not None:
        (messages,) = formatter.prepend_prompt_to_messages([messages], instruction)
    variables = {"bos_token": "<|endoftext|>", "add_generation_prompt": generation}
    loaded.bos_token = "<|endoftext|>"
    expected = loaded.apply_chat_template(
        messages, chat_template=STRUCTURED, tokenize=True, return_dict=False, add_generation_prompt=generation
    )
    template = ChatTemplate(STRUCTURED, None, tuple(variables.items()), structured=True)
    assert ids(template, Pair("who wrote hamlet", "shakespeare\n", instruction)) == expected
    declared = ChatTemplate(STRUCTURED, instruction, tuple(variables.items()), structured=True)
    assert ids(declared, Pair("who wrote hamlet", "shakespeare\n")) == expected


def test_a_template_that_strips_texts_is_followed() -> None:
    template = ChatTemplate(PLAIN.replace("{{ document }}", "{{ document | trim }}"))
    loaded = reference("qwen")
    assert ids(template, Pair(" q ", "\n d \n")) == loaded.encode("<Query>:  q \n<Document>: d")
    assert read(template).text == "<Query>: {query}\n<Document>: {document}"


def test_a_default_that_the_template_does_not_show() -> None:
    assert read(ChatTemplate(PLAIN, "Find code.")).instructed is None
    shown = PLAIN + "{% if messages[0].role == 'system' %} judged{% endif %}"
    assert read(ChatTemplate(shown, "Find code.")).text.endswith("{document} judged")
    assert read(ChatTemplate(shown)).text.endswith("{document}")


def test_a_template_that_needs_a_system_message() -> None:
    needs = "{% if messages[0].role != 'system' %}{{ raise_exception('system first') }}{% endif %}"
    source = PLAIN + needs + "{{ messages[0].content }}"
    assert read(ChatTemplate(source, "Find code.")).plain is None
    with pytest.raises(UnsupportedModelError, match="fails on a query and a document: system first"):
        read(ChatTemplate(source))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (CHATML, "does not know the roles query and document"),
        (CHATML.replace("message.role", "message.role | capitalize"), "does not know the roles"),
        ("{% for message in messages %}{{ message.content }}\n{% endfor %}", "does not know the roles"),
        (START + "Query: {{ query }}", "leaves out the document"),
        (START + "Document: {{ document }}", "leaves out the query"),
        (START + "", "leaves out the query"),
        (PLAIN + "{{ document }}", "has the document 2 times"),
        (PLAIN + "{{ query }}", "has the query 2 times"),
        (START + "{{ document }}\nQuery: {{ query }}", "has the document before the query"),
        (START + "{{ query }}{{ document }}", "puts nothing between query and document"),
        (START + "{{ query }} {{ document }}", "puts nothing between query and document"),
        (PLAIN.replace("{{ document }}", "{{ document | upper }}"), "changes texts: with the document 'Plain words'"),
        (PLAIN.replace("{{ query }}", "{{ query | replace('\\n', ' ') }}"), r"changes texts: with the query 'two\\nl"),
        (PLAIN.replace("{{ document }}", "{{ document[:4000] }}"), r"changes texts: .* 'long .*15,003 characters"),
        (PLAIN.replace("{{ document }}", "{{ document | tojson }}"), r"changes texts: .* 'two"),
        (PLAIN.replace("{{ document }}", "{{ document | e }}"), r"changes texts: .* 'it\\'s"),
        (PLAIN + "{% if not document %}empty{% endif %}", "changes texts: with the document ''"),
        (PLAIN + "{% if '中' in document or '什' in document %}Chinese{% endif %}", "changes texts"),
        ("{% for message in messages %}", "is not valid Jinja: line 1: Unexpected end of template"),
        (START + "{{ raise_exception('only user and assistant') }}", "fails .*: only user and assistant"),
        (START + "{{ query.__class__.__mro__ }}", "fails .*: access to attribute '__class__'"),
        (START + "{{ messages.append(1) }}", "fails .* is not safely callable|access to attribute 'append'"),
        (START + "{{ nothing.at.all }}", "fails .*: 'nothing' is undefined"),
        (START + "{{ range(10 ** 9) | list }}", "fails .*: Range too big"),
        ("{% set ns = namespace(_x=1) %}" + PLAIN, "fails .*: a template may not set the private name '_x'"),
    ],
)
def test_refused(source: str, reason: str) -> None:
    with pytest.raises(UnsupportedModelError, match=rf"(?s)The chat template of 'm' .*{reason}.*prompt='\.\.\."):
        read(ChatTemplate(source))


class TestParsedPrompts:
    @pytest.mark.parametrize("name", NAMED_PROMPTS)
    def test_a_name(self, name: str) -> None:
        assert parse_prompt(name) is NAMED_PROMPTS[name]

    def test_a_text(self) -> None:
        parsed = parse_prompt("{instruction}\nQ: {query} {x} {{}}\nD: {document}")
        prompt = read_prompt("m", parsed, TextTokenizer(trained("qwen")))
        assert prompt.text == "Q: {query} {x} {{}}\nD: {document}"
        assert prompt.instructed is not None

    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("Q: {query}", "leaves out the document"),
            ("D: {document}", "leaves out the query"),
            ("qwen", "leaves out the query"),
            ("", "leaves out the query"),
            ("{document} {query}", "has the document before the query"),
            ("{query}{document}", "puts nothing between"),
            ("{query}\n{document}{document}", "has the document 2 times"),
        ],
    )
    def test_another_text(self, text: str, fault: str) -> None:
        with pytest.raises(
            InvalidValueError, match=rf"(?s)prompt=.* {fault}.* one of qwen3, mxbai, flag, zerank, nemotr"
        ):
            parse_prompt(text)


def test_transformers_is_not_needed(tmp_path: Path) -> None:
    """A prompt is read without the libraries that wrote it."""
    import subprocess
    import sys

    file = tmp_path / "tokenizer.json"
    trained("qwen").save(str(file))
    code = (
        "import sys\n"
        "from tokenizers import Tokenizer\n"
        "from rerank_plugins.text.prompt import ChatTemplate, read_prompt\n"
        "from rerank_plugins.text.tokenizer import TextTokenizer\n"
        f"tokenizer = TextTokenizer(Tokenizer.from_file({str(file)!r}))\n"
        f"print(read_prompt('m', ChatTemplate({PLAIN!r}), tokenizer).text)\n"
        "assert not {'transformers', 'torch', 'sentence_transformers'} & sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("<Query>: {query}\n<Document>: {document}\n", "")
