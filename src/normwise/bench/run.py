"""A whole benchmark: the cases of a request one after the other, then the networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from normwise.bench import entries, ledger
from normwise.bench.cases import Case
from normwise.bench.entries import Memory, Step
from normwise.bench.measure import Measurement, measure
from normwise.bench.request import Request
from normwise.bench.summary import Row, summarise
from normwise.bench.timing import busy

STEP_WEIGHT = 20.0


class Status(NamedTuple):
    """How far a benchmark has come: work done and in all, in about seconds, and what is measured now."""

    done: float
    total: float
    now: str


class Result(NamedTuple):
    """What was found.

    Attributes:
        cases: in the order of the table.
        steps: the training steps.
        memory: the amounts of memory.
        machine: processor, cores, versions, hash of the code.
        threads: of torch.
        impl: that ours was made to use, or ``auto``.
        busy: a warning if others used the machine at the start, else None.
    """

    cases: tuple[Measurement, ...]
    steps: tuple[Step, ...]
    memory: tuple[Memory, ...]
    machine: dict[str, str]
    threads: int
    impl: str
    busy: str | None

    @property
    def summary(self) -> tuple[Row, ...]:
        """Means and worst cases by mode and epilogue."""
        return summarise(self.cases)

    @property
    def wrong(self) -> bool:
        """Whether ours was wrong anywhere."""
        return any(found.wrong for found in self.cases) or any(step.notes for step in self.steps)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "machine": self.machine,
            "threads": self.threads,
            "impl": self.impl,
            "busy": self.busy,
            "summary": [row.as_dict() for row in self.summary],
            "cases": [found.as_dict() for found in self.cases],
            "steps": [step.as_dict() for step in self.steps],
            "memory": [memory.as_dict() for memory in self.memory],
        }


OnProgress = Callable[[Status], None]


def run(request: Request, on_progress: OnProgress = lambda status: None) -> Result:
    """Measure everything that was asked for.

    Raises:
        InvalidArgumentError: the implementation that was asked for cannot run a case.
    """
    warning = busy()
    with threads(request.threads):
        works = list(_works(request))
        total, done, found = sum(weight for weight, _, _ in works), 0.0, list[Any]()
        for weight, name, work in works:
            on_progress(Status(done, total, name))
            found.append(work())
            done += weight
        on_progress(Status(done, total, "done"))
        return Result(
            _of(Measurement, found),
            _of(Step, found),
            _of(Memory, found),
            ledger.described(),
            torch.get_num_threads(),
            request.settings.impl,
            warning,
        )


def _works(request: Request) -> Iterator[tuple[float, str, Callable[[], object]]]:
    """What to do: about how many seconds it takes, its name, and the function."""
    for case in request.cases:
        compiled = request.compiled is None or case.name in request.compiled
        settings = request.settings._replace(compile=compiled)
        yield _weight(case, settings.seconds, compiled), case.name, partial(measure, case, settings)
    for network in request.steps:
        name = f"training step {network.name}"
        yield STEP_WEIGHT, name, partial(entries.step, network, 5 * request.settings.seconds)
    for network in request.peaks:
        yield STEP_WEIGHT, f"memory of {network.name}", partial(entries.peak, network)
    if request.chain:
        yield 1.0, f"memory of {entries.CHAIN.name}", entries.kept


def _weight(case: Case, seconds: float, compiled: bool) -> float:
    return seconds + 3e-7 * case.values + 20 * compiled


def _of(kind: type[Any], found: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(item for item in found if isinstance(item, kind))


@contextmanager
def threads(number: int | None) -> Iterator[None]:
    """Let torch use so many threads meanwhile; None leaves them."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def check_ledger() -> None:
    """Let pass a benchmark whose result could be written: ask before measuring.

    Raises:
        RequestError: there is no checkout, or a file has other columns.
    """
    cpu, memory = _ledgers()
    settings: dict[str, object] = {"impl": "", "threads": 0}
    ledger.check(cpu, ledger.step_row(Step("", {}, {}), settings))
    ledger.check(memory, ledger.memory_row(Memory("", "", {}), settings))


def write_ledger(result: Result) -> None:
    """Append the cases and training steps to ``results/cpu.csv`` and the memory to ``results/memory.csv``, or nothing.

    Raises:
        RequestError: there is no checkout, or a file has other columns.
    """
    check_ledger()
    cpu, memory = _ledgers()
    settings: dict[str, object] = {"impl": result.impl, "threads": result.threads}
    rows = [ledger.case_row(found, settings) for found in result.cases]
    ledger.append(cpu, rows + [ledger.step_row(step, settings) for step in result.steps])
    ledger.append(memory, [ledger.memory_row(found, settings) for found in result.memory])


def _ledgers() -> tuple[Path, Path]:
    results = ledger.checkout() / "benchmarks" / "results"
    return results / "cpu.csv", results / "memory.csv"
