"""What both framework adapters share: their fields, the reranker behind them, and what happens when it fails."""

import logging
import reprlib
from collections.abc import Iterable
from functools import reduce
from operator import attrgetter, or_
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError, create_model
from pydantic.json_schema import SkipJsonSchema

from rerank_plugins.errors import InvalidTypeError, InvalidValueError, RerankError
from rerank_plugins.monitoring.base import notify
from rerank_plugins.options import RerankConfig
from rerank_plugins.options.declaration import Option, Options, options_of, unknown_option
from rerank_plugins.ranking.base import Ranker
from rerank_plugins.ranking.ranker import ScorerRanker
from rerank_plugins.reranker import Reranker
from rerank_plugins.results import RerankReport
from rerank_plugins.scorers.base import check_takes_instruction
from rerank_plugins.validation import check_score_threshold, check_top_n

logger = logging.getLogger(__name__)

# Metadata keys of a document that kept its place because reranking failed, and of one that was truncated.
ERROR_KEY = "rerank_error"
TRUNCATED_KEY = "rerank_truncated"

# What a reranker is made with. The instruction is passed with each call, so that a field may change it.
_OPTIONS = tuple(option for option in options_of(RerankConfig) if option.name != "instruction")
_values = attrgetter(*(option.name for option in _OPTIONS))
_IN_JSON = (str, int, float, bool, NoneType)


def option_fields(config: type[Options]) -> type[BaseModel]:
    """Make a pydantic model whose fields are the options of a configuration.

    A field checks as the option does and raises its errors. Secrets are left out of `repr` and dumps.

    Examples:
        >>> option_fields(RerankConfig).model_fields["max_length"].default is None
        True
    """
    fields: dict[str, Any] = {option.name: _field(option) for option in options_of(config)}
    return create_model(
        "OptionFields",
        __config__=ConfigDict(extra="forbid", arbitrary_types_allowed=True),
        __module__=__name__,
        **fields,
    )


def _field(option: Option) -> tuple[Any, Any]:
    members = get_args(option.type) if get_origin(option.type) in (Union, UnionType) else (option.type,)
    # A path, a class or a cache has no JSON schema, and needs none: JSON holds their names.
    schemas = [each if _is_in_json(each) else SkipJsonSchema[each] for each in members]  # type: ignore[misc, valid-type]
    kind: Any = reduce(or_, schemas)
    serializers = () if all(map(_is_in_json, members)) else (PlainSerializer(_named, when_used="json"),)
    return Annotated[kind, BeforeValidator(option.check), *serializers], Field(
        default=option.default, description=option.description, exclude=option.secret or None, repr=not option.secret
    )


def _is_in_json(kind: Any) -> bool:
    return kind in _IN_JSON or get_origin(kind) in (Literal, tuple)


def _named(value: Any) -> Any:
    return value if isinstance(value, _IN_JSON) else getattr(value, "__qualname__", str(value))


def _check_reranker(reranker: object) -> object:
    if reranker is not None and (isinstance(reranker, type) or not isinstance(reranker, Ranker)):
        raise InvalidTypeError(
            f"reranker must be a Reranker, or another object with model, rank() and arank(), got "
            f"{reprlib.repr(reranker)}. Pass a model's name or folder as model=."
        )
    return reranker


def _values_behind(reranker: Ranker) -> tuple[Any, ...]:
    """Return the options that a reranker was made with; the defaults for one that has no `RerankConfig`."""
    config = getattr(reranker, "config", None)
    if isinstance(config, RerankConfig):
        values: tuple[Any, ...] = _values(config)
        return values
    return tuple(option.default for option in _OPTIONS)


def _refuse_difference(option: Option, given: object, own: object, reranker: Ranker) -> None:
    shown = option.name if option.secret else f"{option.name}={given!r}"
    if not isinstance(getattr(reranker, "config", None), RerankConfig):
        raise InvalidValueError(
            f"{shown} does not apply to reranker=, a {type(reranker).__name__} with options of its own. Leave it out."
        )
    # What the reranker made of its options counts too: max_length=256 where that is the model's own.
    if given not in (own, getattr(reranker, option.name, own)):
        built = f"another {option.name}" if option.secret else f"{option.name}={own!r}"
        raise InvalidValueError(f"{shown} contradicts the reranker, which was built with {built}. Pass one of them.")


