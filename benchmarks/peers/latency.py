"""One request at a time: how long each library takes for the same documents with the same weights.

Run it with: .venv/bin/python benchmarks/peers/latency.py
"""

from classifier import classifier
from contest import FP32, INT8, REFERENCE, TORCH, best, defaults, ours
from figure import draw_bars
from lists import Lists
from tables import print_table
from team import Contestant, Measured, loaded

# Documents, tokens per document, rounds; slow sizes get fewer rounds.
SIZES = [
    (10, 30, 9),
    (10, 150, 9),
    (10, 450, 3),
    (50, 30, 9),
    (50, 150, 19),
    (50, 450, 3),
    (200, 30, 3),
    (200, 150, 3),
    (200, 450, 1),
    (1000, 30, 3),
]
BEST_SIZES = [(10, 150, 9), (50, 150, 19), (200, 150, 3)]
DRAWN = (50, 150)


def main() -> None:
    """Print a table for each setting and measure, and draw a chart of the requests with 50 documents."""
    folders, lists = classifier(), Lists()
    _measure("As they come", "peers", [*ours(folders), *defaults(folders)], lists, SIZES)
    _measure("At their best", "peers-best", [*ours(folders), *best(folders)], lists, BEST_SIZES)


def _measure(
    title: str, name: str, contestants: list[Contestant], lists: Lists, sizes: list[tuple[int, int, int]]
) -> None:
    results: dict[str, dict[str, Measured]] = {}
    with loaded(contestants) as team:
        for documents, tokens, rounds in sizes:
            requests = lists.requests(rounds, documents=documents, tokens=tokens)
            results[_size(documents, tokens)] = team.measure([[each] for each in requests])
    _print(title, contestants, results)
    drawn = {label: each.median * 1000 for label, each in results[_size(*DRAWN)].items() if not each.error}
    sentence = "{} documents of {} tokens, the same weights".format(*DRAWN)
    draw_bars(name, f"{title}: {sentence}", drawn, ours={FP32, INT8, TORCH})


def _print(title: str, contestants: list[Contestant], results: dict[str, dict[str, Measured]]) -> None:
    labels = [contestant.label for contestant in contestants]
    print(f"\n### {title}: milliseconds, median (95th percentile)\n")
    print_table(
        ["documents x tokens", *results],
        [[label, *(_latency(each[label]) for each in results.values())] for label in labels],
    )
    print(f"\n### {title}: as a multiple of {INT8}\n")
    print_table(
        ["documents x tokens", *results],
        [[label, *(_ratio(each[label], each[INT8]) for each in results.values())] for label in labels],
    )
    print(f"\n### {title}: agreement with {REFERENCE}, Kendall's tau and overlap of the top five\n")
    print_table(
        ["documents x tokens", *results],
        [[label, *(_agreement(each[label], each[REFERENCE]) for each in results.values())] for label in labels],
    )
    print(f"\n### {title}: peak memory\n")
    last = list(results.values())[-1]
    print_table(["", "MB"], [[label, f"{last[label].peak_mb:,.0f}"] for label in labels])


def _size(documents: int, tokens: int) -> str:
    return f"{documents} x {tokens}"


def _latency(measured: Measured) -> str:
    return measured.error or f"{measured.median * 1000:,.0f} ({measured.p95 * 1000:,.0f})"


def _ratio(measured: Measured, ours: Measured) -> str:
    return "failed" if measured.error else f"{measured.median / ours.median:.2f}"


def _agreement(measured: Measured, reference: Measured) -> str:
    return "failed" if measured.error else "{:.3f}, {:.3f}".format(*measured.agreement(reference))


if __name__ == "__main__":
    main()
