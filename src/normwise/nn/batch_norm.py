"""Batch normalization layers that replace those of ``torch.nn``."""

from __future__ import annotations

from torch import nn

from normwise.nn.layer import Layer


class BatchNorm1d(Layer, nn.BatchNorm1d):
    """Batch normalization of (N, C) or (N, C, L): ``torch.nn.BatchNorm1d`` with a residual, an activation and a mask.

        y = activation(γ·(x − μ)/√(σ² + ε) + β + residual)

    γ (``weight``), β (``bias``), μ and σ² have shape (C,); x, residual and y have one shape. State-dict keys and
    defaults are those of the torch class, so either loads the other's state. Called as ``layer(x, residual=None,
    mask=None)``: ``mask`` is True where a position counts and broadcasts to x without its channel axis, or with it of
    size 1; other positions, whatever they hold, count in no moment, output 0 and receive no gradient.

    **Training.** μ and σ² are the mean and the biased variance of the channel over the batch: over N, and L.
    Then, with m values per channel, the running statistics that evaluation uses are updated:

        running_mean ← (1 − momentum)·running_mean + momentum·μ
        running_var  ← (1 − momentum)·running_var  + momentum·σ²·m/(m − 1)

    A large ``momentum`` forgets quickly; ``momentum=None`` means 1/(num_batches_tracked − skipped), the plain average
    over the batches. It may be set between steps, of a compiled layer too. Not updated are

    * the statistics of a channel whose μ or σ² is not finite; ``skipped`` counts it. The output is what the formula
      says, so that a gradient scaler sees it.
    * anything where fewer than two values count, but for ``num_batches_tracked`` on an empty batch, as in torch;
    * anything within ``suspend_statistics``, a ``torch.func`` transform, or a forward that runs during a backward, as
      ``torch.utils.checkpoint`` does to recompute one (a compiled function that is checkpointed as a whole, from
      outside, updates twice).

    **Evaluation.** μ and σ² are ``running_mean`` and ``running_var``, or, with ``track_running_stats=False``, those of
    the batch, as in training.

    Args:
        num_features: C, the number of channels.
        eps: ε, added to the variance.
        momentum: the weight of the newest batch in the running statistics, from 0 to 1, or None.
        affine: whether there are γ and β to learn.
        track_running_stats: whether there are running statistics.
        device: where parameters and buffers live.
        dtype: the type of parameters and statistics. Moments are computed in float32 for float16 and bfloat16 inputs,
            whose layer may stay float32, as autocast has it.
        bias: whether there is a β; where False, β is 0.
        activation: what follows, for example ``"relu"`` or ``"leaky_relu:0.1"`` (``normwise.ops.ACTIVATIONS`` has the
            names), or None.
        channel_dim: the axis of the channels: 1, or -1 for (N, L, C), or (N, C) as before.
        small_batch: what to do in training with a single value per channel, which has no variance: ``"error"``, or
            ``"running"`` to normalize with the running statistics, as in evaluation, and leave them alone. (Within a
            checkpoint those of the recomputation count, so nothing else should update them in between.)

    Attributes:
        skipped: for each channel the number of batches whose moments were not finite, since the statistics were made,
            reset or loaded; None where there are no statistics. No part of the state dict.

    Raises:
        ShapeError: (a ValueError and a RuntimeError) when called on a batch with a single value per channel where the
            batch's moments are needed, with another number of channels, or with a residual or mask that does not fit.
            The statistics are untouched.
        ValueError: when called on a tensor with another number of axes.
        InvalidArgumentError: (a ValueError) an option is none of those allowed, or two do not go together. When called
            with an ``eps`` that is negative, or 0 in training. TensorError (a RuntimeError too): an x that is not
            floating-point, a mask that is not boolean, tensors on different devices.

    Warns:
        MomentumWarning: when constructed, once in a process, where ``momentum`` is 0.9 or more, as other libraries
            write what is 0.1 or less here.

    ``torch.nn.SyncBatchNorm.convert_sync_batchnorm`` makes torch's own layer of this one and drops all options.

    Source: Ioffe & Szegedy 2015, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal
    Covariate Shift", arXiv:1502.03167: Algorithm 1, section 3.1 for m/(m − 1).
    """