def _as_ours(adapter: type[BaseModel], error: ValidationError) -> RerankError:
    """Return the error of the check that failed, or one that says what pydantic found."""
    found = error.errors(include_url=False)
    cause = found[0].get("ctx", {}).get("error")
    if isinstance(cause, RerankError):
        return cause
    name = str(found[0]["loc"][0]) if found[0]["loc"] else adapter.__name__
    if found[0]["type"] == "extra_forbidden":
        return unknown_option(adapter.__name__, name, adapter.model_fields)
    same = [each for each in found if each["loc"][:1] == found[0]["loc"][:1]]
    wrong = " / ".join(each["msg"] for each in same)
    kind = InvalidTypeError if all(each["type"].endswith("_type") for each in same) else InvalidValueError
    return kind(f"{name}: {wrong}, got {reprlib.repr(found[0]['input'])}.")


if TYPE_CHECKING:

    class OptionFields(RerankConfig, BaseModel):
        """The options for type checkers, which cannot look into `create_model`."""
else:
    OptionFields = option_fields(RerankConfig)


class RerankFields(OptionFields):
    """The fields of both adapters: the options of `RerankConfig`, and what a call does with the scores.

    A copy, deep or not, shares the loaded model. An unpickled adapter loads it again. `model_dump()` holds everything
    that builds an equal adapter, except the token and the cache.

    Raises:
        RerankError: If a field is unknown or its value is wrong, of the same class as `Reranker` raises.
    """

    top_n: Annotated[int | None, BeforeValidator(check_top_n)] = Field(
        default=5, description="How many documents to keep. None: all."
    )
    score_threshold: Annotated[float | None, BeforeValidator(check_score_threshold)] = Field(
        default=None, description="Minimum score to keep. None: no minimum."
    )
    reranker: Annotated[Ranker | None, BeforeValidator(_check_reranker), SkipJsonSchema()] = Field(
        default=None, exclude=True, repr=False, description="A reranker to share, instead of options that make one."
    )
    on_error: Literal["raise", "passthrough"] = Field(
        default="raise",
        description="raise, or passthrough: keep the retriever's order, truncated to top_n, and flag the documents.",
    )

    if not TYPE_CHECKING:  # Type checkers see the signature that they make of the fields.

        def __init__(self, **values: Any) -> None:
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise _as_ours(type(self), error) from None
            # Not in a validator, which would turn a ModelNotFoundError into a ValidationError.
            if self.reranker is None:
                self.reranker = Reranker(**{option.name: getattr(self, option.name) for option in _OPTIONS})
            else:
                self._share(self.reranker, given=frozenset(self.model_fields_set))
            if isinstance(self.reranker, ScorerRanker):
                if "instruction" not in self.model_fields_set:
                    self.instruction = self.reranker.instruction
                check_takes_instruction(self.reranker.scorer, self.instruction)

        def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Any:
            # The reranker is shared, and so is what made it, such as a cache.
            shared = (self.reranker, *_values(self))
            return super().__deepcopy__({id(value): value for value in shared} | (memo or {}))

    @property
    def core(self) -> Ranker:
        """The reranker behind this adapter.

        Raises:
            InvalidValueError: If options were changed after it was made.
        """
        if self.reranker is None or _values(self) != _values_behind(self.reranker):
            raise InvalidValueError(
                "The model's fields were changed after it was loaded. Build a new adapter; top_n, score_threshold, "
                "instruction and on_error may change."
            )
        return self.reranker

    def _share(self, reranker: Ranker, *, given: Iterable[str]) -> None:
        """Show the options of a shared reranker in the fields, and refuse given ones that differ."""
        for option, own in zip(_OPTIONS, _values_behind(reranker), strict=True):
            if option.name in given:
                _refuse_difference(option, getattr(self, option.name), own, reranker)
            setattr(self, option.name, own)

    def _passthrough(self, error: Exception, candidates: int) -> RerankReport:
        """Return the report of a failure after which the retriever's order is kept.

        Raises:
            InvalidValueError: If a field of the adapter itself is wrong.
        """
        ranker, top_n = self.core, check_top_n(self.top_n)
        # The message may quote a text, and texts do not belong in logs.
        logger.warning(
            "Reranking failed (%s); keeping the retriever's order of %d documents.",
            type(error).__name__,
            candidates,
        )
        report = RerankReport(
            model=ranker.model,
            candidates=candidates,
            kept=min(candidates, top_n or candidates),
            error=f"{type(error).__name__}: {error}",
        )
        notify(report, ranker)
        return report
