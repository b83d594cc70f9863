"""An option is declared once; its keyword, variable, flag and adapter field derive from the declaration."""

import inspect
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from rerank_plugins import InvalidTypeError, InvalidValueError, RerankConfig, Reranker
from rerank_plugins.adapter import option_fields
from rerank_plugins.cli import app
from rerank_plugins.cli.options import collects, flags_of
from rerank_plugins.langchain import RerankCompressor
from rerank_plugins.llama_index import RerankPostprocessor
from rerank_plugins.options import ServiceSettings
from rerank_plugins.options.declaration import Help, Options, documented, options_of, takes
from rerank_plugins.options.kinds import AtLeast


@dataclass(frozen=True, kw_only=True)
class Pacing(Options):
    """A group of two options that the library does not have."""

    panel: ClassVar[str] = "Pacing"

    pace: Annotated[int | None, Help("Pairs per second.", none="no limit"), AtLeast(1)] = None
    pin: Annotated[int, Help("A number that nobody may see.")] = field(default=0, repr=False)


@dataclass(frozen=True, kw_only=True)
class PacedConfig(Pacing, RerankConfig):
    """Everything derived from an option, shown with one that is added here."""


class Paced:
    """Takes the keywords of a configuration, as `Reranker` does."""

    @takes(PacedConfig)
    def __init__(self, config: PacedConfig) -> None:
        self.config = config


@pytest.fixture
def command() -> typer.Typer:
    made = typer.Typer()

    @made.command()
    @collects("config", flags_of(PacedConfig), PacedConfig.from_env)
    def show(*, config: PacedConfig) -> None:
        typer.echo(f"{config.pace} {config.pin}")

    return made


class TestOneMoreOption:
    """Every way to set an option accepts `pace`, which appears only in its declaration."""

    def test_a_keyword(self) -> None:
        assert Paced("models/mine", pace=3).config == PacedConfig(model="models/mine", pace=3)
        parameter = inspect.signature(Paced).parameters["pace"]
        assert (parameter.annotation, parameter.default) == (int | None, None)
        with pytest.raises(InvalidValueError, match="pace must be at least 1, got 0"):
            Paced(pace=0)

    def test_a_variable(self) -> None:
        assert PacedConfig.from_env({"RERANK_PACE": "3"}).pace == 3
        assert PacedConfig.from_env({"RERANK_PACE": "3"}, pace=4).pace == 4
        with pytest.raises(InvalidValueError, match="RERANK_PACE must be an integer, got 'fast'"):
            PacedConfig.from_env({"RERANK_PACE": "fast"})

    def test_a_flag_that_takes_precedence_over_the_variable(self, command: typer.Typer) -> None:
        run = CliRunner().invoke
        assert run(command, ["--pace", "3"], env={"RERANK_PACE": "4"}).stdout == "3 0\n"
        assert run(command, [], env={"RERANK_PACE": "4"}).stdout == "4 0\n"

    def test_help_of_the_command_line(self, command: typer.Typer) -> None:
        shown = " ".join(CliRunner().invoke(command, ["--help"], env={"COLUMNS": "200"}).stdout.split())
        assert "Pairs per second. Default: no limit." in shown
        assert "A number that nobody may see. Default: 0. Prefer RERANK_PIN:" in shown
        assert shown.index(" Pacing ") < shown.index("--pace")

    def test_a_field_of_adapters(self) -> None:
        fields = option_fields(PacedConfig)
        assert fields(pace=3).model_dump()["pace"] == 3
        assert fields.model_fields["pace"].description == "Pairs per second. None: no limit."
        schema = fields.model_json_schema()["properties"]["pace"]
        assert schema["anyOf"] == [{"type": "integer"}, {"type": "null"}]

    def test_help_of_python(self) -> None:
        assert "    pace: Pairs per second. None: no limit.\n" in documented(PacedConfig)

    def test_a_secret_stays_one(self) -> None:
        made = option_fields(PacedConfig)(pin=1234)
        assert "1234" not in repr(made) + made.model_dump_json() + repr(PacedConfig(pin=1234))
        for wrong in ({"RERANK_PIN": "12x34"}, {"RERANK_PIN": "1234", "RERANK_PACE": "0"}):
            with pytest.raises(InvalidValueError, match="must be") as caught:
                PacedConfig.from_env(wrong)
            assert "12" not in str(caught.value)


def names_and_defaults(parameters: dict[str, Any]) -> dict[str, Any]:
    return {name: each.default for name, each in parameters.items()}


def test_every_option_is_everywhere_under_one_name_with_one_default() -> None:
    declared = {option.name: option.default for option in options_of(RerankConfig)}
    assert names_and_defaults(dict(inspect.signature(Reranker).parameters)) == declared
    assert names_and_defaults(dict(inspect.signature(RerankConfig).parameters)) == declared
    for adapter in (RerankCompressor, RerankPostprocessor):
        assert {name: adapter.model_fields[name].default for name in declared} == declared
        assert all(each.description for name, each in adapter.model_fields.items() if name != "callback_manager")
    serve = get_command(app).commands["serve"]  # type: ignore[attr-defined]
    assert {each.name for each in serve.params} == {*declared, *(each.name for each in options_of(ServiceSettings))}


def test_the_model_may_come_first_and_nothing_else() -> None:
    assert Paced("models/mine").config.model == "models/mine"
    with pytest.raises(InvalidTypeError, match=r"Paced: too many positional arguments. Pass options by name"):
        Paced("models/mine", "cpu")  # type: ignore[call-arg]
    with pytest.raises(InvalidTypeError, match="multiple values for argument 'model'"):
        Paced("models/mine", model="models/mine")  # type: ignore[misc]


def test_a_wrong_keyword_names_the_one_that_was_meant() -> None:
    with pytest.raises(InvalidTypeError, match=r"Reranker has no option 'maxlength'. Did you mean 'max_length'\?"):
        Reranker(maxlength=128)  # type: ignore[call-arg]
    with pytest.raises(InvalidTypeError, match=r"Reranker has no option 'top_n'. Its options are: model, revision"):
        Reranker(top_n=3)  # type: ignore[call-arg]


def test_a_configuration_of_more_options_can_be_replaced_and_compared() -> None:
    assert replace(PacedConfig(pace=3), pace=4) == PacedConfig(pace=4) != PacedConfig(pace=3)
    assert hash(PacedConfig(pace=3)) == hash(PacedConfig(pace=3))


def test_a_mistake_in_a_declaration_is_found() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Silent(Options):
        pace: int = 3

    @dataclass(frozen=True, kw_only=True)
    class Odd(Options):
        pace: Annotated[complex, Help("Imaginary.")] = 3j

    with pytest.raises(TypeError, match=r"The option pace has no Help\(...\)"):
        options_of(Silent)
    with pytest.raises(TypeError, match="There is no kind of option for <class 'complex'>"):
        options_of(Odd)
