"""Run benchmarks and print ratios or microseconds: ``python -m benchmarks.run [NAME …] [-n PAIRS] [--ledger]``.

``--ledger`` appends a row per benchmark to ``results/lab.csv``, ``layer.csv`` or ``overhead.csv``.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from statistics import median

from benchmarks.registry import BENCHMARKS
from normwise.bench import ledger
from normwise.bench.timing import busy

HERE = Path(__file__).parent
RESULTS = HERE / "results"
NEED_DATA = {"mnist", "cifar10"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; by default all that have their data"
    )
    parser.add_argument("-n", type=int, default=5, metavar="PAIRS", help="pairs per benchmark (5)")
    parser.add_argument("--ledger", action="store_true", help=f"append to {RESULTS.relative_to(HERE.parent)}")
    asked = parser.parse_args()
    for name in asked.names:
        if name not in BENCHMARKS:
            parser.error(f"no benchmark {name!r}; there are {', '.join(BENCHMARKS)}")
    if warning := busy():
        print(f"warning: {warning}")
    has_data = "NORMWISE_DATA" in os.environ
    for name in asked.names or [name for name in BENCHMARKS if has_data or not NEED_DATA & {*name.split("-")}]:
        benchmark = BENCHMARKS[name]
        figures = [found.figure for found in benchmark.measure(asked.n)]
        row = {
            benchmark.column: f"{median(figures):.3f}",
            "min": f"{min(figures):.3f}",
            "max": f"{max(figures):.3f}",
            "n": len(figures),
        }
        print(
            f"{name:24} {row[benchmark.column]} ({row['min']} to {row['max']}, n={row['n']})  {benchmark.question}",
            flush=True,
        )
        if asked.ledger:
            ledger.append(
                RESULTS / f"{benchmark.ledger}.csv",
                [{"benchmark": name, **row, "question": benchmark.question}],
            )


if __name__ == "__main__":
    main()
