"""Measuring one case on a device: everyone is checked against the oracle, then timed in turn, as called and as graphs.

*As called*, time is what a program in eager mode sees: where kernels are short, it is that of launching them. *As a
graph*, all that a call launches is one launch, and time is the kernels'; this is measured for tensors up to ``SMALL``
bytes, above which the two are the same. Inputs rotate, so that none is found in the L2 cache where that is possible.

``torch.compile`` competes in its default mode and in ``max-autotune-no-cudagraphs``. That is the fair one of the two
that tune: ``max-autotune`` launches a CUDA graph and copies every input into it first, which a layer inside a network
would not do, so that the graph is left to the launch that gives it to everyone.

Whoever fails is noted and left out. Ours and compiled code that are wrong get no time; torch's own layer keeps its.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

from normwise.bench import contenders, oracle
from normwise.bench.cases import TRAIN, Case
from normwise.bench.contenders import COMPILED, IN_PLACE, INPLACE, OURS, TORCH, Contender
from normwise.bench.gpu.device import Device
from normwise.bench.inputs import Inputs, draw, training
from normwise.bench.measure import reason
from normwise.bench.oracle import Error
from normwise.bench.timing import LEAST, Spread, Work, interleave, speed
from normwise.ops import explain

CALLED, GRAPH = "called", "graph"
TUNED = "torch.compile tuned"
MODES = {COMPILED: None, TUNED: "max-autotune-no-cudagraphs"}
SMALL = 64 * 2**20
KEEP_TIME = (TORCH, INPLACE)


class Settings(NamedTuple):
    """How cases are measured.

    Attributes:
        impl: the implementation that ours is made to use, or ``auto``; by the layer where it takes that by itself.
        seconds: how long rounds go on per case and launch; there are ``least`` or more in any case.
        least: rounds.
    """

    impl: str = "triton"
    seconds: float = 0.3
    least: int = LEAST


class Timing(NamedTuple):
    """One launch: seconds per call of each contender, and how many times as fast as each other one ours was."""

    launch: str
    seconds: Mapping[str, Spread]
    speed: Mapping[str, Spread]


class Measurement(NamedTuple):
    """What came of a case.

    Attributes:
        case: what was measured.
        timings: as called and, perhaps, as a graph.
        errors: each contender's, in units of the oracle.
        peaks: bytes that a call of each has alive at most, its inputs left out.
        notes: per contender, why it was left out of a timing.
    """

    case: Case
    timings: tuple[Timing, ...]
    errors: Mapping[str, Error]
    peaks: Mapping[str, int]
    notes: Mapping[str, str]


def measure(case: Case, device: Device, settings: Settings, *, compiled: bool = False) -> Measurement:
    """Check and time one case."""
    inputs = draw(case, device=device.name)
    oracle.clear_kinks(case, inputs)
    notes: dict[str, str] = {}
    competing = tried(makers(case, settings.impl, compiled), lambda make: make(case, inputs), notes)
    answers = tried(competing, lambda contender: contender.answers(), notes)
    errors = oracle.errors(case, inputs, answers)
    del answers
    wrong = [name for name, error in errors.items() if error.wrong]
    notes |= {name: f"wrong: {errors[name]}" for name in wrong}
    timed = {name: competing[name] for name in errors if name not in wrong or name in KEEP_TIME}
    peaks = tried(timed, lambda contender: device.peak(contender.run), notes)
    everyone = [inputs, *(draw(case, seed, device.name) for seed in range(1, device.sets(size(inputs, case.mode))))]
    return Measurement(case, tuple(_timings(case, timed, everyone, device, settings, notes)), errors, peaks, notes)


Make = Callable[[Case, Inputs], Contender]
A = TypeVar("A")
B = TypeVar("B")


def makers(case: Case, impl: str, compiled: bool) -> dict[str, Make]:
    """Who competes, ours first."""
    found: dict[str, Make] = {OURS: partial(_ours, impl=impl), TORCH: contenders.torchs}
    if case.activation in IN_PLACE:
        found[INPLACE] = contenders.in_place
    for name, mode in MODES.items() if compiled else ():
        found[name] = partial(contenders.compiled, mode=mode)
    return found


def _ours(case: Case, inputs: Inputs, impl: str) -> Contender:
    """Our layer where it computes by ``impl`` of its own accord, as torch's layer is called; else our operator."""
    by_itself = explain(inputs.x, training=training(case)).impl
    return contenders.ours(case, inputs, "auto" if by_itself == impl else impl)


