"""Run the doctor on networks that fail, that are healthy, and that misuse batch normalization.

``python -m benchmarks.doctor`` prints what it says of each; ``--ledger`` adds a row per case to a file, and ``--table``
prints the figures of such a file with the cases that are wrong.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

import torch

from benchmarks.doctor import collect, rows, score
from benchmarks.doctor.case import FRESH, HALVES, KINDS, Case
from benchmarks.doctor.registry import chosen
from normwise.bench import ledger

RESULTS = Path(__file__).parents[1] / "results" / "doctor.csv"
HEALTHY_SEEDS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--half", choices=(*HALVES, FRESH, "all"), default="all")
    parser.add_argument("--kind", choices=KINDS, default="")
    parser.add_argument("--case", default="", metavar="NAME")
    parser.add_argument("--no-treat", action="store_true", help="try no remedies")
    parser.add_argument("--seeds", type=int, default=3, help=f"of a network (3); a healthy one has {HEALTHY_SEEDS}")
    parser.add_argument("--ledger", type=Path, metavar="CSV", help=f"append a row per case, for example to {RESULTS}")
    parser.add_argument("--resume", action="store_true", help="leave out the cases that the ledger has from this code")
    parser.add_argument(
        "--table", type=Path, nargs="?", const=RESULTS, metavar="CSV", help="print the figures of a file"
    )
    parser.add_argument("--collect", type=Path, metavar="DIR", help="write what is watched of the lab's cases as JSON")
    asked = parser.parse_args()
    if asked.table:
        print("\n".join(rows.summary(read(asked.table))))
        return
    cases = chosen(asked.half, asked.kind, asked.case)
    if not cases:
        parser.error(f"no case {asked.case!r} of this half and kind")
    torch.set_num_threads(1)
    done = _done(asked.ledger) if asked.resume else set()
    found = []
    for case in cases:
        if case.name in done:
            continue
        if asked.collect:
            _collected(case, asked.collect, seeds_of(case, asked.seeds))
            continue
        each = rows.row(scored(case, seeds_of(case, asked.seeds), treat=not asked.no_treat))
        found.append(each)
        print(_line(each), flush=True)
        if asked.ledger:
            ledger.append(asked.ledger, [each])
    print("\n".join(rows.summary(found)))


def seeds_of(case: Case, asked: int) -> int:
    """Healthy networks are trained on fewer seeds than others, of which some fail by chance."""
    return min(asked, HEALTHY_SEEDS) if case.kind == "healthy" else asked


def scored(case: Case, seeds: int, *, treat: bool) -> score.Score:
    """The score of a case; where it raises, one that says so."""
    try:
        return score.score(case, seeds, treat=treat)
    except Exception as error:
        note = f"{type(error).__name__}: {str(error).splitlines()[0][:150] if str(error) else ''}"
        return score.Score(case, None, failed=True, healthy=True, right=False if case.label else None, note=note)


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a ledger."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _done(path: Path | None) -> set[str]:
    if path is None or not path.exists():
        return set()
    code = ledger.code_hash()
    return {each["case"] for each in read(path) if each["code"] == code}


def _collected(case: Case, folder: Path, seeds: int) -> None:
    if case.setup is None:
        return
    try:
        print(collect.collect(case, folder, seeds), flush=True)
    except Exception as error:
        print(f"{case.name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)


def _line(each: rows.Row) -> str:
    said = each["cause"] or "healthy"
    verdict = {"yes": "right", "no": "wrong", "": "-"}[str(each["right"])]
    cure = f"{each['recommendation'] or 'nothing'} cured={each['cured']} curable={each['curable']}"
    return (
        f"{each['case']:34} {each['value']:>8} failed={each['failed']:3} {said:28} {verdict:5} {cure} "
        f"{each['seconds']} s {each['note']}"
    )


if __name__ == "__main__":
    main()
