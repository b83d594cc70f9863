"""`rerank-plugins evaluate`: the quality of a ranking before and after reranking, over judged queries."""

from collections.abc import Callable, Sequence
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
    from rerank_plugins.evaluation.dataset import Dataset
    from rerank_plugins.evaluation.results import Baseline, Evaluation
    from rerank_plugins.evaluation.runs import Run
    from rerank_plugins.retrieval.embedding import BiEncoder

    # A dataset with its candidates, and with another order of them to compare with.
    Task = tuple[Dataset, Run, Baseline | None]


class FirstStage(StrEnum):
    """The source of the candidates."""

    FAISS = "faiss"
    BM25 = "bm25"
    FILE = "file"


@options.takes_config(ModelOptions, RuntimeOptions, ReadingOptions, without=("model",))
def evaluate(
    data: Annotated[list[Path], typer.Option(help="Folder in the BEIR layout. Can be repeated.")],
    model: Annotated[
        list[str] | None,
        typer.Option(help="Folder, or name on the Hub. Can be repeated. Default: the embedded model."),
    ] = None,
    retriever: Annotated[
        FirstStage, typer.Option(help="Source of the candidates; file: candidates.jsonl or candidates.trec.")
    ] = FirstStage.FAISS,
    embedding_model: Annotated[
        str | None, typer.Option(help="Embedding model for FAISS. Default: all-MiniLM-L6-v2.")
    ] = None,
    k: Annotated[int, typer.Option("--k", min=1, help="Candidates per query.")] = 50,
    top_n: options.TopN = 5,
    queries: Annotated[
        int | None, typer.Option(min=1, help="Number of queries to sample from each dataset. Default: all.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed for the sample.")] = 0,
    baseline: Annotated[
        str | None,
        typer.Option(help="Also compare with an embedding model's cosine similarity, such as all-MiniLM-L6-v2."),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report with figures to this folder.")] = None,
    json: options.Json = False,
    *,
    config: RerankConfig,
) -> None:
    """Measure nDCG, MRR, recall and precision before and after reranking."""
    from rerank_plugins.evaluation.dataset import read_dataset

    datasets = [read_dataset(folder).sample(queries, seed=seed) for folder in data]
    lists = _candidates(datasets, retriever, embedding_model, k)
    tasks = list(zip(datasets, lists, _baselines(datasets, lists, baseline), strict=True))
    names: Sequence[str | None] = model or [None if config.model is None else str(config.model)]
    evaluations = [each for name in names for each in _evaluate(tasks, replace(config, model=name), top_n)]
    _show(evaluations, json=json)
    if report is not None:
        from rerank_plugins.evaluation.report import save_report

        errors.print(f"Report: {save_report(evaluations, report)}", style="dim", soft_wrap=True)


def _show(evaluations: "Sequence[Evaluation]", *, json: bool) -> None:
    if json:
        print_json({"datasets": [evaluation.as_json() for evaluation in evaluations]})
        return
    for evaluation in evaluations:
        _print(evaluation)


def _evaluate(tasks: "Sequence[Task]", config: RerankConfig, top_n: int) -> "list[Evaluation]":
    from rerank_plugins.evaluation.evaluator import evaluate as evaluate_one

    evaluations = []
    with Reranker.from_config(config) as reranker, progress("queries") as bar:
        for dataset, candidates, baseline in tasks:
            task = bar.add_task(dataset.name, total=len(dataset.queries))
            on_progress = _advance(bar.advance, task)
            evaluations.append(
                evaluate_one(dataset, candidates, reranker, top_n=top_n, baseline=baseline, on_progress=on_progress)
            )
    return evaluations


def _baselines(
    datasets: "Sequence[Dataset]", lists: "Sequence[Run]", embedding_model: str | None
) -> "Sequence[Baseline | None]":
    from rerank_plugins.evaluation.evaluator import by_cosine

    if embedding_model is None:
        return [None] * len(datasets)
    encoder = _open_encoder(embedding_model)
    return [by_cosine(dataset, candidates, encoder) for dataset, candidates in zip(datasets, lists, strict=True)]


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


def _print(evaluation: "Evaluation") -> None:
    before, baseline = evaluation.before, evaluation.baseline
    rows = [("before", before.averages), ("after", evaluation.after.averages)]
    rows += [] if baseline is None else [(baseline.name, baseline.averages)]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(evaluation.dataset.name)
    for measure in evaluation.after.averages:
        table.add_column(measure, justify="right")
    for name, values in rows:
        table.add_row(name, *(f"{value:.3f}" for value in values.values()))
    console.print()
    console.print(table)
    for other in (before, baseline):
        if other is not None:
            console.print(other.verdict, style="dim")
    console.print(f"{evaluation.summary}, {evaluation.model} model", style="dim")
