"""Finding out what is quickest on a device, and keeping it: the rule's choice and its rivals, timed in turn.

Forward and backward are timed by themselves, as called and, where tensors are small, also as a graph: there a rival
has to be quicker by ``GAIN``, and as called not slower by as much.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from normwise.bench.cases import TRAIN, Case
from normwise.bench.gpu.device import Device
from normwise.bench.gpu.measure import SMALL, Settings, in_turn, size, timed, tried
from normwise.bench.inputs import EPS, Inputs, draw, laid_out
from normwise.bench.measure import reason
from normwise.bench.timing import Work, speed
from normwise.ops.activations import activation
from normwise.ops.batch_norm import triton
from normwise.ops.batch_norm.transform import DEFAULT, Transform
from normwise.ops.batch_norm.triton import tuned
from normwise.ops.batch_norm.triton.choice import Choice, Problem, candidates

GAIN = 1.03
FORWARD, BACKWARD = "forward", "backward"
CLOSE = 0.01  # of the norm: by so much may answers differ, which are rounded alike and summed in another order


class Asked(NamedTuple):
    """A problem that is to be timed, and the first case that poses it."""

    case: Case
    part: str
    problem: Problem

    def __str__(self) -> str:
        return self.case._replace(mode=self.part).name


class Found(NamedTuple):
    """What the table says of a problem from now on.

    Attributes:
        asked: the problem.
        choice: the quickest, or the rule's; None where that could not be timed.
        gain: how many times as fast as the rule's it is.
        notes: why something was left out, by its name.
    """

    asked: Asked
    choice: Choice | None
    gain: float
    notes: Mapping[str, str]

    def __str__(self) -> str:
        than = f"{self.gain:.2f} × as fast as the rule's" if self.gain > 1 else "the rule's"
        lines = [f"{self.asked}: {self.choice}, {than}" if self.choice else f"{self.asked}: not timed"]
        return "\n".join(lines + [f"  {name}: {note}" for name, note in self.notes.items()])


def rows(device: Device) -> int:
    """How many choices of the device the table has."""
    return tuned.rows(_place(device))


def _place(device: Device) -> torch.device:
    """With its number."""
    return torch.empty(0, device=device.name).device


def asked(cases: Iterable[Case], device: Device, *, known: bool = True) -> list[Asked]:
    """The problems that cases pose, each once; not those that the table has where ``known`` is False."""
    from normwise.ops.batch_norm.triton.launch import Work, multiprocessors  # imports Triton

    place = _place(device)
    found: dict[Problem, Asked] = {}
    for case in cases:
        x = laid_out(torch.empty(case.shape, dtype=getattr(torch, case.dtype), device="meta"), case.layout)
        for part in (FORWARD, BACKWARD) if case.mode == TRAIN else (FORWARD,):
            work = Work(x, None, DEFAULT, x if part == BACKWARD else None)
            problem = work.problem._replace(sms=multiprocessors(place))
            if known or tuned.known(place, problem) is None:
                found.setdefault(problem, Asked(case, part, problem))
    return list(found.values())


def tune(
    problems: Iterable[Asked],
    device: Device,
    seconds: float = 0.2,
    until: float = float("inf"),
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Found]:
    """Time each problem and put the quickest choice into the table, one after the other.

    Args:
        problems: what to time, see ``asked``.
        device: where.
        seconds: of rounds for each problem and launch.
        until: when to begin no more, by ``clock``.
        clock: seconds.
    """
    for each in problems:
        if clock() > until:
            return
        try:
            found = _tuned(each, device, seconds)
        except Exception as error:  # whatever a kernel or the allocator of this machine raises
            found = Found(each, None, 1.0, {"the rule's": f"cannot run: {reason(error)}"})
        yield found
        device.free()


def _tuned(asked: Asked, device: Device, seconds: float) -> Found:
    case = asked.case
    first = draw(case, device=device.name)
    everyone = [
        first,
        *(
            draw(case, seed, device.name)
            for seed in range(1, device.sets(size(first, TRAIN if asked.part == BACKWARD else FORWARD)))
        ),
    ]
    with torch.no_grad():
        calls = [_call(case, asked.part, inputs) for inputs in everyone]
        place = first.x.device
        rule, *rivals = candidates(asked.problem)
        truth = _with(place, asked.problem, rule, calls[0])()
        notes: dict[str, str] = {}
        works = {choice: [_with(place, asked.problem, choice, call) for call in calls] for choice in (rule, *rivals)}
        named = {str(choice): runs for choice, runs in works.items()}
        right = tried(named, lambda runs: _check(runs[0](), truth), notes)
        timings = _timings({name: named[name] for name in right}, device, seconds, case.bytes <= SMALL, notes)
    name, gain = quickest(timings, str(rule))
    choice = next(choice for choice in works if str(choice) == name)
    tuned.remember(place, asked.problem, choice)
    return Found(asked, choice, gain, notes)


Call = Callable[[], tuple[Tensor, ...]]


def _call(case: Case, part: str, inputs: Inputs) -> Call:
    """Forward or backward of a case; what it computes that has the size of x, and gradients of weight and bias."""
    x, residual, grad, weight, bias, _, _ = inputs
    function = None if case.activation is None else activation(case.activation)
    transform = Transform(weight, bias, None, EPS, function)
    if part == FORWARD:
        return lambda: triton.forward(x, residual, transform)[:1]
    _, stats = triton.forward(x, residual, transform)

    def backward() -> tuple[Tensor, ...]:
        return tuple(t for t in triton.backward(grad, x, residual, transform, stats) if t is not None)

    return backward


def _with(device: torch.device, problem: Problem, choice: Choice, call: Call) -> Call:
    def run() -> tuple[Tensor, ...]:
        with tuned.trying(device, problem, choice):
            return call()

    return run


def _check(found: Sequence[Tensor], truth: Sequence[Tensor]) -> None:
    for value, true in zip(found, truth, strict=True):
        error = (value.float() - true.float()).norm() / true.float().norm()
        if not error <= CLOSE:
            raise ArithmeticError(f"its answer differs from the rule's by {error:.1e} of its norm")


def _timings(
    works: Mapping[str, Sequence[Work]], device: Device, seconds: float, small: bool, notes: dict[str, str]
) -> list[dict[str, list[float]]]:
    """Samples as called and, of small tensors, as graphs."""
    clock = partial(timed, device=device, settings=Settings(seconds=seconds), notes=notes)
    timings = [clock({name: in_turn(runs) for name, runs in works.items()})]
    captured = tried(works, device.capture, notes) if small else {}
    if graphs := {name: graph for name, graph in captured.items() if graph is not None}:
        timings.append(clock(graphs))
    return timings


def quickest(timings: Sequence[Mapping[str, Sequence[float]]], rule: str) -> tuple[str, float]:
    """The rival with the greatest gain in the last timing, and that gain; the rule and 1 where none is enough.

    Args:
        timings: the samples of each, of the same rounds, as called and perhaps as graphs.
        rule: which of them is the rule's choice.
    """
    best, gain = rule, 1.0
    for name in timings[-1]:
        if not all({name, rule} <= set(samples) for samples in timings):
            continue
        speeds = [speed(samples, name, rule).median for samples in timings]
        if speeds[-1] > max(GAIN, gain) and min(speeds) > 1 / GAIN:
            best, gain = name, speeds[-1]
    return best, gain
