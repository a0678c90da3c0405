"""What a call of the layer takes besides its kernels, in microseconds.

``around`` is the whole call minus the time within its kernels: with what PyTorch's autograd and allocator take, and
slowed by caches that the kernels have just filled. ``python`` is the same call with kernels that do nothing.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch

import normwise as nw
from normwise.ops.cpu import threads

ROUNDS = 200  # for each that is asked for: a call takes a fraction of a millisecond
WARM = 20
SHAPE = (16, 96, 28, 28)


class Microseconds(NamedTuple):
    """What one call took outside of its kernels."""

    around: float

    @property
    def figure(self) -> float:
        return self.around


class _Inside:
    """Seconds within kernels, which run on the calling thread alone, or not at all."""

    def __init__(self, run: bool) -> None:
        self.seconds, self._run = 0.0, run
        self._function = threads._function

    def __enter__(self) -> _Inside:
        threads._function = functools.cache(self._timed)  # type: ignore[assignment]
        return self

    def __exit__(self, *error: object) -> None:
        threads._function = self._function

    def _timed(self, kernel: int) -> Callable[[int], None]:
        function = self._function(kernel)

        def call(job: int) -> None:
            if self._run:
                start = time.perf_counter()
                function(job)
                self.seconds += time.perf_counter() - start

        return call

    def around(self, work: Callable[[], Any]) -> tuple[float, Any]:
        """Microseconds of a call outside of kernels, and what it returns."""
        self.seconds = 0.0
        start = time.perf_counter()
        result = work()
        return 1e6 * (time.perf_counter() - start - self.seconds), result


def calls(part: str, run: bool) -> Callable[[int], Iterator[Microseconds]]:
    """``ROUNDS``·n forwards and backwards of BN + ReLU in training, in turn; those of one part are reported."""

    def measure(n: int) -> Iterator[Microseconds]:
        torch.set_num_threads(1)
        layer = nw.BatchNorm2d(SHAPE[1], activation="relu")
        x, upstream = torch.randn(SHAPE).requires_grad_(), torch.randn(SHAPE)
        wanted = [x, *layer.parameters()]
        torch.autograd.grad(layer(x), wanted, upstream)  # compiles
        with _Inside(run) as inside:
            for index in range(WARM + ROUNDS * n):
                forward, y = inside.around(functools.partial(layer, x))
                backward, gradients = inside.around(functools.partial(torch.autograd.grad, y, wanted, upstream))
                del y, gradients  # what is freed is not timed
                if index >= WARM:
                    yield Microseconds(forward if part == "forward" else backward)

    return measure
