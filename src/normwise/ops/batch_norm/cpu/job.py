"""The job that a kernel works on: 64-bit words, the same for every kernel; and what a kernel is specialized for.

Addresses point at the first element; strides and sizes count elements. ``X`` to ``D`` each take four words: an
address, and the strides of group, example and channel. Statistics are arrays of shape (groups, channels).
"""

from __future__ import annotations

from typing import NamedTuple

(
    NEXT,  # the next task, counted up
    DONE,  # tasks finished, counted up
    TASKS,
    CHANNELS,
    OUTER,  # examples per group (planes), or rows per group
    INNER,  # positions per example and channel
    STRIP,  # channels per task
    BLOCKS,  # parts that the examples of a group are split in
    BLOCK,  # examples per part
    TRAINING,  # 1 where the moments are the batch's own and pass gradients on
    EPS,  # a float64, bit by bit
    PARAMETER,  # the activation's, likewise
    WEIGHT,  # 0 for none
    BIAS,  # 0 for none
    MEAN,
    VAR,
    LOW,  # what rounding took from the mean; 0 for none
    COUNT,
    GRAD_WEIGHT,
    GRAD_BIAS,
    PARTIAL,  # float64 scratch for moments or sums of parts
    MASK,  # bytes (groups, examples, positions); 0 for none
) = range(22)
X, Y, R, G, D = 22, 26, 30, 34, 38  # input, output (y, or the gradient of x), residual, gradient of y, of the residual
WORDS = 42

# The job of the kernel that moves running statistics by one batch.
(
    SIZE,  # channels
    CUMULATIVE,  # 1 where the momentum is 1 / (batches − skipped)
    MOMENTUM,  # a float64, bit by bit
    RUNNING_MEAN,
    RUNNING_VAR,
    BATCH_MEAN,
    BATCH_VAR,
    BATCH_COUNT,
    BATCHES,  # an int64 that is counted up; 0 for none
    SKIPPED,  # an int64 for each channel, counted up where the moments are not finite; 0 for none
) = range(10)
RUNNING_WORDS = 10

_EXPENSIVE = ("elu", "gelu", "gelu_tanh", "mish", "sigmoid", "silu", "tanh")  # derivatives with an exponential


class Kind(NamedTuple):
    """What a kernel is compiled for.

    Attributes:
        form: ``"planes"`` or ``"rows"``.
        part: ``forward`` and ``backward`` do all of a channel at once; ``moments``, ``normalize``, ``backward_reduce``
        and ``backward_elementwise`` are the four parts that they are made of.
        dtype: of the elements.
        activation: its name.
        residual: whether something is added before the activation.
        masked: whether there is a mask.
    """

    form: str
    part: str
    dtype: str
    activation: str
    residual: bool
    masked: bool

    @property
    def accumulator(self) -> str:
        """The type of statistics and coefficients: float64 for float64, float32 otherwise."""
        return "float64" if self.dtype == "float64" else "float32"

    @property
    def keeps(self) -> int:
        """Where ``backward`` keeps the gradient of z between its passes: in ``D``, ``Y``, or 0 for nowhere.

        The second pass then computes no derivative and reads no residual. Rounded to bfloat16 the gradient would not
        do; in rows, keeping it costs more than it saves.
        """
        if (self.form, self.part) != ("planes", "backward") or self.dtype == "bfloat16":
            return 0
        return D if self.residual else Y if self.activation in _EXPENSIVE else 0
