"""The ledger of a GPU in a few numbers and pictures: made of its rows alone, so that any machine can make them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from normwise.bench.cases import MODES, Case
from normwise.bench.contenders import COMPILED, FLOOR, INPLACE, OURS, TORCH
from normwise.bench.gpu.ledger import Row, case_of, ours_speed
from normwise.bench.gpu.measure import CALLED, GRAPH, TUNED
from normwise.bench.oracle import LIMIT
from normwise.bench.summary import geometric_mean
from normwise.bench.tables import NONE, Table

PEERS = (TORCH, INPLACE, COMPILED, TUNED)
LARGE = 64 * 2**20
"""Bytes of an input above which the share of a copy's bandwidth is told."""
SLOWER = 0.95

Groups = dict[tuple[str, str], dict[str, Row]]


def grouped(rows: Sequence[Row]) -> Groups:
    """By benchmark and launch, the rows of the contenders."""
    found: Groups = {}
    for row in rows:
        if row["microseconds"]:
            found.setdefault((row["benchmark"], row["launch"]), {})[row["contender"]] = row
    return found


def line(benchmark: str, launch: str, rows: Mapping[str, Row]) -> str:
    """One case or training step: our time, and how many times as fast as each other contender that is."""
    said = [f"{benchmark} {launch}:"]
    if OURS in rows:
        share = f" ({rows[OURS]['of_copy']} of a copy)" if rows[OURS]["of_copy"] else ""
        said.append(f"ours {rows[OURS]['microseconds']} µs{share}")
    for name, row in rows.items():
        if ours_speed(row) is not None:
            said.append(f"×{name} {row['ours_speed']} ({row['ours_min']}–{row['ours_max']})")
        elif name not in (OURS, FLOOR):
            said.append(f"{name} {row['microseconds']} µs")
    return "  ".join(said)


def lines(rows: Sequence[Row]) -> Iterator[str]:
    """One for each case or training step and launch, and one for each contender that was left out."""
    for (benchmark, launch), found in grouped(rows).items():
        yield line(benchmark, launch, found)
    for benchmark, contender, note in {(row["benchmark"], row["contender"], row["note"]): None for row in rows}:
        if note:
            yield f"{benchmark}: {contender or 'everyone'} {note}"


def means(rows: Sequence[Row]) -> Table:
    """Geometric means by mode, type, layout and launch: how many times as fast as each peer ours was.

    The last column is the median share of a copy's bandwidth of inputs above ``LARGE`` bytes.
    """
    columns = ("mode", "type", "layout", "launch", "cases", *(f"×{peer}" for peer in PEERS), "of copy")
    groups: dict[tuple[str, ...], list[tuple[Case, dict[str, Row]]]] = {}
    for (_, launch), found in grouped(rows).items():
        case = case_of(next(iter(found.values())))
        if case is not None and OURS in found:
            groups.setdefault((case.mode, case.dtype, case.layout, launch), []).append((case, found))
    ordered = sorted(groups.items(), key=lambda item: (MODES.index(item[0][0]), *item[0][1:]))
    return Table("geometric means", columns, tuple(_means(key, members) for key, members in ordered))


def _means(key: tuple[str, ...], members: Sequence[tuple[Case, Mapping[str, Row]]]) -> tuple[str, ...]:
    cells = []
    for peer in PEERS:
        speeds = [speed for _, found in members if peer in found and (speed := ours_speed(found[peer])) is not None]
        mean = geometric_mean(speeds)
        cells.append(NONE if mean is None else f"{mean:.2f} ({len(speeds)})")
    shares = [float(found[OURS]["of_copy"]) for case, found in members if case.bytes > LARGE]
    return (*key, str(len(members)), *cells, f"{median(shares):.2f}" if shares else NONE)


def slower(rows: Sequence[Row]) -> list[str]:
    """The cases in which ours was slower than its best peer by more than 5 %, the slowest first."""
    found = []
    for (benchmark, launch), contenders in grouped(rows).items():
        speeds = {n: s for n, row in contenders.items() if n in PEERS and (s := ours_speed(row)) is not None}
        if speeds and min(speeds.values()) < SLOWER:
            peer = min(speeds, key=speeds.__getitem__)
            found.append((speeds[peer], f"{benchmark} {launch}: {speeds[peer]:.2f} × {peer}"))
    return [said for _, said in sorted(found)]


def memory(rows: Sequence[Row]) -> Table:
    """The peak memory of training steps, in MiB and as a share of torch's."""
    columns = ("training step", "arm", "MiB", "of torch")
    steps = [row for row in rows if row["benchmark"].startswith("training step") and row["peak_mib"]]
    torchs = {row["benchmark"]: float(row["peak_mib"]) for row in steps if row["contender"] == TORCH}
    cells = []
    for row in steps:
        peer = torchs.get(row["benchmark"])
        share = NONE if peer is None else f"{float(row['peak_mib']) / peer:.2f}"
        cells.append((row["benchmark"], row["contender"], row["peak_mib"], share))
    return Table("peak memory", columns, tuple(cells))


def write(table: Table) -> str:
    """A table as text, the columns padded."""
    rows = (table.columns, *table.rows)
    widths = [max(len(row[place]) for row in rows) for place in range(len(table.columns))]
    body = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([table.heading, *body])


def picture_cases(rows: Sequence[Row], dtype: str) -> list[dict[str, Any]]:
    """The cases of one type, for ``figures.speed.info``: as graphs where they were measured so, else as called."""
    found: dict[str, dict[str, Any]] = {}
    for (benchmark, launch), contenders in grouped(rows).items():
        case = case_of(next(iter(contenders.values())))
        if case is None or case.dtype != dtype or not {OURS, TORCH, FLOOR} <= contenders.keys():
            continue
        if launch == GRAPH or (launch == CALLED and benchmark not in found):
            found[benchmark] = _picture_case(case, contenders)
    return list(found.values())


def _picture_case(case: Case, contenders: Mapping[str, Row]) -> dict[str, Any]:
    speed = contenders[TORCH]
    median_, low, high = (float(speed[column]) for column in ("ours_speed", "ours_min", "ours_max"))
    return {
        "name": case.name,
        **case._asdict(),
        "speed": {TORCH: {"median": median_, "quartiles": (low, high)}},
        "seconds": {name: {"median": float(contenders[name]["microseconds"])} for name in (TORCH, FLOOR)},
        "torch_wrong": bool(speed["error"]) and not float(speed["error"]) <= LIMIT,
    }
