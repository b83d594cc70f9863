"""Write an HTML page with the tables and figures of an evaluation."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from rerank_plugins.evaluation.figures import save_figures
from rerank_plugins.evaluation.results import Evaluation

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Reranking, before and after</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }}
table {{ border-collapse: collapse; display: block; overflow-x: auto; }}
th, td {{ padding: .3rem .8rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap; }}
th:first-child, td:first-child {{ text-align: left; white-space: normal; }}
img {{ max-width: 100%; }}
figure {{ margin: 1.5rem 0; }}
</style>
</head>
<body>
<h1>Reranking, before and after</h1>
{tables}
{figures}
</body>
</html>
"""


def save_report(evaluations: Sequence[Evaluation], folder: Path) -> Path:
    """Write figures and a page, `index.html`, to a folder.

    Args:
        evaluations: One for each dataset and model.
        folder: The folder; created if it does not exist.

    Returns:
        The page's path.
    """
    files = save_figures(evaluations, folder)
    figures = "\n".join(
        f'<figure><img src="{escape(quote(file.name))}" alt="{escape(file.stem)}"></figure>' for file in files
    )
    page = folder / "index.html"
    page.write_text(_PAGE.format(tables="\n".join(map(_table, evaluations)), figures=figures), encoding="utf-8")
    return page


def _table(evaluation: Evaluation) -> str:
    measures = list(evaluation.after.averages)
    rows = [("before", evaluation.before.averages), ("after", evaluation.after.averages)]
    if evaluation.baseline is not None:
        rows.append((evaluation.baseline.name, evaluation.baseline.averages))
    head = "".join(f"<th>{escape(measure)}</th>" for measure in measures)
    body = "".join(
        f"<tr><td>{escape(name)}</td>" + "".join(f"<td>{values[measure]:.3f}</td>" for measure in measures) + "</tr>"
        for name, values in rows
    )
    return (
        f"<h2>{escape(evaluation.dataset.name)}, {escape(evaluation.model)}</h2>"
        f"<p>{escape(evaluation.before.verdict)}. {escape(evaluation.summary)}.</p>"
        f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table>"
        f"{_questions(evaluation)}"
    )


def _questions(evaluation: Evaluation) -> str:
    """List the queries whose nDCG@10 changed, the largest loss first."""
    before, after = evaluation.before.per_question, evaluation.after.per_question
    gains = {each: after[each] - before[each] for each in after}
    changed = sorted((each for each, gain in gains.items() if gain), key=gains.__getitem__)
    rows = "".join(
        f"<tr><td>{escape(evaluation.dataset.queries[each])}</td><td>{before[each]:.3f}</td><td>{after[each]:.3f}</td></tr>"
        for each in changed
    )
    return (
        "<details><summary>Query by query, the largest loss first</summary><table><thead><tr><th>query</th>"
        f"<th>nDCG@10 before</th><th>after</th></tr></thead><tbody>{rows}</tbody></table></details>"
    )
