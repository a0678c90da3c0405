"""Run benchmarks and print ratios: ``python -m benchmarks.run [NAME …] [-n PAIRS] [--ledger]``.

``--ledger`` appends a row per benchmark to ``results/lab.csv``.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks.registry import BENCHMARKS
from normwise.lab import machine

HERE = Path(__file__).parent
LEDGER = HERE / "results" / "lab.csv"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; by default all that have their data"
    )
    parser.add_argument("-n", type=int, default=5, metavar="PAIRS", help="pairs per benchmark (5)")
    parser.add_argument("--ledger", action="store_true", help=f"append to {LEDGER.relative_to(HERE.parent)}")
    asked = parser.parse_args()
    for name in asked.names:
        if name not in BENCHMARKS:
            parser.error(f"no benchmark {name!r}; there are {', '.join(BENCHMARKS)}")
    if os.getloadavg()[0] > 0.5:
        print(f"warning: the machine is busy (load {os.getloadavg()[0]:.1f}); ratios will spread")
    for name in asked.names or [name for name in BENCHMARKS if "mnist" not in name or "NORMWISE_DATA" in os.environ]:
        ratios = [pair.ratio for pair in BENCHMARKS[name].measure(asked.n)]
        row = {
            "ratio": f"{median(ratios):.3f}",
            "min": f"{min(ratios):.3f}",
            "max": f"{max(ratios):.3f}",
            "n": len(ratios),
        }
        print(
            f"{name:24} {row['ratio']} ({row['min']} to {row['max']}, n={row['n']})  {BENCHMARKS[name].question}",
            flush=True,
        )
        if asked.ledger:
            append(name, row)


def append(name: str, row: dict[str, object]) -> None:
    """One row of the ledger: what was measured, on which machine, with which versions and code."""
    described, versions = machine.describe(), machine.versions("normwise", "torch")
    whole = {
        "date": datetime.now(UTC).date().isoformat(),
        "benchmark": name,
        **row,
        "question": BENCHMARKS[name].question,
        "processor": described["processor"],
        "cores": described["cores"],
        "python": described["python"],
        **versions,
        "code": code_hash(),
    }
    new = not LEDGER.exists()
    with LEDGER.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, whole, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(whole)


def code_hash() -> str:
    """The first 12 digits of SHA-256 over the package's and the benchmarks' source."""
    digest = hashlib.sha256()
    for path in sorted([*(HERE.parent / "src").rglob("*.py"), *HERE.glob("*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


if __name__ == "__main__":
    main()
