"""What every backend must do, as tests."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from rerank_plugins.backends.base import Backend, Inputs, RawScores
from rerank_plugins.backends.layout import lay_out
from rerank_plugins.models.source import file_names
from rerank_plugins.models.spec import ModelSpec, resolve
from rerank_plugins.options import ReadingOptions, RerankConfig
from rerank_plugins.reranker import Reranker
from rerank_plugins.text.encoders import pair_encoder
from rerank_plugins.text.pairs import EncodedPair, Pair
from rerank_plugins.text.prompt import Prompt, read_prompt
from rerank_plugins.text.template import PairTemplate, read_template
from rerank_plugins.text.tokenizer import load_tokenizer

QUERY = "who wrote hamlet"
DOCUMENTS = ["bread", "shakespeare wrote hamlet", "plants turn sunlight into sugar by photosynthesis", ""]
_KNOWN_INPUTS = {"input_ids", "attention_mask", "token_type_ids", "position_ids", "segment_ids"}


@dataclass(frozen=True)
class LoadedBackend:
    """A backend with a model, and pairs to run it on.

    Attributes:
        backend: The backend.
        spec: What it was loaded from.
        template: The model's pair template; that of a prompt is empty.
        pairs: Pairs of different lengths.
    """

    backend: Backend
    spec: ModelSpec
    template: PairTemplate
    pairs: list[EncodedPair]

    def inputs(self, pairs: Sequence[EncodedPair]) -> Inputs:
        """Lay pairs out as one batch."""
        pad_token_id = self.spec.declared.pad_token_id
        return lay_out(pairs, self.template, inputs=self.backend.inputs, pad_token_id=pad_token_id)

    def run(self, pairs: Sequence[EncodedPair]) -> RawScores:
        """Score pairs as one batch."""
        return self.backend.forward(self.inputs(pairs))

    def run_each(self) -> list[float]:
        """Score each pair alone."""
        return [float(self.run([pair])[0]) for pair in self.pairs]

    @property
    def batch(self) -> list[EncodedPair]:
        """As many of the pairs as a batch may hold."""
        return self.pairs[: self.backend.pairs_per_batch]


class BackendContract:
    """Tests that every `Backend` passes; subclass it, name your class, and give a folder with a model for it.

    Attributes:
        backend: Your class.
        tolerance: By how much a score may differ with the shape of a batch.

    Examples:
        >>> class TestMine(BackendContract):
        ...     backend = MyBackend
        ...
        ...     @pytest.fixture
        ...     def folder(self) -> Path:
        ...         return Path("tests/model")
    """

    backend: type[Backend]
    tolerance: float = 1e-4

    @pytest.fixture
    def folder(self) -> Path:
        """A model's folder: weights, `config.json`, `tokenizer.json`."""
        raise NotImplementedError("Return the folder of a model for your backend from a fixture folder().")

    @pytest.fixture
    def loaded(self, folder: Path) -> Iterator[LoadedBackend]:
        """The backend with the folder's model."""
        spec = resolve(self._config(folder))
        template, pairs = _encode(spec)
        backend = spec.backend(spec.folder, spec.placement)
        yield LoadedBackend(backend, spec, template, pairs)
        backend.close()

    def test_it_claims_its_own_models(self, folder: Path) -> None:
        """A folder that it can load, and not one that holds no weights."""
        assert self.backend.claim(file_names(folder), self._config(folder)) > 0
        assert self.backend.claim(["README.md", "config.json", "tokenizer.json"], self._config(folder)) == 0

    def test_it_chooses_weights_from_the_folder(self, folder: Path) -> None:
        """No file that is not there; a backend without weights chooses none."""
        files = file_names(folder)
        weights = self.backend.choose_weights(files, self._config(folder))
        assert set(weights) <= files

    def test_it_says_what_it_wants(self, loaded: LoadedBackend) -> None:
        """Arrays that can be made, and batches that make sense."""
        backend = loaded.backend
        assert {"input_ids", "attention_mask"} <= set(backend.inputs) <= _KNOWN_INPUTS
        assert backend.placement.device == loaded.spec.placement.device
        assert loaded.spec.placement.dtype in ("auto", backend.placement.dtype)
        assert backend.workers >= 1
        assert backend.batch_tokens >= 1
        assert backend.pairs_per_batch is None or backend.pairs_per_batch >= 1
        assert backend.pass_tokens >= 0

    def test_a_batch_gives_one_finite_number_a_pair(self, loaded: LoadedBackend) -> None:
        """In float32, of shape (pairs,)."""
        scores = loaded.run(loaded.batch)
        assert scores.shape == (len(loaded.batch),)
        assert scores.dtype == np.float32
        assert np.isfinite(scores).all()

    def test_padding_and_neighbours_change_no_score(self, loaded: LoadedBackend) -> None:
        """A pair scores the same alone and beside longer ones."""
        expected = loaded.run_each()[: len(loaded.batch)]
        assert loaded.run(loaded.batch).tolist() == pytest.approx(expected, abs=self.tolerance)
        assert loaded.run(loaded.batch[::-1]).tolist()[::-1] == pytest.approx(expected, abs=self.tolerance)

    def test_different_texts_get_different_scores(self, loaded: LoadedBackend) -> None:
        """The model reads what it is given."""
        assert len(set(loaded.run_each())) > 1

    def test_its_input_stays_as_it_is(self, loaded: LoadedBackend) -> None:
        """The arrays are read, and not changed."""
        inputs = loaded.inputs(loaded.batch)
        before = {name: array.tolist() for name, array in inputs.items()}
        loaded.backend.forward(inputs)
        assert {name: array.tolist() for name, array in inputs.items()} == before

    def test_its_workers_run_side_by_side(self, loaded: LoadedBackend) -> None:
        """As many threads as it asks for get the scores of one."""
        expected = loaded.run_each()
        with ThreadPoolExecutor(loaded.backend.workers) as threads:
            answers = list(threads.map(lambda _: loaded.run_each(), range(2 * loaded.backend.workers)))
        for answer in answers:
            assert answer == pytest.approx(expected, abs=self.tolerance)

    def test_it_ranks(self, folder: Path) -> None:
        """`Reranker(folder, backend=...)` loads it, and scores many documents of different lengths."""
        documents = [f"{text} {place}" for place, text in enumerate(DOCUMENTS * 5)]
        with Reranker(folder, backend=self.backend) as reranker:
            results = reranker.rank(QUERY, documents)
            (alone,) = reranker.rank(QUERY, documents[:1])
        assert sorted(result.index for result in results) == list(range(len(documents)))
        first = next(result for result in results if result.index == 0)
        assert first.raw_score == pytest.approx(alone.raw_score, abs=self.tolerance)

    def _config(self, folder: Path) -> RerankConfig:
        return RerankConfig(model=str(folder), backend=self.backend)


def _encode(spec: ModelSpec) -> tuple[PairTemplate, list[EncodedPair]]:
    declared, tokenizer = spec.declared, load_tokenizer(spec.folder.name, spec.folder.path)
    around = (
        read_template(tokenizer, declared.pair_encoding)
        if declared.prompt is None
        else read_prompt(spec.folder.name, declared.prompt, tokenizer)
    )
    encoder = pair_encoder(
        tokenizer,
        around,
        ReadingOptions(),
        default_max_length=declared.max_length,
        max_positions=declared.max_positions,
        query_prompt=declared.query_prompt,
    )
    pairs = encoder.encode([Pair(QUERY, document) for document in DOCUMENTS]).pairs
    return around.template if isinstance(around, Prompt) else around, pairs
