"""Timing several ways of doing one thing in turn, A B C A B C …, so that a noisy machine hits all alike."""

from __future__ import annotations

import gc
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median, quantiles
from typing import NamedTuple

Work = Callable[[], object]

SAMPLE = 1e-3
LEAST, MOST = 5, 100
BUSY = 0.5


class Spread(NamedTuple):
    """The median of some samples, their least and greatest, their quartiles, and how many there are."""

    median: float
    low: float
    high: float
    quartiles: tuple[float, float]
    n: int

    @classmethod
    def of(cls, samples: Sequence[float]) -> Spread:
        """Of one sample or more."""
        lower, _, upper = quantiles(samples, n=4, method="inclusive") if len(samples) > 1 else [samples[0]] * 3
        return cls(median(samples), min(samples), max(samples), (lower, upper), len(samples))


def sample(work: Work, calls: int) -> float:
    """Seconds per call, of so many in a row."""
    start = time.perf_counter()
    for _ in range(calls):
        work()
    return (time.perf_counter() - start) / calls


def interleave(
    works: Mapping[str, Work],
    seconds: float,
    *,
    least: int = LEAST,
    sample: Callable[[Work, int], float] = sample,
    length: float = SAMPLE,
) -> dict[str, list[float]]:
    """Seconds per call of each, in rounds of all of them, in their order.

    There is a round to warm up and one to see how long a call takes: where the quickest takes less than ``length``,
    all are called so many times in a row that a sample of it takes that. What a call returned is let go inside its
    time. The garbage collector rests meanwhile.

    Args:
        works: what to time, by name.
        seconds: rounds go on until this long has passed,
        least: but there are at least this many, and at most ``MOST``.
        sample: the clock: seconds per call of some work, of so many in a row.
        length: of a sample of the quickest, in seconds, at least.
    """
    with _collector_resting():
        for work in works.values():
            work()
        once = min((sample(work, 1) for work in works.values()), default=length)
        calls = max(1, math.ceil(length / once))
        samples: dict[str, list[float]] = {name: [] for name in works}
        start = time.perf_counter()
        for done in range(MOST):
            if done >= least and time.perf_counter() - start > seconds:
                break
            for name, work in works.items():
                samples[name].append(sample(work, calls))
    return samples


@contextmanager
def _collector_resting() -> Iterator[None]:
    gc.collect()
    resting = not gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if not resting:
            gc.enable()


def speed(samples: Mapping[str, Sequence[float]], ours: str, peer: str) -> Spread:
    """How many times as fast as ``peer`` is ``ours``: the ratios of their seconds, round by round."""
    return Spread.of([theirs / mine for theirs, mine in zip(samples[peer], samples[ours], strict=True)])


def busy() -> str | None:
    """A warning where others use the machine, by the load average of the last minute; None where they do not."""
    if not hasattr(os, "getloadavg") or (load := os.getloadavg()[0]) <= BUSY:
        return None
    return f"the machine is busy (load {load:.1f}); ratios will spread"
