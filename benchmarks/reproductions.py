"""Keep what finished reproductions found: a small file a study for the gallery, and a row a claim in a ledger.

``python -m benchmarks.reproductions runs/reproduce-*-full`` reads directories that ``normwise reproduce`` has left.
``python -m benchmarks.reproductions --scale full --minutes 60`` runs every study (or those of ``--study``) first; one
that takes longer is stopped, run at ``quick`` instead, and goes on where it was the next time.
``make docs`` makes the gallery of the files.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from normwise.figures import packing
from normwise.figures.series import spread
from normwise.lab.studies import NAMES
from normwise.records.files import read_json, write_json
from normwise.records.study import STUDY

RESULTS = Path(__file__).parent / "results"
POINTS = 300
"""Of a line; more are thinned evenly."""

COLUMNS = (
    "study", "scale", "claim", "verdict", "words", "seconds", "seconds_of_one_core", "device", "processor", "cores",
    "python", "normwise", "torch", "numpy", "date",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directories", nargs="*", type=Path, metavar="DIR", help="of finished reproductions")
    parser.add_argument("--scale", choices=("quick", "full"), help="run the studies at this scale first")
    parser.add_argument("--study", action="append", choices=NAMES, metavar="NAME", help="with --scale; repeat for more")
    parser.add_argument("--minutes", type=float, default=60, help="with --scale: of one study (60)")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help=f"by default {RESULTS}")
    asked = parser.parse_args()
    directories = [each for each in asked.directories if (each / STUDY).exists()]  # not the index of all
    for name in (asked.study or NAMES) if asked.scale else ():
        directory = ran(name, asked.scale, asked.minutes)
        directories += [directory] if directory else []
        if directory:
            keep([directory], asked.out)
    if not directories:
        parser.error("give directories, or --scale")
    keep(directories, asked.out)


def ran(name: str, scale: str, minutes: float) -> Path | None:
    """The directory of a study that was run, at quick where the scale takes too long; None where it fails."""
    for each in dict.fromkeys((scale, "quick")):
        command = [sys.executable, "-m", "normwise", "reproduce", name, "--scale", each]
        try:
            done = subprocess.run(command, timeout=60 * minutes, stdout=subprocess.DEVNULL, check=False)
        except subprocess.TimeoutExpired:
            print(f"{name}: {each} takes more than {minutes:g} minutes", file=sys.stderr, flush=True)
            continue
        directory = Path("runs") / f"reproduce-{name}-{each}"
        print(f"{name}: {each} {'done' if done.returncode == 0 else 'failed'}", file=sys.stderr, flush=True)
        return directory if done.returncode == 0 else None
    return None


def keep(directories: Sequence[Path], out: Path) -> None:
    """Write the file of each study, and its rows in the ledger in place of those that it had."""
    found = [kept(directory) for directory in directories]
    (out / "reproductions").mkdir(parents=True, exist_ok=True)
    for each in found:
        write_json(out / "reproductions" / f"{each['study']}.json", each)
    ledger = out / "reproductions.csv"
    new = {each["study"] for each in found}
    rows = [row for row in read(ledger) if row["study"] not in new]
    rows += [row for each in found for row in ledger_rows(each)]
    order = {name: place for place, name in enumerate(NAMES)}
    rows.sort(key=lambda row: order.get(row["study"], len(order)))
    with (temporary := ledger.with_suffix(".tmp")).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(temporary, ledger)  # noqa: PTH105


def kept(directory: Path) -> dict[str, Any]:
    """What is kept of one reproduction; raises ValueError for a directory that holds none that ended well."""
    study, result = read_json(directory / STUDY) or {}, read_json(directory / "result.json") or {}
    if study.get("study") != "reproduce" or not study.get("verdicts") or not result.get("figures"):
        raise ValueError(f"{directory} holds no reproduction that ended well; run normwise reproduce again")
    name = Path(result["figures"][0]).stem
    drawn = read_json(directory / "figures" / f"{name}.json")
    if drawn is not None:
        drawn = {
            "name": name,
            **drawn,
            "info": packing.pack(thinned(packing.unpack(drawn["drawing"], drawn["info"]))),
        }
    keys = ("scale", "data", "device", "command", "date", "seconds", "versions", "machine")
    facts = {"device": "cpu", **study}  # which early records do not say
    return {"study": study["name"], **{key: facts[key] for key in keys}, "claims": result["claims"], "figure": drawn}


def thinned(info: Any) -> Any:
    """The same with at most ``POINTS`` points a line."""
    if not hasattr(info, "frames"):
        return info
    frames = [frame._replace(lines=[_thinned(line) for line in frame.lines]) for frame in info.frames]
    return info._replace(frames=tuple(frames))


def _thinned(line: Any) -> Any:
    kept = spread(range(len(line.x)), POINTS)
    parts = {
        key: [getattr(line, key)[place] for place in kept] for key in ("x", "y", "low", "high") if getattr(line, key)
    }
    return line._replace(**parts)


def ledger_rows(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row for each claim."""
    shared = {
        "study": found["study"],
        "scale": found["scale"],
        "seconds": f"{found['seconds']['clock']:.0f}",
        "seconds_of_one_core": f"{found['seconds']['summed']:.0f}",
        "device": found["device"],
        "date": found["date"],
        **{key: found["machine"][key] for key in ("processor", "cores", "python")},
        **{key: found["versions"][key] for key in ("normwise", "torch", "numpy")},
    }
    return [{**shared, **{key: claim[key] for key in ("claim", "verdict", "words")}} for claim in found["claims"]]


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a ledger; none where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    main()
