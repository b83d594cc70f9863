"""Draw bar charts of times."""

from pathlib import Path

from matplotlib.figure import Figure

from rerank_plugins.evaluation.figures import AFTER, BEFORE

FIGURES = Path(__file__).parents[2] / "docs" / "figures"


def draw_bars(name: str, title: str, milliseconds: dict[str, float], *, ours: set[str]) -> None:
    """Save horizontal bars, shortest first, as docs/figures/NAME.png.

    Args:
        name: The file's name, without its suffix.
        title: The chart's title.
        milliseconds: The time of each contestant.
        ours: The contestants of this library, which are highlighted.
    """
    labels = sorted(milliseconds, key=milliseconds.__getitem__, reverse=True)
    figure = Figure(figsize=(7, 0.42 * len(labels) + 1.1), dpi=160, layout="constrained")
    axes = figure.subplots()
    colours = [AFTER if label in ours else BEFORE for label in labels]
    bars = axes.barh(labels, [milliseconds[label] for label in labels], color=colours)
    axes.bar_label(bars, fmt="{:,.0f}", padding=3)
    axes.set_xlabel("milliseconds, median")
    figure.suptitle(title, fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.1)
    figure.savefig(FIGURES / f"{name}.png")
