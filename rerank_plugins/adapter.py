"""What both framework adapters share: their fields, the core behind them, and what happens when it fails."""

import logging
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from rerank_plugins.caching import ScoreCache
from rerank_plugins.errors import InvalidValueError
from rerank_plugins.monitoring.base import notify
from rerank_plugins.options import ActivationName, BackendName, DtypeName, Fallback, LongDocuments, RerankConfig
from rerank_plugins.reranker import Reranker
from rerank_plugins.results import RerankReport
from rerank_plugins.validation import check_score_threshold, check_top_n, plain_path

logger = logging.getLogger(__name__)

# Metadata of a document that was handed through because reranking failed, and of one that was cut to be read.
ERROR_KEY = "rerank_error"
TRUNCATED_KEY = "rerank_truncated"

PathText = Annotated[str | None, BeforeValidator(plain_path)]


class RerankFields(BaseModel):
    """The configuration of a framework adapter, as the frameworks like it: pydantic fields.

    A copy, deep or not, shares the loaded model; an unpickled adapter loads it again; `model_dump()` gives what
    builds one that ranks alike, but for the token.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    model: PathText = Field(default=None, description="Folder, or name on the Hub; None for the embedded model.")
    top_n: Annotated[int | None, BeforeValidator(check_top_n)] = Field(
        default=5, description="How many documents to keep; None for all."
    )
    score_threshold: Annotated[float | None, BeforeValidator(check_score_threshold)] = Field(
        default=None, description="Keep only scores from it on; None for all."
    )
    reranker: Reranker | None = Field(
        default=None, exclude=True, repr=False, description="A core to share, in place of the fields that make one."
    )
    on_error: Literal["raise", "passthrough"] = Field(
        default="raise", description="Raise, or hand the retriever's order through, cut to top_n and marked."
    )
    backend: BackendName = Field(default="auto", description="onnx, torch or auto.")
    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:1, mps.")
    dtype: DtypeName = Field(default="auto", description="fp32, fp16, bf16 or auto.")
    max_length: int | None = Field(default=None, description="Tokens a pair may have; None for the model's own.")
    activation: ActivationName | None = Field(default=None, description="sigmoid, identity; None for the model's own.")
    max_batch_tokens: int | None = Field(
        default=None, description="Tokens a batch may have, padding included; None for what suits the device."
    )
    long_documents: LongDocuments = Field(default="truncate", description="truncate, or windows that overlap.")
    num_threads: int | None = Field(default=None, description="Threads of the ONNX backend; None for all cores.")
    max_queue: int = Field(default=100_000, description="Pairs of all callers that may wait for the model.")
    timeout: float | None = Field(default=None, description="Seconds that a call may take; None for any.")
    fallback: Fallback | None = Field(default=None, description="cpu to finish there what the device cannot hold.")
    cache: str | ScoreCache | None = Field(
        default=None, exclude=True, repr=False, description="memory, a Redis URL, a ScoreCache; None for none."
    )
    revision: str | None = Field(default=None, description="Branch, tag or commit of a Hub repository.")
    cache_folder: PathText = Field(default=None, description="Where downloads are kept; None for the Hub's choice.")
    local_files_only: bool = Field(default=False, description="Never ask the Hub.")
    token: str | None = Field(default=None, exclude=True, repr=False, description="A Hub access token.")
    trust_remote_code: bool = Field(default=False, description="Run Python code that comes with the model.")
    onnx_file: str | None = Field(default=None, description="Which .onnx file, where there are several.")

    if not TYPE_CHECKING:  # Type checkers see the signature that pydantic makes of the fields.

        def __init__(self, **values: Any) -> None:
            super().__init__(**values)
            # Not in a validator, which would turn a ModelNotFoundError into a ValidationError.
            if self.reranker is None:
                self.reranker = Reranker.from_config(self._config())
            else:
                self._take_configuration_of(self.reranker)

    @property
    def core(self) -> Reranker:
        """The Reranker behind this adapter.

        Raises:
            InvalidValueError: If fields that made it were changed since.
        """
        if self.reranker is None or self.reranker.config != self._config():
            raise InvalidValueError(
                "The model's fields were changed after it was loaded. Build a new adapter; top_n, score_threshold and "
                "on_error may change."
            )
        return self.reranker

    def _config(self) -> RerankConfig:
        return RerankConfig(**{field.name: getattr(self, field.name) for field in fields(RerankConfig)})

    def _take_configuration_of(self, reranker: Reranker) -> None:
        """Let the fields tell the truth about a shared core, and refuse what contradicts it."""
        for name in (field.name for field in fields(RerankConfig)):
            given, own = getattr(self, name), getattr(reranker.config, name)
            if given not in (own, RerankFields.model_fields[name].default):
                raise InvalidValueError(
                    f"{name}={given!r} contradicts the reranker, which was built with {name}={own!r}. Pass one of them."
                )
            setattr(self, name, own)

    def _passthrough(self, error: Exception, candidates: int) -> RerankReport:
        """Return the report of a failure after which the retriever's order is handed through.

        Raises:
            InvalidValueError: If the adapter itself is wrong, which no order can make good.
        """
        model, top_n = self.core.model, check_top_n(self.top_n)
        # The message may quote a text, and texts do not belong into logs.
        logger.warning(
            "Reranking failed (%s); handing the retriever's order of %d documents through.",
            type(error).__name__,
            candidates,
        )
        report = RerankReport(
            model=model,
            candidates=candidates,
            kept=min(candidates, top_n or candidates),
            error=f"{type(error).__name__}: {error}",
        )
        notify(report)
        return report
