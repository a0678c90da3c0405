"""The result as tables of finished text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from normwise.bench.cases import write_shape
from normwise.bench.contenders import COMPILED, INPLACE, OURS, TORCH
from normwise.bench.entries import RECOMPUTING, Memory, Step
from normwise.bench.measure import Measurement
from normwise.bench.summary import Row, Worst, grouped
from normwise.bench.timing import Spread

MARK = "†"
NONE = "–"
KEY = (
    "×torch, inplace, compile: how many times as fast as torch's layer and function, the same in place, the same "
    "compiled. ÷floor: our time over that of plain passes over the fewest bytes. saved: tensors of the input's size "
    "kept for the backward, ours/torch's."
)


class Table(NamedTuple):
    """A heading, columns and rows of text."""

    heading: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def case_tables(measurements: Sequence[Measurement]) -> Iterator[Table]:
    """One table for each mode and epilogue."""
    columns = ("case", "×torch", "range", "inplace", "compile", "÷floor", "saved")
    for mode, epilogue, members in grouped(measurements):
        yield _without_empty(Table(f"{epilogue}, {mode}", columns, tuple(_case(found) for found in members)))


def _without_empty(table: Table) -> Table:
    """Leave out the columns that say nothing."""
    kept = [place for place in range(len(table.columns)) if any(row[place] != NONE for row in table.rows)]
    pick = [tuple(row[place] for place in kept) for row in (table.columns, *table.rows)]
    return Table(table.heading, pick[0], tuple(pick[1:]))


def _case(found: Measurement) -> tuple[str, ...]:
    head = f"{write_shape(found.case.shape)} {found.case.layout}"
    if found.wrong:
        return (head, "wrong", f"err {found.errors[OURS].size:.3g}", *[NONE] * 4)
    spread, mark = found.speed[TORCH], MARK if found.errors[TORCH].wrong else ""
    return (
        head,
        f"{spread.median:.2f}{mark}",
        f"{spread.low:.2f}–{spread.high:.2f}",
        _median(found.speed, INPLACE),
        _median(found.speed, COMPILED),
        _number(found.over_floor),
        f"{found.saved[OURS]:.1f}/{found.saved[TORCH]:.1f}" if found.saved else NONE,
    )


def summary_tables(rows: Sequence[Row]) -> Iterator[Table]:
    """Per mode the geometric means, and the slowest case with more than, and up to, 64K values."""
    columns = ("epilogue", "cases", "×torch", "inplace", "compile", "÷floor", "slowest", "small")
    for mode in dict.fromkeys(row.mode for row in rows):
        cells = tuple(_summary(row) for row in rows if row.mode == mode)
        yield _without_empty(Table(f"geometric means, {mode}", columns, cells))


def _summary(row: Row) -> tuple[str, ...]:
    means = (row.speed, row.in_place, row.compiled, row.over_floor)
    slowest = (row.worst and row.worst.speed, row.worst_small and row.worst_small.speed)
    return (row.epilogue, str(row.cases), *map(_number, means), *map(_number, slowest))


def step_table(steps: Sequence[Step]) -> Table:
    """The training steps."""
    columns = ("training step", "×torch", "range", "×recomputing", "seconds")
    return _without_empty(Table("training steps", columns, tuple(_step(step) for step in steps)))


def _step(step: Step) -> tuple[str, ...]:
    if not step.speed:
        return (step.name, "wrong", *[NONE] * 3)
    spread = step.speed[TORCH]
    return (
        step.name,
        f"{spread.median:.2f}",
        f"{spread.low:.2f}–{spread.high:.2f}",
        _median(step.speed, RECOMPUTING),
        f"{step.seconds[OURS].median:.3g}",
    )


def memory_table(amounts: Sequence[Memory]) -> Table:
    """The amounts of memory."""
    columns = ("memory", "unit", OURS, "recomputing", TORCH, "of torch", "recomputing")
    return _without_empty(Table("memory", columns, tuple(_memory(found) for found in amounts)))


def _memory(found: Memory) -> tuple[str, ...]:
    amounts = (_number(found.amounts.get(arm), 1) for arm in (OURS, RECOMPUTING, TORCH))
    return (found.name, found.unit, *amounts, *(_number(found.shares.get(arm)) for arm in (OURS, RECOMPUTING)))


def notes(measurements: Sequence[Measurement], rows: Sequence[Row]) -> list[str]:
    """What to know beside the tables: the slowest case, who is wrong, who could not run."""
    said = [KEY] if rows else []
    slowest = min((row.worst for row in rows if row.worst), default=None)
    small = min((row.worst_small for row in rows if row.worst_small), default=None)
    said += [_slowest("above", slowest)] if slowest else []
    said += [_slowest("up to", small)] if small else []
    flagged = sum(found.errors[TORCH].wrong for found in measurements)
    if flagged:
        said.append(
            f"{MARK} torch's own answer is wrong in {flagged} of {len(measurements)} cases; its time stays the peer."
        )
    said += [f"{found.case.name}: {note}." for found in measurements for note in found.notes if not _of_torch(note)]
    return said


def _slowest(where: str, worst: Worst) -> str:
    return f"Slowest {where} 64K values: {worst.speed:.2f} × torch, {worst.name}."


def _of_torch(note: str) -> bool:
    return note.startswith((f"{TORCH} is wrong", f"{INPLACE} is wrong"))


def _median(speed: Mapping[str, Spread], peer: str) -> str:
    return _number(speed[peer].median if peer in speed else None)


def _number(value: float | None, digits: int = 2) -> str:
    return NONE if value is None else f"{value:.{digits}f}"
