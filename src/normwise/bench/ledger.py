"""The ledger: figures with machine, versions, date and a hash of the code that made them, in CSV files."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import normwise
from normwise.bench.contenders import COMPILED, INPLACE, OURS, TORCH
from normwise.bench.entries import RECOMPUTING, Memory, Step
from normwise.bench.measure import Measurement
from normwise.errors import RequestError
from normwise.lab import machine


def checkout() -> Path:
    """The directory of the project's checkout that this package is imported from.

    Raises:
        RequestError: the package is installed elsewhere.
    """
    root = Path(normwise.__file__).parents[2]
    if not (root / "benchmarks" / "results").is_dir():
        raise RequestError(
            "--ledger writes to benchmarks/results of a checkout, and this normwise is installed without one; "
            "leave it out, or clone the project and install it with pip install --editable"
        )
    return root


def append(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Add rows to a file of the ledger, each between the date and what it was measured with.

    Raises:
        RequestError: the file has other columns.
    """
    if not rows:
        return
    check(path, rows[0])
    whole = [_stamped(row) for row in rows]
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, whole[0], lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(whole)


def check(path: Path, row: Mapping[str, object]) -> None:
    """Let pass a row that could be appended.

    Raises:
        RequestError: the file has other columns.
    """
    if not path.exists():
        return
    columns = list(_stamped(row))
    with path.open(newline="", encoding="utf-8") as file:
        there = next(csv.reader(file), [])
    if there != columns:
        raise RequestError(f"{path} has the columns {', '.join(there)}, not {', '.join(columns)}; move it away")


def _stamped(row: Mapping[str, object]) -> dict[str, object]:
    return {"date": datetime.now(UTC).date().isoformat(), **row, **described()}


def described() -> dict[str, str]:
    """Processor, cores, versions and ``code_hash``."""
    found = machine.describe()
    return {
        "processor": found["processor"],
        "cores": found["cores"],
        "python": found["python"],
        **machine.versions("normwise", "torch"),
        "code": code_hash(),
    }


def code_hash() -> str:
    """The first 12 digits of SHA-256 over the source of the package and, in a checkout, of the benchmarks."""
    package = Path(normwise.__file__).parent
    digest = hashlib.sha256()
    for path in sorted([*package.rglob("*.py"), *(package.parents[1] / "benchmarks").rglob("*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def case_row(found: Measurement, settings: Mapping[str, object]) -> dict[str, object]:
    """A case: ours against torch (ratio, least, greatest, rounds), the other peers, errors and saved tensors."""
    return {
        "benchmark": found.case.name,
        **_ratio(found.speed, TORCH),
        "in_place": _median(found.speed, INPLACE),
        "compile": _median(found.speed, COMPILED),
        "over_floor": _number(found.over_floor),
        "recomputing": "",
        "seconds": f"{found.seconds[OURS].median:.4g}" if found.seconds else "",
        "error": f"{found.errors[OURS].size:.3g}",
        "torch_error": f"{found.errors[TORCH].size:.3g}",
        "saved": _number(found.saved.get(OURS)),
        "torch_saved": _number(found.saved.get(TORCH)),
        **settings,
    }


def step_row(found: Step, settings: Mapping[str, object]) -> dict[str, object]:
    """A training step, under the columns of a case; ``recomputing`` is the speed of ours over ours recomputing."""
    return {
        "benchmark": f"training step {found.name}",
        **_ratio(found.speed, TORCH),
        **dict.fromkeys(("in_place", "compile", "over_floor"), ""),
        "recomputing": _median(found.speed, RECOMPUTING),
        "seconds": f"{found.seconds[OURS].median:.4g}" if found.seconds else "",
        **dict.fromkeys(("error", "torch_error", "saved", "torch_saved"), ""),
        **settings,
    }


def memory_row(found: Memory, settings: Mapping[str, object]) -> dict[str, object]:
    """An amount of memory of ours, ours recomputing and torch's, and the first two as shares of the third."""
    named = {"ours": OURS, "recomputing": RECOMPUTING, "torch": TORCH}
    amounts = {f"{column}_amount": _number(found.amounts.get(arm)) for column, arm in named.items()}
    shares = {f"{column}_share": _number(found.shares.get(named[column])) for column in ("ours", "recomputing")}
    return {"benchmark": found.name, "unit": found.unit, **amounts, **shares, **settings}


def _ratio(speed: Mapping[str, Any], peer: str) -> dict[str, object]:
    if peer not in speed:
        return {"ratio": "", "min": "", "max": "", "n": 0}
    spread = speed[peer]
    return {"ratio": _number(spread.median), "min": _number(spread.low), "max": _number(spread.high), "n": spread.n}


def _median(speed: Mapping[str, Any], peer: str) -> str:
    return _number(speed[peer].median) if peer in speed else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
