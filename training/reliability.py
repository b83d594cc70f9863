"""Plot how well the shipped model's scores are calibrated: python -m training.reliability --data FOLDER."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from matplotlib.figure import Figure

from rerank_plugins.evaluation.dataset import read_dataset
from rerank_plugins.evaluation.evaluator import evaluate
from rerank_plugins.evaluation.figures import AFTER, BEFORE, OTHER
from rerank_plugins.evaluation.first_stage import retrieve_with_faiss
from rerank_plugins.reranker import Reranker
from rerank_plugins.retrieval.embedding import BiEncoder
from training.calibrate import calibration_error, reliability

# Sets with one answer per question, in which unjudged documents are rarely relevant.
_SETS = ("nq_open_gold", "mlquestions_test")
_FIGURE = Path(__file__).parents[1] / "docs" / "figures" / "reliability.png"


def main(
    data: Annotated[Path, typer.Option(help="Folder with the collections in eval/.")],
    queries: Annotated[int, typer.Option(help="Number of questions per set.")] = 200,
) -> None:
    """Score FAISS's top 50 and compare scores with the share of relevant documents at each score."""
    encoder = BiEncoder()
    figure = Figure(figsize=(5, 5), dpi=160, layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=BEFORE, linestyle="--", label="a score that is the probability")
    with Reranker() as reranker:
        for name, colour in zip(_SETS, (AFTER, OTHER), strict=True):
            dataset = read_dataset(data / "eval" / name).sample(queries, seed=0)
            scored = evaluate(dataset, retrieve_with_faiss(dataset, 50, encoder), reranker).scored
            pairs = [(each.score, query_id, each.document_id) for query_id, row in scored.items() for each in row]
            answers = np.array([dataset.qrels[query_id].get(document_id, 0) > 0 for _, query_id, document_id in pairs])
            rows = reliability(np.array([score for score, *_ in pairs]), answers)
            error = calibration_error(rows)
            typer.echo(f"{name}: {len(pairs):,} pairs, expected calibration error {error:.3f}")
            for mean, share, count in rows:
                typer.echo(f"    score {mean:.2f}: {share:.2f} answer, of {count:,}")
            axes.plot(*zip(*[row[:2] for row in rows], strict=True), marker="o", color=colour, label=name)
    axes.set(xlabel="score", ylabel="share of documents that answer", xlim=(0, 1), ylim=(0, 1))
    axes.legend()
    _FIGURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(_FIGURE)


if __name__ == "__main__":
    typer.run(main)
