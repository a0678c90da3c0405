"""Whether a surgery left a network's outputs as they were."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from normwise.errors import SurgeryError
from normwise.surgery import walk
from normwise.surgery.example import run


def same_outputs(before: nn.Module, after: nn.Module, example: Any, verb: str) -> None:
    """Refuse a surgery that changed the outputs on an example, in training or in evaluation.

    Copies run, from the same state of the random generators. A tensor may differ by √eps of its type times its largest
    value, half of the digits: what rounding becomes in a deep network whose batches are small.

    Raises:
        SurgeryError: the outputs differ by more, or one of the networks does not run on the example.
    """
    for training, mode in ((False, "evaluation"), (True, "training")):
        want, got = (_outputs(network, example, training) for network in (before, after))
        same = len(want) == len(got)
        error = max(map(_difference, got, want), default=0.0) if same else float("inf")
        if not error <= 1:
            raise SurgeryError(
                f"cannot {verb} {type(before).__name__}: on the example its outputs in {mode} would change, by "
                f"{error:.3g} times what rounding explains; leave layers out with skip= to find the one that does it"
            )


def _outputs(network: nn.Module, example: Any, training: bool) -> list[Any]:
    return pytree.tree_leaves(run(walk.duplicate(network).train(training), example))


def _difference(got: Any, want: Any) -> float:
    """The largest difference in units of what is allowed; infinite where the two cannot be compared."""
    if not isinstance(want, Tensor) or not isinstance(got, Tensor) or not want.is_floating_point():
        same = torch.equal(got, want) if isinstance(got, Tensor) and isinstance(want, Tensor) else got == want
        return 0.0 if same else float("inf")
    if got.shape != want.shape or got.dtype != want.dtype:
        return float("inf")
    difference = torch.where(got.isnan() & want.isnan() | (got == want), 0.0, (got - want).abs().double())
    allowed = torch.finfo(want.dtype).eps ** 0.5 * want.nan_to_num(0, 0, 0).abs().double()
    if not difference.any():
        return 0.0
    return float(difference.max() / allowed.max()) if difference.isfinite().all() else float("inf")
