"""A device that is the CPU with everything that a GPU has besides, and a case measured on nothing."""

from __future__ import annotations

from measurements import spread
from normwise.bench.cases import TRAIN, Case
from normwise.bench.contenders import OURS, TORCH
from normwise.bench.gpu.device import Cpu
from normwise.bench.gpu.measure import CALLED, Measurement, Timing
from normwise.bench.oracle import Error

CASE = Case((4, 6, 5, 5), "channels_last", "bn+relu", TRAIN, "bfloat16")


class Twin(Cpu):
    """Two sets of inputs, and a graph that calls everything."""

    length = 0.0

    def capture(self, works):
        return lambda: [work() for work in works]

    def sets(self, size):
        return 2

    def described(self):
        return super().described() | {"device": "abacus"}


def measurement(speed=2.0, *, case=CASE, launch=CALLED, error=1.0, peers=(TORCH,)) -> Measurement:
    """A case in which ours takes a second and each peer ``speed``."""
    seconds = {OURS: spread(1.0)} | {peer: spread(speed) for peer in peers}
    timing = Timing(launch, seconds, {peer: spread(speed) for peer in peers})
    errors = {name: Error(error, "y") for name in seconds}
    return Measurement(case, (timing,), errors, {OURS: 2**20, TORCH: 2**21}, {})
