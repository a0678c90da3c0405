"""The kernel that moves running statistics by one batch, in one launch."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from normwise.ops.batch_norm.triton.launch import launch, on

_BLOCK = 1024  # channels that the program works on at a time


@triton.jit(do_not_specialize=["channels", "momentum"])
def update_running(
    running_mean, running_var, batches, skipped, mean, var, count, channels, momentum,
    CUMULATIVE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One program for all channels, so that the counter of batches has one reader and one writer.

    Where CUMULATIVE, the momentum of a channel is 1/(batches − skipped).
    """
    number = tl.full((1,), 0, tl.int64)
    if batches is not None:
        number += tl.load(batches) + (tl.load(count) > 1).to(tl.int64)
        tl.debug_barrier()  # before one thread writes what all have read
        tl.store(batches + tl.arange(0, 1), number)
    first = 0
    while first < channels:
        c = first + tl.arange(0, BLOCK)
        m = tl.load(count + c, mask=c < channels, other=0.0)
        enough = m > 1  # in all channels alike
        mean_C, var_C = tl.load(mean + c, mask=enough, other=0.0), tl.load(var + c, mask=enough, other=0.0)
        var_C *= tl.div_rn(m, tl.maximum(m - 1.0, 1.0))
        finite = (tl.abs(mean_C) < float("inf")) & (tl.abs(var_C) < float("inf"))
        missed = tl.zeros((BLOCK,), tl.int64)
        if skipped is not None:
            missed = tl.load(skipped + c, mask=enough, other=0) + tl.where(finite, 0, 1)
            tl.store(skipped + c, missed, mask=enough)
        weight = tl.zeros((BLOCK,), tl.float32) + momentum
        if CUMULATIVE:
            weight = tl.div_rn(tl.full((BLOCK,), 1.0, tl.float32), tl.maximum(number - missed, 1).to(tl.float32))
        seen = enough & finite
        old_mean = tl.load(running_mean + c, mask=seen, other=0.0)
        old_var = tl.load(running_var + c, mask=seen, other=0.0)
        tl.store(running_mean + c, (1.0 - weight) * old_mean + weight * mean_C, mask=seen)
        tl.store(running_var + c, (1.0 - weight) * old_var + weight * var_C, mask=seen)
        first += BLOCK


def update(
    running_mean: Tensor,
    running_var: Tensor,
    batches: Tensor | None,
    skipped: Tensor | None,
    mean: Tensor,
    var: Tensor,
    count: Tensor,
    momentum: float | None,
) -> None:
    """Launch it."""
    arguments = {
        "running_mean": running_mean,
        "running_var": running_var,
        "batches": batches,
        "skipped": skipped,
        "mean": mean,
        "var": var,
        "count": count,
        "channels": mean.shape[0],
        "momentum": momentum or 0.0,
        "CUMULATIVE": momentum is None and batches is not None,
        "BLOCK": _BLOCK,
    }
    with on(mean.device):
        launch(update_running, 1, 4, arguments)
    changed = [tensor for tensor in (running_mean, running_var, batches, skipped) if tensor is not None]
    torch.autograd.graph.increment_version(changed)