def tried(given: Mapping[str, A], work: Callable[[A], B], notes: dict[str, str]) -> dict[str, B]:
    """What becomes of each, without those that fail, which are noted."""
    found: dict[str, B] = {}
    for name, each in given.items():
        try:
            found[name] = work(each)
        except Exception as error:  # whatever a compiler, a kernel or the allocator of this machine raises
            notes[name] = f"cannot run: {reason(error)}"
    return found


def _timings(
    case: Case,
    competing: Mapping[str, Contender],
    inputs: Sequence[Inputs],
    device: Device,
    settings: Settings,
    notes: dict[str, str],
) -> list[Timing]:
    works = {
        name: [contender.run, *(contenders.again(case, contender, more).run for more in inputs[1:])]
        for name, contender in competing.items()
    }
    warm = tried(works, lambda runs: [run() for run in runs] and None, notes)
    works = {name: works[name] for name in warm}
    timings = [_timing(CALLED, {name: in_turn(runs) for name, runs in works.items()}, device, settings, notes)]
    works = {name: works[name] for name in timings[0].seconds}
    if case.bytes <= SMALL:
        failed: dict[str, str] = {}
        captured = tried(works, device.capture, failed)
        graphs = {name: graph for name, graph in captured.items() if graph is not None}
        if graphs:
            timings.append(_timing(GRAPH, graphs, device, settings, failed, per=len(inputs)))
        notes |= {name: f"as a graph, {note}" for name, note in failed.items() if name not in notes}
    return timings


def in_turn(runs: Sequence[Work]) -> Work:
    """The first, then the second, and so on, one at each call."""
    if len(runs) == 1:
        return runs[0]
    turns = itertools.cycle(runs)
    return lambda: next(turns)()


def _timing(
    launch: str,
    works: Mapping[str, Work],
    device: Device,
    settings: Settings,
    notes: dict[str, str],
    per: int = 1,
) -> Timing:
    samples = timed(works, device, settings, notes)
    each = {name: [taken / per for taken in found] for name, found in samples.items()}
    return Timing(
        launch,
        {name: Spread.of(taken) for name, taken in each.items()},
        {name: speed(each, OURS, name) for name in each if name != OURS and OURS in each},
    )


class _FailedError(Exception):
    """Somebody's work raised while it was timed."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name, self.reason = name, reason


def timed(
    works: Mapping[str, Work], device: Device, settings: Settings, notes: dict[str, str]
) -> dict[str, list[float]]:
    """The samples of each, of the same rounds; those that fail are noted, and the others timed again without them."""
    left = {name: _named(name, work) for name, work in works.items()}
    while left:
        try:
            return interleave(left, settings.seconds, least=settings.least, sample=device.sample, length=device.length)
        except _FailedError as failure:
            notes[failure.name] = f"cannot run: {failure.reason}"
            del left[failure.name]
        device.free()
    return {}


def _named(name: str, work: Work) -> Work:
    def run() -> None:
        try:
            work()
        except Exception as error:  # whatever a kernel or the allocator of this machine raises
            raise _FailedError(name, reason(error)) from None

    return run


def size(inputs: Inputs, mode: str) -> int:
    """The bytes that a call reads: x, the residual and, where there is a backward, the gradient."""
    tensors = (inputs.x, inputs.residual, inputs.grad if mode == TRAIN else None)
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors if tensor is not None)
