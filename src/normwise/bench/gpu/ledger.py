"""The rows of ``benchmarks/results/gpu.csv``: one for each contender of each case and launch, as text."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from normwise.bench import ledger
from normwise.bench.cases import EPILOGUES, MODES, Case, read_shape
from normwise.bench.contenders import FLOOR, OURS
from normwise.bench.floor import traffic
from normwise.bench.gpu.device import Device
from normwise.bench.gpu.measure import CALLED, Measurement, Timing
from normwise.bench.gpu.steps import Step
from normwise.bench.timing import Spread

Row = dict[str, str]

COPY = "device copy"
COLUMNS = (
    "benchmark",
    "launch",
    "contender",
    "n",
    "microseconds",
    "min",
    "max",
    "ours_speed",
    "ours_min",
    "ours_max",
    "gb_per_second",
    "of_copy",
    "least_of_copy",
    "peak_mib",
    "error",
    "note",
)
"""``n`` rounds; the median, least and greatest time of a call; how many times as fast ours was in the same rounds:
median, least and greatest; the bytes of passes over memory (``floor.traffic``) over the time, as a share of a device
copy's bandwidth, and likewise the least bytes, where a channel is read once; the memory of a call; the error in units
of the oracle."""


def case_rows(found: Measurement, bandwidth: float) -> list[Row]:
    """A case: a row for each contender of each timing, one for the floor, and one for each that has no time.

    The floor is that of passes over memory at ``bandwidth``, the bytes per second of a device copy.
    """
    rows = [row for timing in found.timings for row in _timing_rows(found, timing, bandwidth)]
    there = {row["contender"] for row in rows}
    missing = [name for name in {**found.notes, **found.errors} if name not in there]
    return rows + [_row(found.case.name, "", name, **_of_case(found, name)) for name in missing]


def _timing_rows(found: Measurement, timing: Timing, bandwidth: float) -> Iterator[Row]:
    name, moved = found.case.name, traffic(found.case)
    floor = moved.passes * found.case.bytes / bandwidth
    least = moved.least * found.case.bytes / bandwidth
    for contender, seconds in timing.seconds.items():
        shares = {
            "gb_per_second": f"{moved.passes * found.case.bytes / seconds.median / 1e9:.4g}",
            "of_copy": f"{floor / seconds.median:.3f}",
            "least_of_copy": f"{least / seconds.median:.3f}",
        }
        times = _times(seconds) | _speed(timing.speed.get(contender))
        yield _row(name, timing.launch, contender, **times, **shares, **_of_case(found, contender))
    yield _row(name, timing.launch, FLOOR, microseconds=f"{floor * 1e6:.4g}")


WAITING = "not measured yet"


def step_rows(name: str, found: Step) -> list[Row]:
    """A training step: a row for each arm, also for those whose turn has not come (``WAITING``)."""
    rows = []
    for arm in {**found.seconds, **found.peaks, **found.notes}:
        values = {"note": found.notes.get(arm, "")}
        if arm in found.seconds:
            values |= _times(found.seconds[arm]) | _speed(found.speed.get(arm))
        if arm in found.peaks:
            values["peak_mib"] = f"{found.peaks[arm] / 2**20:.1f}"
        rows.append(_row(name, CALLED, arm, **values))
    return rows + [_row(name, CALLED, arm, note=WAITING) for arm in found.waiting]


def unfinished(rows: Sequence[Row]) -> bool:
    """Whether the turn of some contender has not come."""
    return any(row["note"] == WAITING for row in rows)


def failed_row(name: str, note: str) -> Row:
    """Something that could not be measured at all."""
    return _row(name, "", "", note=note)


def copy_row(bandwidth: float, size: int) -> Row:
    """The bandwidth of a device copy of so many bytes, read and written."""
    return _row(f"{COPY} of {size // 2**20} MiB", CALLED, COPY, gb_per_second=f"{bandwidth / 1e9:.4g}", of_copy="1.000")


def _row(benchmark: str, launch: str, contender: str, **values: str) -> Row:
    named = {"benchmark": benchmark, "launch": launch, "contender": contender, **values}
    return {column: named.get(column, "") for column in COLUMNS}


def _times(seconds: Spread) -> Row:
    median, low, high = (f"{1e6 * value:.4g}" for value in (seconds.median, seconds.low, seconds.high))
    return {"n": str(seconds.n), "microseconds": median, "min": low, "max": high}


def _speed(speed: Spread | None) -> Row:
    if speed is None:
        return {}
    return {"ours_speed": f"{speed.median:.3f}", "ours_min": f"{speed.low:.3f}", "ours_max": f"{speed.high:.3f}"}


def _of_case(found: Measurement, contender: str) -> Row:
    row = {"note": found.notes.get(contender, "")}
    if contender in found.peaks:
        row["peak_mib"] = f"{found.peaks[contender] / 2**20:.2f}"
    if contender in found.errors:
        row["error"] = f"{found.errors[contender].size:.3g}"
    return row


def append(path: Path, rows: Sequence[Row], impl: str, described: Mapping[str, str]) -> None:
    """Add rows to the ledger, with what they were measured with.

    Raises:
        RequestError: the file has other columns.
    """
    ledger.append(path, [{**row, "impl": impl, **described} for row in rows])


def check(path: Path) -> None:
    """Let pass a ledger that can be written.

    Raises:
        RequestError: the file has other columns.
    """
    ledger.check(path, {**dict.fromkeys(COLUMNS, ""), "impl": "", **dict.fromkeys(DESCRIBED, "")})


DESCRIBED = ("device", "driver", "cuda", "cudnn", "triton")


def read(path: Path) -> list[Row]:
    """The rows of a ledger; none where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def done(rows: Sequence[Row], device: Device) -> set[str]:
    """The names of what was measured already with this code on a device of this name, all contenders of it.

    What failed as a whole, or was broken off, is not done.
    """
    here = {"device": device.described()["device"], "code": ledger.code_hash()}
    mine = newest([row for row in rows if here.items() <= row.items() and row["contender"]])
    return {row["benchmark"] for row in mine} - {row["benchmark"] for row in mine if unfinished([row])}


def latest(rows: Sequence[Row]) -> list[Row]:
    """Of each benchmark, launch and contender the last row, of the device and the code that were written of last."""
    return newest([row for row in rows if all(row[key] == rows[-1][key] for key in ("device", "code"))])


def newest(rows: Sequence[Row]) -> list[Row]:
    """Of each benchmark, launch and contender the last row."""
    return list({tuple(row[key] for key in ("benchmark", "launch", "contender")): row for row in rows}.values())


def case_of(row: Row) -> Case | None:
    """The case that a row is of; None where it is of something else."""
    parts = row["benchmark"].split()
    if len(parts) not in (4, 5) or parts[2] not in EPILOGUES or parts[3] not in MODES:
        return None
    return Case(read_shape(parts[0]), *parts[1:])


def ours_speed(row: Row) -> float | None:
    """How many times as fast ours was as the contender of a row."""
    return float(row["ours_speed"]) if row["ours_speed"] and row["contender"] != OURS else None
