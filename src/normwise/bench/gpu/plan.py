"""What is measured within a time: the most important first, and what no time is left for is named."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from typing import NamedTuple

from normwise.bench.cases import Case
from normwise.bench.entries import Network
from normwise.bench.gpu import cases, steps
from normwise.bench.gpu.device import Device
from normwise.bench.gpu.ledger import Row, case_rows, failed_row, step_rows, unfinished
from normwise.bench.gpu.measure import Settings, measure
from normwise.bench.gpu.steps import step
from normwise.bench.measure import reason
from normwise.errors import RequestError

CASE, COMPILE, STEP, COMPILE_STEP = 1.5, 25.0, 40.0, 150.0
"""About how many seconds they take on a GPU: a case, what torch.compile adds to it in two modes, a training step of the
eager arms, and one of the compiled arms."""


class Item(NamedTuple):
    """Something to measure: its name, about how many seconds it takes, and the rows that come of it, part by part."""

    name: str
    weight: float
    rows: Callable[[float], Iterable[list[Row]]]


class Request(NamedTuple):
    """What to measure and how.

    Attributes:
        settings: how cases are measured.
        tiny: a few small cases instead of the table.
        compile: ``"some"`` cases have ``torch.compile`` as a contender, or ``"all"`` or ``"none"``.
        only: keep what has this in its name.
    """

    settings: Settings
    tiny: bool = False
    compile: str = "some"
    only: str | None = None


def items(request: Request, device: Device) -> list[Item]:
    """What was asked for, the most important first.

    The training step comes first, then the cases that ``torch.compile`` is to compete in, the other cases in half
    precision, the compiled training step, and the cases in float32.

    Raises:
        RequestError: nothing has ``only`` in its name.
    """
    network = steps.TINY if request.tiny else steps.RESNET50
    table = cases.tiny() if request.tiny else cases.table()
    chosen = {"all": table, "some": cases.compiled(), "none": ()}[request.compile]
    named = {case: _case(case, request, device, case in chosen) for case in table}
    first = [item for case, item in named.items() if case in cases.compiled()]
    half = [item for case, item in named.items() if case.dtype == cases.HALF and item not in first]
    full = [item for case, item in named.items() if case.dtype != cases.HALF and item not in first]
    eager, compiled = (_step(network, request, device, compiled) for compiled in (False, True))
    found = [eager, *first, *half, *([compiled] if request.compile != "none" else []), *full]
    kept = [item for item in found if request.only is None or request.only in item.name]
    if not kept:
        raise RequestError(
            f"nothing has {request.only!r} in its name; names are like {table[0].name!r} and "
            f"{eager.name!r}; give a part of one, as it is written"
        )
    return kept


def _case(case: Case, request: Request, device: Device, compiled: bool) -> Item:
    def rows(bandwidth: float) -> Iterator[list[Row]]:
        yield case_rows(measure(case, device, request.settings, compiled=compiled), bandwidth)

    return Item(case.name, CASE + COMPILE * compiled, rows)


def _step(network: Network, request: Request, device: Device, compiled: bool) -> Item:
    name = f"training step {network.name}" + ", compiled" * compiled

    def rows(bandwidth: float) -> Iterator[list[Row]]:
        for found in step(network, device, request.settings, compiled=compiled):
            yield step_rows(name, found)

    return Item(name, COMPILE_STEP if compiled else STEP, rows)


def measured(
    asked: Sequence[Item],
    device: Device,
    bandwidth: float,
    until: float,
    done: Collection[str] = (),
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[tuple[str, list[Row] | None]]:
    """Each item's name and rows, one after the other; None for rows where no time is left.

    An item that has several parts gives the rows of each as soon as it has them, and is broken off when time is over.
    Where items take longer than they were expected to, so will those that follow.

    Args:
        asked: the items.
        device: where they run.
        bandwidth: of copying on it, in bytes per second.
        until: when to be done, by ``clock``; an item that would take longer is left out, shorter ones after it are not.
        done: names of items that are passed over.
        clock: seconds.

    Raises:
        RuntimeError: torch's, where a kernel has destroyed the state of the device: nothing can follow then.
    """
    took = expected = 0.0
    for item in asked:
        if item.name in done:
            continue
        start = clock()
        if start + item.weight * (max(1.0, took / expected) if expected else 1.0) > until:
            yield item.name, None
            continue
        with closing(_parts(item, bandwidth)) as parts:
            for rows in parts:
                yield item.name, rows
                if clock() > until and unfinished(rows):
                    yield item.name, None
                    break
        took, expected = took + clock() - start, expected + item.weight
        device.free()


def _parts(item: Item, bandwidth: float) -> Generator[list[Row], None, None]:
    try:
        yield from item.rows(bandwidth)
    except Exception as error:  # whatever a kernel or the allocator of this machine raises
        yield [failed_row(item.name, reason(error))]