class BatchNorm2d(Layer, nn.BatchNorm2d):
    """Batch normalization of (N, C, H, W): ``torch.nn.BatchNorm2d`` with a residual, an activation and a mask.

        y = activation(γ·(x − μ)/√(σ² + ε) + β + residual)

    γ (``weight``), β (``bias``), μ and σ² have shape (C,); x, residual and y have one shape. State-dict keys and
    defaults are those of the torch class, so either loads the other's state. Called as ``layer(x, residual=None,
    mask=None)``: ``mask`` is True where a position counts and broadcasts to x without its channel axis, or with it of
    size 1; other positions, whatever they hold, count in no moment, output 0 and receive no gradient.

    **Training.** μ and σ² are the mean and the biased variance of the channel over the batch: over N, H and W. Then,
    with m values per channel, the running statistics that evaluation uses are updated:

        running_mean ← (1 − momentum)·running_mean + momentum·μ
        running_var  ← (1 − momentum)·running_var  + momentum·σ²·m/(m − 1)

    A large ``momentum`` forgets quickly; ``momentum=None`` means 1/(num_batches_tracked − skipped), the plain average
    over the batches. It may be set between steps, of a compiled layer too. Not updated are

    * the statistics of a channel whose μ or σ² is not finite; ``skipped`` counts it. The output is what the formula
      says, so that a gradient scaler sees it.
    * anything where fewer than two values count, but for ``num_batches_tracked`` on an empty batch, as in torch;
    * anything within ``suspend_statistics``, a ``torch.func`` transform, or a forward that runs during a backward, as
      ``torch.utils.checkpoint`` does to recompute one (a compiled function that is checkpointed as a whole, from
      outside, updates twice).

    **Evaluation.** μ and σ² are ``running_mean`` and ``running_var``, or, with ``track_running_stats=False``, those of
    the batch, as in training.

    Args:
        num_features: C, the number of channels.
        eps: ε, added to the variance.
        momentum: the weight of the newest batch in the running statistics, from 0 to 1, or None.
        affine: whether there are γ and β to learn.
        track_running_stats: whether there are running statistics.
        device: where parameters and buffers live.
        dtype: the type of parameters and statistics. Moments are computed in float32 for float16 and bfloat16 inputs,
            whose layer may stay float32, as autocast has it.
        bias: whether there is a β; where False, β is 0.
        activation: what follows, for example ``"relu"`` or ``"leaky_relu:0.1"`` (``normwise.ops.ACTIVATIONS`` has the
            names), or None.
        channel_dim: the axis of the channels: 1, or -1 for (N, H, W, C).
        small_batch: what to do in training with a single value per channel, which has no variance: ``"error"``, or
            ``"running"`` to normalize with the running statistics, as in evaluation, and leave them alone. (Within a
            checkpoint those of the recomputation count, so nothing else should update them in between.)

    Attributes:
        skipped: for each channel the number of batches whose moments were not finite, since the statistics were made,
            reset or loaded; None where there are no statistics. No part of the state dict.

    Raises:
        ShapeError: (a ValueError and a RuntimeError) when called on a batch with a single value per channel where the
            batch's moments are needed, with another number of channels, or with a residual or mask that does not fit.
            The statistics are untouched.
        ValueError: when called on a tensor with another number of axes.
        InvalidArgumentError: (a ValueError) an option is none of those allowed, or two do not go together. When called
            with an ``eps`` that is negative, or 0 in training. TensorError (a RuntimeError too): an x that is not
            floating-point, a mask that is not boolean, tensors on different devices.

    Warns:
        MomentumWarning: when constructed, once in a process, where ``momentum`` is 0.9 or more, as other libraries
            write what is 0.1 or less here.

    ``torch.nn.SyncBatchNorm.convert_sync_batchnorm`` makes torch's own layer of this one and drops all options.

    Source: Ioffe & Szegedy 2015, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal
    Covariate Shift", arXiv:1502.03167: Algorithm 1, section 3.1 for m/(m − 1), section 3.2 for feature maps.
    """


