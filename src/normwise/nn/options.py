"""What the options of a layer may be."""

from __future__ import annotations

import math
import warnings

from normwise.errors import InvalidArgumentError, MomentumWarning, choice

SMALL_BATCH = ("error", "running")
SUSPICIOUS_MOMENTUM = 0.9
"""From here on a momentum looks like that of Keras or JAX, where 0.99 is common and means 0.01 here."""


def check(channel_dim: int, small_batch: str, track_running_stats: bool) -> None:
    """Refuse what cannot be.

    Raises:
        InvalidArgumentError: an option is none of those allowed, or two do not go together.
    """
    if channel_dim not in (1, -1):
        raise InvalidArgumentError(
            f"channel_dim must be 1, for (N, C, …), or -1, for (N, …, C), got {channel_dim!r}; move the axis of other "
            "tensors: x.movedim(axis, 1)"
        )
    if small_batch not in SMALL_BATCH:
        raise InvalidArgumentError(choice(str(small_batch), SMALL_BATCH, "small_batch"))
    if small_batch == "running" and not track_running_stats:
        raise InvalidArgumentError(
            "small_batch='running' needs running statistics, got track_running_stats=False; leave one of them out"
        )


def check_momentum(momentum: float | None) -> float | None:
    """The momentum as a number.

    Raises:
        InvalidArgumentError: it is no weight, which lies between 0 and 1.
    """
    if momentum is None:
        return None
    try:
        weight = float(momentum)
    except (TypeError, ValueError):
        weight = math.nan
    if not 0 <= weight <= 1:
        raise InvalidArgumentError(
            f"momentum must be between 0 and 1 or None, got {momentum!r}: it is the weight of the newest batch, "
            "running ← (1 − momentum)·running + momentum·batch"
        )
    return weight


class _Once:
    warned = False


def warn_of_momentum(momentum: float | None, stacklevel: int) -> None:
    """Warn, once in a process, of a momentum that looks like the other convention."""
    if momentum is None or momentum < SUSPICIOUS_MOMENTUM or _Once.warned:
        return
    _Once.warned = True
    warnings.warn(
        f"momentum={momentum} is the weight of the newest batch: running ← (1 − momentum)·running + momentum·batch. "
        f"Keras and JAX mean the weight of the past; their {momentum} is momentum={1 - momentum:.4g} here. If you mean "
        'yours, silence this with warnings.simplefilter("ignore", normwise.errors.MomentumWarning)',
        MomentumWarning,
        stacklevel=stacklevel + 1,
    )
