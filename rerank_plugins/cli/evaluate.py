"""`rerank-plugins evaluate`: before and after over judged questions."""

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from rerank_plugins.cli import options
from rerank_plugins.cli.screen import console, errors, print_json, progress
from rerank_plugins.options import ModelOptions, ReadingOptions, RerankConfig, RuntimeOptions
from rerank_plugins.reranker import Reranker

if TYPE_CHECKING:
    from rerank_plugins.evaluation.dataset import Dataset, Run
    from rerank_plugins.evaluation.evaluator import Evaluation
    from rerank_plugins.retrieval.embedding import BiEncoder


class FirstStage(StrEnum):
    """Where the lists come from."""

    FAISS = "faiss"
    BM25 = "bm25"
    FILE = "file"


@options.takes_config(ModelOptions, RuntimeOptions, ReadingOptions, without=("model",))
def evaluate(
    data: Annotated[list[Path], typer.Option(help="A folder in the BEIR layout; may be given more than once.")],
    model: Annotated[
        list[str] | None,
        typer.Option(help="Folder, or name on the Hub; the embedded model without it. May be given more than once."),
    ] = None,
    retriever: Annotated[FirstStage, typer.Option(help="Where the candidates come from.")] = FirstStage.FAISS,
    embedding_model: Annotated[str | None, typer.Option(help="For FAISS; all-MiniLM-L6-v2 without it.")] = None,
    k: Annotated[int, typer.Option("--k", min=1, help="How many candidates a question has.")] = 50,
    top_n: options.TopN = 5,
    queries: Annotated[int | None, typer.Option(min=1, help="Draw so many questions a set; all without it.")] = None,
    seed: Annotated[int, typer.Option(help="What the draw starts from.")] = 0,
    baseline: Annotated[
        str | None, typer.Option(help="Compare with an embedding model's cosine; all-MiniLM-L6-v2 is the packaged one.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write figures and a page to this folder.")] = None,
    json: options.Json = False,
    *,
    config: RerankConfig,
) -> None:
    """Measure nDCG, MRR, recall and precision before and after reranking judged questions."""
    from rerank_plugins.evaluation.dataset import read_dataset
    from rerank_plugins.evaluation.evaluator import by_cosine
    from rerank_plugins.evaluation.evaluator import evaluate as evaluate_one

    datasets = [read_dataset(folder).sample(queries, seed=seed) for folder in data]
    lists = _candidates(datasets, retriever, embedding_model, k)
    encoder = None if baseline is None else _open_encoder(baseline)
    baselines = [
        None if encoder is None else by_cosine(dataset, candidates, encoder)
        for dataset, candidates in zip(datasets, lists, strict=True)
    ]
    evaluations = []
    names = [*model] if model else [config.model]
    for name in names:
        with Reranker.from_config(replace(config, model=name)) as reranker, progress("questions") as bar:
            for dataset, candidates, compared in zip(datasets, lists, baselines, strict=True):
                task = bar.add_task(dataset.name, total=len(dataset.queries))
                evaluations.append(
                    evaluate_one(
                        dataset,
                        candidates,
                        reranker,
                        top_n=top_n,
                        baseline=compared,
                        on_progress=_advance(bar.advance, task),
                    )
                )
    if json:
        print_json({"datasets": [evaluation.as_json() for evaluation in evaluations]})
    else:
        _print(evaluations)
    if report is not None:
        from rerank_plugins.evaluation.report import save_report

        errors.print(f"Report: {save_report(evaluations, report)}", style="dim", soft_wrap=True)


def _candidates(datasets: "list[Dataset]", retriever: FirstStage, embedding_model: str | None, k: int) -> "list[Run]":
    from rerank_plugins.evaluation import first_stage

    if retriever is FirstStage.FILE:
        return [first_stage.take_from_file(dataset, k) for dataset in datasets]
    if retriever is FirstStage.BM25:
        return [first_stage.retrieve_with_bm25(dataset, k) for dataset in datasets]
    encoder = _open_encoder(embedding_model)
    lists = []
    with progress("passages") as bar:
        for dataset in datasets:
            task = bar.add_task(f"Embedding {dataset.name}", total=len(dataset.passages))
            lists.append(first_stage.retrieve_with_faiss(dataset, k, encoder, on_progress=_advance(bar.advance, task)))
            bar.update(task, visible=False)
    return lists


def _open_encoder(name: str | None) -> "BiEncoder":
    from rerank_plugins.retrieval.embedding import PACKAGED_NAME, BiEncoder

    return BiEncoder(None if name == PACKAGED_NAME else name)


def _advance(advance: Callable[..., object], task: object) -> Callable[[int], object]:
    return lambda done: advance(task, done)


def _print(evaluations: "list[Evaluation]") -> None:
    for evaluation in evaluations:
        before, baseline = evaluation.before, evaluation.baseline
        rows = [("before", before.measured), ("after", evaluation.after)]
        rows += [] if baseline is None else [(baseline.name, baseline.measured)]
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        table.add_column(evaluation.dataset.name)
        for measure in evaluation.after:
            table.add_column(measure, justify="right")
        for name, values in rows:
            table.add_row(name, *(f"{value:.3f}" for value in values.values()))
        console.print()
        console.print(table)
        for other in (before, baseline):
            if other is not None:
                against = f"{other.wins:,} questions better, {other.losses:,} worse than {other.name}"
                console.print(f"{against}, p = {other.p_value:.4f}", style="dim")
        speed = f"{evaluation.seconds:.1f} s, {evaluation.pairs_per_second:,.0f} pairs a second"
        cut = f", {evaluation.truncated:,} of {evaluation.pairs:,} cut" if evaluation.truncated else ""
        questions = f"{len(evaluation.dataset.queries):,} questions"
        console.print(f"{questions}, {speed}, {evaluation.model} model{cut}", style="dim")
