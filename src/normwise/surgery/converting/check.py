"""Whether a surgery left what a network computes as it was, in both modes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from normwise.errors import SurgeryError
from normwise.surgery import walk
from normwise.surgery.example import run
from normwise.surgery.folding.agreement import difference, floating_types, floats, tolerance_of


def same_outputs(before: nn.Module, after: nn.Module, example: Any, verb: str) -> None:
    """Refuse a surgery that changed the outputs on an example, in evaluation or in training.

    Copies run, from the same state of the random generators. In evaluation the tolerance is that of ``fold``. In
    training it is √eps of the coarsest type, half of the digits, relative to the largest output: there every layer
    divides what rounding has left by the deviation of a batch, which may be small.

    Raises:
        SurgeryError: the outputs differ by more, or one of the networks does not run on the example.
    """
    for training, mode in ((False, "evaluation"), (True, "training")):
        want, got = (floats(run(walk.duplicate(network).train(training), example)) for network in (before, after))
        allowed = _tolerance_in_training(before, want) if training else tolerance_of(before, want)
        worst = difference(want, got)
        if not worst <= allowed:
            raise SurgeryError(
                f"cannot {verb} {type(before).__name__}: its outputs in {mode} would differ by {worst:.3g} of the "
                f"largest one on the example, more than {allowed:.3g}; find the layer with skip= and leave it out"
            )


def _tolerance_in_training(network: nn.Module, outputs: list[Tensor]) -> float:
    return max((torch.finfo(dtype).eps ** 0.5 for dtype in floating_types(network, outputs)), default=0.0)
