"""A model in memory: tokenizer, pair template, backend, and the queue in front of it."""

from functools import cached_property

from rerank_plugins.backends import check_attributes
from rerank_plugins.backends.base import Backend
from rerank_plugins.backends.layout import runner
from rerank_plugins.errors import ModelError, RerankError, UnsupportedModelError
from rerank_plugins.models.declared import DeclaredConfig
from rerank_plugins.models.refusals import check_query_prompt, check_template
from rerank_plugins.models.sanity import readable_probes, score_probes, warn_of_order
from rerank_plugins.models.spec import ModelSpec
from rerank_plugins.options import ReadingOptions
from rerank_plugins.scheduling.queue import BatchLimits
from rerank_plugins.scheduling.scheduler import Run, Scheduler
from rerank_plugins.text.encoders import pair_encoder, trial_encoder
from rerank_plugins.text.language import LanguageCheck
from rerank_plugins.text.pairs import Encoder, Pair
from rerank_plugins.text.prompt import Prompt, PromptEncoder, read_prompt
from rerank_plugins.text.template import PairTemplate, read_template
from rerank_plugins.text.tokenizer import TextTokenizer, load_tokenizer

# Qwen3-Reranker's (its model card), for the pairs that a model is tried with.
_INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"
# Tokens for the longest of these pairs, in a vocabulary that spells it byte by byte.
_PROBE_ROOM = 512
_AXES = "A file exported to ONNX needs dynamic axes for batch and sequence."
_FORWARD = "forward() gets the arrays that `inputs` names, and returns one number a pair."


class LoadedModel:
    """A model in memory, for any number of Rerankers.

    Args:
        spec: Which model, and how it is run.

    Attributes:
        spec: The same.
        tokenizer: Its tokenizer.
        template: Its pair template, or its prompt.
        languages: What it can read.
        backend: What runs it.
        scheduler: The queue in front of the backend.

    Raises:
        UnsupportedModelError: If the model cannot score a first pair.
        ModelError: If its files change meanwhile.
    """

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self._states = spec.states  # before anything of them is read
        self.tokenizer = load_tokenizer(spec.folder.name, spec.folder.path)
        self.template = read_model_template(spec.folder.name, spec.declared, self.tokenizer)
        self.languages = LanguageCheck(self.tokenizer.tokenizer, spec.declared.languages)
        self.backend: Backend = spec.backend(spec.folder, spec.placement)
        check_attributes(self.backend)
        layout = self.template.template if isinstance(self.template, Prompt) else self.template
        run = runner(self.backend, layout, pad_token_id=spec.declared.pad_token_id)
        self._score_a_first_pair(run)
        self._warn_of_order(run)
        self._check_unchanged()
        self.scheduler = Scheduler(
            run,
            BatchLimits(
                workers=self.backend.workers,
                pairs_per_batch=self.backend.pairs_per_batch,
                pads=self.backend.pads,
                pass_tokens=self.backend.pass_tokens,
            ),
        )

    @cached_property
    def digest(self) -> str:
        """What `ModelSpec.digest` says of the files that were loaded.

        Raises:
            ModelError: If they are not those that were loaded any more.
        """
        self._check_unchanged()
        digest = self.spec.digest
        self._check_unchanged()
        return digest

    def encoder(self, options: ReadingOptions) -> Encoder:
        """Make what turns pairs into token ids for this model.

        Args:
            options: How much of a pair is read.
        """
        declared = self.spec.declared
        return pair_encoder(
            self.tokenizer,
            self.template,
            options,
            default_max_length=declared.max_length,
            max_positions=declared.max_positions,
            query_prompt=declared.query_prompt,
        )

    def close(self) -> None:
        """Score what is queued, then free threads and weights."""
        self.scheduler.close(on_end=self.backend.close)

    def _check_unchanged(self) -> None:
        """Refuse to name by its files a model that was loaded from others."""
        try:
            states = self.spec.states
        except OSError:  # a file that was removed
            states = ()
        if changed := sorted({state[0] for state in {*self._states} ^ {*states}}):
            raise ModelError(
                f"The files of '{self.spec.folder.name}' changed since it was loaded: {', '.join(changed[:3])}. Load "
                "it again; to replace a file, write the new one beside it and rename it."
            )

    def _score_a_first_pair(self, run: Run) -> None:
        """Make wrong shapes fail when the model is loaded, not in the first call."""
        name = self.spec.folder.name
        encoder = trial_encoder(self.tokenizer, self.template)
        instruction = "a" if self._needs_instruction else None
        short, long = (encoder.encode([Pair("a", text, instruction)]).pairs for text in ("b", "b c d"))
        try:
            run(short)
            run(long)
            if self.backend.pairs_per_batch != 1:
                run([*long, *long])
        except RerankError:
            raise
        except Exception as error:  # each engine has its own for shapes that do not fit
            exported = any(each.endswith(".onnx") for each in self.spec.folder.weights)
            raise UnsupportedModelError(
                f"'{name}' is loaded, but {type(self.backend).__name__} cannot score a first pair: "
                f"{type(error).__name__}: {error}. {_AXES if exported else _FORWARD}"
            ) from error

    def _warn_of_order(self, run: Run) -> None:
        """Score a few pairs whose order is known, where a wrong prompt or head would show."""
        if not isinstance(self.template, Prompt):
            return
        declared = self.spec.declared
        encoder = PromptEncoder(
            self.template, max_length=self.template.tokens + _PROBE_ROOM, max_positions=declared.max_positions
        )
        instruction = _INSTRUCTION if self._needs_instruction else None
        scores = score_probes(readable_probes(self.languages), encoder, run, instruction=instruction)
        warn_of_order(self.spec.folder.name, scores)

    @property
    def _needs_instruction(self) -> bool:
        """Whether its prompt cannot be read without an instruction, and has none of its own."""
        prompt = self.template
        return isinstance(prompt, Prompt) and prompt.plain is None and not prompt.instruction


def read_model_template(name: str, declared: DeclaredConfig, tokenizer: TextTokenizer) -> PairTemplate | Prompt:
    """Read what a model reads around query and document: its prompt, else its tokenizer's pair template.

    Args:
        name: The model's name, for messages.
        declared: What its files declare.
        tokenizer: Its tokenizer.

    Raises:
        UnsupportedModelError: If it cannot be read, or does not tell query and document apart.
    """
    if declared.prompt is not None:
        return _without_unread(name, declared, read_prompt(name, declared.prompt, tokenizer))
    template = read_template(tokenizer, declared.pair_encoding)
    if not declared.token_types:
        template = template.without_types()
    check_template(name, template)
    check_query_prompt(name, declared.query_prompt, tokenizer)
    return template


def _without_unread(name: str, declared: DeclaredConfig, prompt: Prompt) -> Prompt:
    """Leave out the end of a prompt that the head does not read: no token of a causal model sees what follows it."""
    if declared.unread_token_id is None:
        return prompt
    short = prompt.without_last(declared.unread_token_id)
    if short.tokens < prompt.tokens and not declared.causal:
        raise UnsupportedModelError(
            f"The prompt of '{name}' ends with its padding token, before which its head reads, and its tokens see each "
            "other both ways: that is not supported. Use sentence_transformers.CrossEncoder for this model."
        )
    return short
