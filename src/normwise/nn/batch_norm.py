"""Batch normalization layers that replace those of ``torch.nn``."""

from __future__ import annotations

from torch import nn

from normwise.nn.layer import Layer


class BatchNorm1d(Layer, nn.BatchNorm1d):
    """Batch normalization of (N, C) or (N, C, L): ``torch.nn.BatchNorm1d`` with ``activation`` and a residual.

        y = activation((x − μ)/√(σ² + ε)·γ + β + residual)

    The moments of a channel are taken over N and L. Everything else is as in ``BatchNorm2d``.
    """


class BatchNorm2d(Layer, nn.BatchNorm2d):
    """Batch normalization of (N, C, H, W): ``torch.nn.BatchNorm2d`` with ``activation`` and a residual.

        y = activation((x − μ)/√(σ² + ε)·γ + β + residual)

    γ (``weight``), β (``bias``), μ and σ² have shape (C,); x, residual and y have one shape. State-dict keys and
    defaults are those of the torch class, so either loads the other's state.

    **Training.** μ and σ² are the mean and the biased variance of the channel over the batch: over N, H and W. Then,
    with m values per channel, the running statistics that evaluation uses are updated:

        running_mean ← (1 − momentum)·running_mean + momentum·μ
        running_var  ← (1 − momentum)·running_var  + momentum·σ²·m/(m − 1)

    A large ``momentum`` forgets quickly; ``momentum=None`` means 1/num_batches_tracked, the plain average over all
    batches. Inside a ``torch.func`` transform nothing is updated. An empty batch only moves ``num_batches_tracked``.

    **Evaluation.** μ and σ² are ``running_mean`` and ``running_var``, or, with ``track_running_stats=False``, those of
    the batch, as in training.

    Args:
        num_features: C, the number of channels.
        eps: ε, added to the variance.
        momentum: the weight of the newest batch in the running statistics, or None.
        affine: whether there are γ and β to learn.
        track_running_stats: whether there are running statistics.
        device: where parameters and buffers live.
        dtype: the type of parameters and statistics.
        bias: whether there is a β; where False, β is 0.
        activation: what follows, for example ``"relu"`` or ``"leaky_relu:0.1"`` (``normwise.ops.ACTIVATIONS`` has the
            names), or None.

    Raises:
        ShapeError: (a ValueError) when called on a batch with a single value per channel where the batch's moments are
            needed, with another number of channels, or with a residual of another shape. The statistics are untouched.
        ValueError: when called on a tensor with another number of axes.
        InvalidArgumentError: (a ValueError) ``activation`` is not one of those known.

    ``torch.nn.SyncBatchNorm.convert_sync_batchnorm`` makes torch's own layer of this one and drops ``activation``.

    Source: Ioffe & Szegedy 2015, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal
    Covariate Shift", arXiv:1502.03167: Algorithm 1, section 3.1 for m/(m − 1), section 3.2 for feature maps.
    """


class BatchNorm3d(Layer, nn.BatchNorm3d):
    """Batch normalization of (N, C, D, H, W): ``torch.nn.BatchNorm3d`` with ``activation`` and a residual.

        y = activation((x − μ)/√(σ² + ε)·γ + β + residual)

    The moments of a channel are taken over N, D, H and W. Everything else is as in ``BatchNorm2d``.
    """
