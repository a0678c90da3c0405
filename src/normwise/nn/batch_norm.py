"""Batch normalization layers that replace those of ``torch.nn``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from normwise import ops
from normwise.errors import ShapeError
from normwise.nn import statistics


class _Layer(_BatchNorm):
    """What the three layers share."""

    activation: str | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
        activation: str | None = None,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype)
        if not bias:
            self.register_parameter("bias", None)
        self.activation = None if activation is None else str(ops.activation(activation))

    def reset_parameters(self) -> None:
        """Reset the statistics (mean 0, variance 1, no batch seen) and γ to 1 and β to 0, where there are any."""
        self.reset_running_stats()
        for parameter, value in ((self.weight, 1.0), (self.bias, 0.0)):
            if parameter is not None:
                nn.init.constant_(parameter, value)

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """Normalize ``x``, add ``residual`` of the same shape, and activate; see the class."""
        self._check_input_dim(x)  # type: ignore[no-untyped-call]
        self._check_channels(x)
        if not self.training and self.running_mean is not None:
            return self._evaluate(x, residual)
        self._check_values(x)
        batch = ops.batch_norm(x, self.weight, self.bias, eps=self.eps, residual=residual, activation=self.activation)
        if self.training and self.track_running_stats and not torch._C._are_functorch_transforms_active():
            statistics.update(self, batch)
        return batch.y

    def _check_channels(self, x: Tensor) -> None:
        mean = self.running_mean
        if mean is not None and mean.shape[0] != x.shape[1]:
            raise ShapeError(
                f"expected {mean.shape[0]} channels on axis 1, got x of shape {tuple(x.shape)}; "
                f"give x that many channels or make the layer with num_features={x.shape[1]}"
            )

    def _check_values(self, x: Tensor) -> None:
        """Refuse a batch with a single value per channel."""
        if x.numel() == x.shape[1]:
            raise ShapeError(
                f"expected more than one value per channel when training, got x of shape {tuple(x.shape)}: a single "
                "value has no variance; use a larger batch, drop the last one (drop_last=True) or call eval() first"
            )

    def _evaluate(self, x: Tensor, residual: Tensor | None) -> Tensor:
        mean, var = self.running_mean, self.running_var
        assert mean is not None
        assert var is not None
        return ops.normalize(
            x, mean, var, self.weight, self.bias, eps=self.eps, residual=residual, activation=self.activation
        )

    def extra_repr(self) -> str:
        text = str(super().extra_repr())  # type: ignore[no-untyped-call]
        if self.affine and self.bias is None and "bias=" not in text:
            text += ", bias=False"
        return text if self.activation is None else f"{text}, activation={self.activation!r}"


class BatchNorm1d(_Layer, nn.BatchNorm1d):
    """Batch normalization of (N, C) or (N, C, L): ``torch.nn.BatchNorm1d`` with ``activation`` and a residual.

        y = activation((x − μ)/√(σ² + ε)·γ + β + residual)

    The moments of a channel are taken over N and L. Everything else is as in ``BatchNorm2d``.
    """


class BatchNorm2d(_Layer, nn.BatchNorm2d):
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


class BatchNorm3d(_Layer, nn.BatchNorm3d):
    """Batch normalization of (N, C, D, H, W): ``torch.nn.BatchNorm3d`` with ``activation`` and a residual.

        y = activation((x − μ)/√(σ² + ε)·γ + β + residual)

    The moments of a channel are taken over N, D, H and W. Everything else is as in ``BatchNorm2d``.
    """
