"""Figures of an evaluation, each one question answered at a glance."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rerank_plugins.evaluation.evaluator import Evaluation, rerank_first
from rerank_plugins.evaluation.measures import average, recall
from rerank_plugins.extras import extra

with extra("evaluation", provides="matplotlib"):
    from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Colours that are told apart by eyes of all kinds: Okabe and Ito, "Color Universal Design", 2008.
BEFORE, AFTER, OTHER = "#999999", "#0072B2", "#D55E00"
_CUTS = (1, 2, 3, 5, 10, 15, 20, 30, 40, 50, 75, 100)


def save_figures(evaluations: Sequence[Evaluation], folder: Path) -> list[Path]:
    """Write the figures as PNG files and return where they are.

    Args:
        evaluations: One a dataset and model.
        folder: Where they go; made if it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for evaluation in evaluations:
        for name, draw in (("candidates", _draw_candidates), ("recall", _draw_recall), ("scores", _draw_scores)):
            figure = Figure(figsize=(6, 4), dpi=160, layout="constrained")
            draw(figure.subplots(), evaluation)
            files.append(folder / f"{evaluation.dataset.name}-{_file_name(evaluation.model)}-{name}.png")
            figure.savefig(files[-1])
    figure = Figure(figsize=(6, 4), dpi=160, layout="constrained")
    _draw_latency(figure.subplots(), evaluations)
    files.append(folder / "latency.png")
    figure.savefig(files[-1])
    return files


def _draw_candidates(axes: "Axes", evaluation: Evaluation) -> None:
    """Is k large enough, or larger than it need be?"""
    longest = max(map(len, evaluation.scored.values()), default=0)
    cuts = [cut for cut in _CUTS if cut < longest] + [longest]
    qrels = evaluation.dataset.qrels
    values = [average(rerank_first(evaluation.scored, cut), qrels, evaluation.top_n)["nDCG@10"] for cut in cuts]
    axes.plot(cuts, values, marker="o", color=AFTER, label="reranked")
    axes.axhline(evaluation.before.measured["nDCG@10"], color=BEFORE, linestyle="--", label="first stage alone")
    _label(axes, evaluation, "candidates reranked, of those handed over", "nDCG@10")


def _draw_recall(axes: "Axes", evaluation: Evaluation) -> None:
    """How many documents must the LLM read to see the answer?"""
    longest = max(map(len, evaluation.scored.values()), default=1)
    cuts = [cut for cut in _CUTS if cut <= longest]
    before = rerank_first(evaluation.scored, 0)
    after = rerank_first(evaluation.scored, None)
    for run, colour, label in ((after, AFTER, "reranked"), (before, BEFORE, "first stage alone")):
        axes.plot(cuts, recall(run, evaluation.dataset.qrels, cuts), marker="o", color=colour, label=label)
    _label(axes, evaluation, "documents kept (n)", "recall@n")


def _draw_scores(axes: "Axes", evaluation: Evaluation) -> None:
    """Where would a score threshold cut?"""
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
    """What does quality cost?"""
    for evaluation in evaluations:
        milliseconds = 1000 * evaluation.seconds / max(1, len(evaluation.scored))
        axes.scatter([milliseconds], [evaluation.after["nDCG@10"]], color=AFTER, s=50)
        axes.annotate(
            f"{evaluation.dataset.name}\n{Path(evaluation.model).name}",
            (milliseconds, evaluation.after["nDCG@10"]),
            textcoords="offset points",
            xytext=(6, -4),
            fontsize=8,
        )
    axes.set_xlabel("milliseconds a question")
    axes.set_ylabel("nDCG@10 after reranking")
    axes.margins(0.25)
    axes.grid(alpha=0.3)
    axes.set_title("What quality costs", fontsize=11)


def _label(axes: "Axes", evaluation: Evaluation, horizontal: str, vertical: str) -> None:
    axes.set_xlabel(horizontal)
    axes.set_ylabel(vertical)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    axes.set_title(f"{evaluation.dataset.name}, {Path(evaluation.model).name}", fontsize=11)


def _file_name(model: str) -> str:
    return Path(model).name.replace(" ", "_")