class BatchNorm3d(Layer, nn.BatchNorm3d):
    """Batch normalization of (N, C, D, H, W): ``torch.nn.BatchNorm3d`` with a residual, an activation and a mask.

        y = activation(γ·(x − μ)/√(σ² + ε) + β + residual)

    γ (``weight``), β (``bias``), μ and σ² have shape (C,); x, residual and y have one shape. State-dict keys and
    defaults are those of the torch class, so either loads the other's state. Called as ``layer(x, residual=None,
    mask=None)``: ``mask`` is True where a position counts and broadcasts to x without its channel axis, or with it of
    size 1; other positions, whatever they hold, count in no moment, output 0 and receive no gradient.

    **Training.** μ and σ² are the mean and the biased variance of the channel over the batch: over N, D, H and W. Then,
    with m values per channel, the running statistics that evaluation uses are updated:

        running_mean ← (1 − momentum)·running_mean + momentum·μ
        running_var  ← (1 − momentum)·running_var  + momentum·σ²·m/(m − 1)

    A large ``momentum`` forgets quickly; ``momentum=None`` means 1/(num_batches_tracked − skipped), the plain average
    over the batches. It may be set between steps, of a compiled layer too. Not updated are

    * the statistics of a channel whose μ or σ² is not finite; ``skipped`` counts it. The output is what the formula
      says, so that a gradient scaler sees it.
    * anything where fewer than two values count, but for ``num_batches_tracked`` on an empty batch, as in torch;
    * anything within ``suspend_statistics``, a ``torch.func`` transform, or a forward that runs during a backward, as
      ``torch.utils.checkpoint`` does to recompute one (a compiled function that is checkpointed as a whole, from
      outside, updates twice).

    **Evaluation.** μ and σ² are ``running_mean`` and ``running_var``, or, with ``track_running_stats=False``, those of
    the batch, as in training.

    Args:
        num_features: C, the number of channels.
        eps: ε, added to the variance.
        momentum: the weight of the newest batch in the running statistics, from 0 to 1, or None.
        affine: whether there are γ and β to learn.
        track_running_stats: whether there are running statistics.
        device: where parameters and buffers live.
        dtype: the type of parameters and statistics. Moments are computed in float32 for float16 and bfloat16 inputs,
            whose layer may stay float32, as autocast has it.
        bias: whether there is a β; where False, β is 0.
        activation: what follows, for example ``"relu"`` or ``"leaky_relu:0.1"`` (``normwise.ops.ACTIVATIONS`` has the
            names), or None.
        channel_dim: the axis of the channels: 1, or -1 for (N, D, H, W, C).
        small_batch: what to do in training with a single value per channel, which has no variance: ``"error"``, or
            ``"running"`` to normalize with the running statistics, as in evaluation, and leave them alone. (Within a
            checkpoint those of the recomputation count, so nothing else should update them in between.)

    Attributes:
        skipped: for each channel the number of batches whose moments were not finite, since the statistics were made,
            reset or loaded; None where there are no statistics. No part of the state dict.

    Raises:
        ShapeError: (a ValueError and a RuntimeError) when called on a batch with a single value per channel where the
            batch's moments are needed, with another number of channels, or with a residual or mask that does not fit.
            The statistics are untouched.
        ValueError: when called on a tensor with another number of axes.
        InvalidArgumentError: (a ValueError) an option is none of those allowed, or two do not go together. When called
            with an ``eps`` that is negative, or 0 in training. TensorError (a RuntimeError too): an x that is not
            floating-point, a mask that is not boolean, tensors on different devices.

    Warns:
        MomentumWarning: when constructed, once in a process, where ``momentum`` is 0.9 or more, as other libraries
            write what is 0.1 or less here.

    ``torch.nn.SyncBatchNorm.convert_sync_batchnorm`` makes torch's own layer of this one and drops all options.

    Source: Ioffe & Szegedy 2015, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal
    Covariate Shift", arXiv:1502.03167: Algorithm 1, section 3.1 for m/(m − 1), section 3.2 for feature maps.
    """
