"""Measurements that were never made, for what is done with them."""

from __future__ import annotations

from normwise.bench.cases import TRAIN, Case
from normwise.bench.contenders import FLOOR, INPLACE, OURS, TORCH
from normwise.bench.entries import Memory, Step
from normwise.bench.measure import Measurement
from normwise.bench.oracle import Error
from normwise.bench.timing import Spread


def spread(value: float, n: int = 5) -> Spread:
    return Spread(value, value / 2, value * 2, (value * 0.9, value * 1.1), n)


def measurement(
    speed: float = 2.0,
    *,
    shape=(32, 64, 56, 56),
    layout: str = "contiguous",
    epilogue: str = "bn+relu",
    mode: str = TRAIN,
    over_floor: float = 0.5,
    error: float = 1.0,
    torch_error: float = 1.0,
) -> Measurement:
    """A case in which ours takes a second, torch ``speed`` and the floor 1/``over_floor``."""
    errors = {OURS: Error(error, "y"), TORCH: Error(torch_error, "grad_x")}
    notes = tuple(f"{name} is wrong: {found}" for name, found in errors.items() if found.wrong)
    case = Case(shape, layout, epilogue, mode)
    if errors[OURS].wrong:
        return Measurement(case, errors, {}, {}, {}, notes)
    seconds = {OURS: 1.0, TORCH: speed, FLOOR: 1 / over_floor}
    if case.activation == "relu":
        seconds[INPLACE] = 0.9 * speed
    ratios = {name: spread(value) for name, value in seconds.items() if name != OURS}
    saved = {OURS: 1.0, TORCH: 2.0} if mode == TRAIN else {}
    return Measurement(case, errors, {name: spread(value) for name, value in seconds.items()}, ratios, saved, notes)


def training_step(speed: float = 1.2) -> Step:
    return Step("MLP", {OURS: spread(1.0), TORCH: spread(speed)}, {TORCH: spread(speed)})


def kept_tensors() -> Memory:
    return Memory("chain", "tensors", {OURS: 3.0, TORCH: 4.0})
