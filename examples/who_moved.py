"""Who moved where: a picture of 50 candidates in FAISS's order and in the cross-encoder's order.

Run it with: python examples/who_moved.py [QUESTION] [FILE]
"""

import sys
from textwrap import shorten

from first_stage import search
from matplotlib.figure import Figure

from rerank_plugins import Reranker

QUESTION = "who wrote the first declaration of human rights"
K, KEPT = 50, 5
KEPT_COLOUR, OTHER_COLOUR = "#0072B2", "#C8C8C8"


def main(question: str = QUESTION, file: str = "who-moved.png") -> None:
    """Draw a line for each candidate and label the ones that the LLM reads."""
    texts = [passage.full_text for _, passage in search(question, K)]
    with Reranker() as reranker:
        results = reranker.rank(question, texts)
    figure = Figure(figsize=(8, 5), dpi=160, layout="constrained")
    axes = figure.subplots()
    for rank, result in enumerate(results, start=1):
        was = result.index + 1
        kept = rank <= KEPT
        axes.plot([0, 1], [was, rank], color=KEPT_COLOUR if kept else OTHER_COLOUR, lw=2 if kept else 0.8, zorder=kept)
        if kept:
            passage = shorten(texts[result.index], 60, placeholder=" …")
            axes.text(1.03, rank, f"{rank}  {passage}", va="center", fontsize=11)
    axes.set_yscale("log")
    axes.set(xlim=(0, 2.6), ylim=(K * 1.1, 0.9), ylabel="rank among the candidates, best on top (log scale)")
    axes.set_yticks([1, 2, 3, 5, 10, 20, K], labels=["1", "2", "3", "5", "10", "20", str(K)])
    axes.set_xticks([0, 1], labels=["FAISS", "cross-encoder"])
    axes.tick_params(axis="y", which="minor", left=False)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.set_title(f"{question}?", fontsize=11, loc="left")
    figure.savefig(file)
    places = ", ".join(str(result.index + 1) for result in results[:KEPT])
    print(f"The top {KEPT} had FAISS ranks {places}. The picture is in {file}.")


if __name__ == "__main__":
    main(*sys.argv[1:3])
