"""Many concurrent callers: requests per second of each library, with the same weights.

Run it with: .venv/bin/python benchmarks/peers/throughput.py
"""

from classifier import classifier
from contest import FP32, INT8, defaults, ours
from lists import Lists
from tables import print_table
from team import Contestant, Measured, loaded

CALLERS = (1, 8, 32)
DOCUMENTS, TOKENS = 10, 150
REQUESTS, ROUNDS = 32, 2
COROUTINES = f"{FP32}, coroutines"


def main() -> None:
    """Print requests per second and the 95th percentile of the latencies."""
    folders, lists = classifier(), Lists()
    contestants = [
        *ours(folders),
        Contestant(COROUTINES, "ours_in_asyncio", folders.fp32),
        *defaults(folders),
    ]
    requests = lists.requests(REQUESTS, documents=DOCUMENTS, tokens=TOKENS)
    with loaded(contestants) as team:
        results = {callers: team.measure([requests] * ROUNDS, callers=callers) for callers in CALLERS}
    print(f"\n### Requests per second, each with {DOCUMENTS} documents of {TOKENS} tokens (95th percentile, ms)\n")
    head = ["", *(f"{callers} callers" if callers > 1 else "1 caller" for callers in CALLERS), f"8, ratio to {INT8}"]
    print_table(
        head,
        [
            [
                contestant.label,
                *(_cell(results[callers][contestant.label]) for callers in CALLERS),
                _ratio(results[8][contestant.label], results[8][INT8]),
            ]
            for contestant in contestants
        ],
    )


def _cell(measured: Measured) -> str:
    return measured.error or f"{measured.throughput:.2f} ({measured.p95 * 1000:,.0f})"


def _ratio(measured: Measured, ours: Measured) -> str:
    return "failed" if measured.error else f"{measured.throughput / ours.throughput:.2f}"


if __name__ == "__main__":
    main()
