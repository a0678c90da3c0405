"""A batch normalization in evaluation: a scale and a shift for each channel."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from normwise import ops
from normwise.nn import BatchNorm1d, BatchNorm2d, BatchNorm3d, FrozenBatchNorm, fx
from normwise.nn.frozen import obstacle
from normwise.nn.kinds import thawed
from normwise.nn.layer import Layer
from normwise.ops.batch_norm.arguments import full_mask
from normwise.surgery.plain import is_plain

PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm, BatchNorm1d, BatchNorm2d, BatchNorm3d)


class Affine(NamedTuple):
    """y = (x − center)·scale + shift for each channel, in float64 on the CPU; of shape (C,) each.

    The center stays apart from the shift: x·scale + shift loses digits where the mean is large.
    """

    center: Tensor
    scale: Tensor
    shift: Tensor

    @property
    def offset(self) -> Tensor:
        """What a zero becomes."""
        return self.shift - self.center * self.scale

    @property
    def is_finite(self) -> bool:
        """Whether all numbers are."""
        return all(bool(part.isfinite().all()) for part in (*self, self.offset))

    def then(self, after: Affine) -> Affine:
        """Both maps as one: ``after`` of this one."""
        return Affine(self.center, self.scale * after.scale, (self.shift - after.center) * after.scale + after.shift)


def from_moments(mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Affine:
    """The transform of inference, y = γ/√(Var + ε)·x + (β − γ·E[x]/√(Var + ε)).

    Source: Ioffe & Szegedy 2015, arXiv:1502.03167, Algorithm 2, line 11.
    """
    scale = (exact(var) + eps).rsqrt()
    if weight is not None:
        scale = scale * exact(weight)
    return Affine(exact(mean), scale, torch.zeros_like(scale) if bias is None else exact(bias))


def exact(tensor: Tensor) -> Tensor:
    """The values in float64 on the CPU."""
    return tensor.detach().to("cpu", torch.float64)


class ChannelAffine(nn.Module):
    """What remains of a batch normalization in evaluation: an affine map of each channel, with constants.

        y = activation((x − center)·scale + shift + residual)

    Called as the layers of ``normwise.nn``, as ``layer(x, residual=None, mask=None)``, in any mode. ``center``,
    ``scale`` and ``shift`` are buffers of shape (C,).

    Args:
        affine: the map.
        like: a tensor whose device and type the buffers take.
        activation: what follows, for example ``"relu"``, or None.
        channel_dim: the axis of the channels.
    """

    center: Tensor
    scale: Tensor
    shift: Tensor

    def __init__(self, affine: Affine, like: Tensor, activation: str | None = None, channel_dim: int = 1) -> None:
        super().__init__()
        for name, value in affine._asdict().items():
            self.register_buffer(name, value.to(like.device, like.dtype))
        self.activation, self.channel_dim = activation, channel_dim

    def forward(
        self,
        input: Tensor,  # noqa: A002 - as torch calls it
        residual: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Map ``input``, add ``residual`` of the same shape, and activate, where ``mask`` is True; 0 elsewhere."""
        call = fx.recorded(self, input, residual=residual, mask=mask)
        if call is not None:
            return call
        one = torch.ones_like(self.scale)
        return ops.normalize(
            input,
            self.center,
            one,
            self.scale,
            self.shift,
            eps=0.0,
            residual=residual,
            activation=self.activation,
            mask=mask,
            channel_dim=self.channel_dim,
        )

    def extra_repr(self) -> str:
        """The number of channels, and the options that are set."""
        activation = f", activation={self.activation!r}" if self.activation else ""
        channel_dim = f", channel_dim={self.channel_dim}" if self.channel_dim != 1 else ""
        return f"{len(self.scale)}{activation}{channel_dim}"


class Epilogue(nn.Module):
    """What remains of a layer of ``normwise.nn`` whose normalization is part of a linear map.

        y = activation(x + residual)

    Called as the layer was, as ``layer(x, residual=None, mask=None)``.

    Args:
        activation: what follows, for example ``"relu"``, or None.
        channel_dim: the axis of the channels, which a mask lacks.
    """

    def __init__(self, activation: str | None = None, channel_dim: int = 1) -> None:
        super().__init__()
        self.activation = nn.Identity() if activation is None else ops.activation(activation).module()
        self.channel_dim = channel_dim

    def forward(
        self,
        input: Tensor,  # noqa: A002 - as torch calls it
        residual: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Add ``residual`` and activate, where ``mask`` is True; 0 elsewhere."""
        y: Tensor = self.activation(input if residual is None else input + residual.to(input.dtype))
        return y if mask is None else torch.where(full_mask(mask, input, self.channel_dim % input.ndim), y, 0)


def options(layer: nn.Module) -> tuple[str | None, int]:
    """The activation that a normalization applies and the axis of its channels."""
    inner = thawed(layer)
    if isinstance(inner, (Layer, ChannelAffine)):
        return inner.activation, inner.channel_dim
    return None, 1


def affine_of(layer: nn.Module) -> Affine | str:
    """What a normalization does in evaluation, before its activation, or why that is not an affine map."""
    if isinstance(layer, ChannelAffine):
        return Affine(exact(layer.center), exact(layer.scale), exact(layer.shift))
    if problem := obstacle(inner := layer._layer if type(layer) is FrozenBatchNorm else layer):
        return problem if "running" not in problem else f"{problem}: it uses those of each batch"
    if not is_plain(inner, PLAIN):
        return f"{type(inner).__name__} has a forward, parameters or methods of its own"
    assert isinstance(inner, _BatchNorm)
    assert inner.running_mean is not None
    assert inner.running_var is not None
    found = from_moments(inner.running_mean, inner.running_var, inner.weight, inner.bias, inner.eps)
    return found if found.is_finite else "its statistics, weight or bias are not finite"
