"""Draw the figures of an evaluation, each of which answers one question."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from rerank_plugins.evaluation.evaluator import rerank_first
from rerank_plugins.evaluation.measures import per_question, recall
from rerank_plugins.evaluation.results import Evaluation
from rerank_plugins.extras import extra

with extra("evaluation", provides="matplotlib"):
    from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# A palette for all kinds of colour vision: Okabe and Ito, "Color Universal Design", 2008.
BEFORE, AFTER, OTHER = "#999999", "#0072B2", "#D55E00"
_CUTOFFS = (1, 2, 3, 5, 10, 15, 20, 30, 40, 50, 75, 100)


def save_figures(evaluations: Sequence[Evaluation], folder: Path) -> list[Path]:
    """Write the figures as PNG files.

    Args:
        evaluations: One for each dataset and model.
        folder: The folder; created if it does not exist.

    Returns:
        The files' paths.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for evaluation, stem in zip(evaluations, _stems(evaluations), strict=True):
        for name, draw in (("candidates", _draw_candidates), ("recall", _draw_recall), ("scores", _draw_scores)):
            figure = Figure(figsize=(6, 4), dpi=160, layout="constrained")
            draw(figure.subplots(), evaluation)
            files.append(folder / f"{stem}-{name}.png")
            figure.savefig(files[-1])
    figure = Figure(figsize=(6, 4), dpi=160, layout="constrained")
    _draw_latency(figure.subplots(), evaluations)
    files.append(folder / "latency.png")
    figure.savefig(files[-1])
    return files


def _stems(evaluations: Sequence[Evaluation]) -> Iterator[str]:
    """Name each evaluation's files; two folders or models may have one name."""
    used: Counter[str] = Counter()
    for evaluation in evaluations:
        stem = f"{evaluation.dataset.name}-{Path(evaluation.model).name.replace(' ', '_')}"
        used[stem] += 1
        yield stem if used[stem] == 1 else f"{stem}-{used[stem]}"


def _draw_candidates(axes: "Axes", evaluation: Evaluation) -> None:
    """Answer whether k is large enough, or larger than necessary."""
    longest = max(map(len, evaluation.scored.values()))
    cutoffs = [cutoff for cutoff in _CUTOFFS if cutoff < longest] + [longest]
    qrels = evaluation.dataset.qrels
    values = [fmean(per_question(rerank_first(evaluation.scored, cutoff), qrels).values()) for cutoff in cutoffs]
    axes.plot(cutoffs, values, marker="o", color=AFTER, label="reranked")
    axes.axhline(evaluation.before.averages["nDCG@10"], color=BEFORE, linestyle="--", label="first stage alone")
    _label(axes, evaluation, "candidates reranked", "nDCG@10")


def _draw_recall(axes: "Axes", evaluation: Evaluation) -> None:
    """Answer how many documents the LLM must read to see the answer."""
    longest = max(map(len, evaluation.scored.values()))
    cutoffs = [cutoff for cutoff in _CUTOFFS if cutoff <= longest]
    before = rerank_first(evaluation.scored, 0)
    after = rerank_first(evaluation.scored, None)
    for run, colour, label in ((after, AFTER, "reranked"), (before, BEFORE, "first stage alone")):
        axes.plot(cutoffs, recall(run, evaluation.dataset.qrels, cutoffs), marker="o", color=colour, label=label)
    _label(axes, evaluation, "documents kept (n)", "recall@n")


def _draw_scores(axes: "Axes", evaluation: Evaluation) -> None:
    """Show which documents a score threshold would keep."""
    relevant: list[float] = []
    others: list[float] = []
    for query_id, candidates in evaluation.scored.items():
        grades = evaluation.dataset.qrels[query_id]
        for candidate in candidates:
            (relevant if grades.get(candidate.document_id, 0) > 0 else others).append(candidate.score)
    for scores, colour, label in ((others, BEFORE, "other documents"), (relevant, AFTER, "judged relevant")):
        shown = f"{label} ({len(scores):,})"
        axes.hist(scores, bins=25, range=(0, 1), color=colour, alpha=0.65, density=True, label=shown)
    _label(axes, evaluation, "score", "density")


def _draw_latency(axes: "Axes", evaluations: Sequence[Evaluation]) -> None:
    """Compare quality with latency."""
    for evaluation in evaluations:
        milliseconds = 1000 * evaluation.workload.seconds / len(evaluation.scored)
        axes.scatter([milliseconds], [evaluation.after.averages["nDCG@10"]], color=AFTER, s=50)
        axes.annotate(
            f"{evaluation.dataset.name}\n{Path(evaluation.model).name}",
            (milliseconds, evaluation.after.averages["nDCG@10"]),
            textcoords="offset points",
            xytext=(6, -4),
            fontsize=8,
        )
    axes.set_xlabel("milliseconds per query")
    axes.set_ylabel("nDCG@10 after reranking")
    axes.margins(0.25)
    axes.grid(alpha=0.3)
    axes.set_title("Quality and latency", fontsize=11)


def _label(axes: "Axes", evaluation: Evaluation, horizontal: str, vertical: str) -> None:
    axes.set_xlabel(horizontal)
    axes.set_ylabel(vertical)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    axes.set_title(f"{evaluation.dataset.name}, {Path(evaluation.model).name}", fontsize=11)
