"""How an affine map of each channel becomes part of the linear map before it, or after it.

With groups, a weight is seen as (groups, outputs, inputs, kernel …) of one group each; that of a transposed convolution
is stored the other way round.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from normwise.nn.kinds import LinearMap
from normwise.surgery.folding.affine import Affine, exact
from normwise.surgery.plain import has_hooks, is_plain

PLAIN = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)


def obstacle(linear: nn.Module) -> str:
    """Why the weight of a linear map cannot be changed, whatever runs next to it; empty where it can."""
    if not is_plain(linear, PLAIN):
        return f"{type(linear).__name__} has a forward, parameters or methods of its own"
    if has_hooks(linear):
        return "it has hooks"
    if not isinstance(linear._parameters.get("weight"), nn.Parameter) or "bias" not in linear._parameters:
        return "its weight is computed"
    return "" if linear._parameters["weight"].is_floating_point() else "its weight is not real"  # type: ignore[union-attr]


def has_channels(linear: LinearMap, x: Tensor, axis: int) -> bool:
    """Whether an axis of the input or output ``x`` of a linear map is that of its features or channels."""
    if isinstance(linear, nn.Linear):
        return axis % x.ndim == x.ndim - 1
    return x.ndim == len(linear.kernel_size) + 2 and axis % x.ndim == 1


def fold_after(linear: LinearMap, affine: Affine) -> None:
    """Let the linear map do what ``affine`` does to its output: W ← s·W, b ← (b − center)·s + shift."""
    weight = _by_group(linear)
    groups, outputs = weight.shape[:2]
    scaled = weight * affine.scale.reshape(groups, outputs, *[1] * (weight.ndim - 2))
    _set(linear, scaled, (_bias(linear) - affine.center) * affine.scale + affine.shift)


def fold_before(linear: LinearMap, affine: Affine) -> None:
    """Let the linear map do what ``affine`` does to its input: W ← W·s, b ← b + Σ W·(shift − center·s)."""
    weight = _by_group(linear)
    groups, _, inputs = weight.shape[:3]
    shape = (groups, 1, inputs, *[1] * (weight.ndim - 3))
    added = (weight * affine.offset.reshape(shape)).flatten(2).sum(2).flatten()
    _set(linear, weight * affine.scale.reshape(shape), _bias(linear) + added)


def shift_obstacle(linear: LinearMap, affine: Affine) -> str:
    """Why a shift of the input is not a shift of the output; empty where it is, or where there is none.

    A convolution that pads with zeros takes zeros where the shifted input would go on with its shift. A transposed one
    overlaps its kernels, so that how often a shift counts depends on the position, but where borders are cut off.
    """
    if isinstance(linear, nn.Linear) or not affine.offset.any():
        return ""
    if isinstance(linear, _ConvTransposeNd):
        return "" if _cuts_overlaps(linear) else "a shift before a transposed convolution depends on the position"
    return "zero padding after a shift" if linear.padding_mode == "zeros" and _pads(linear) else ""


def _cuts_overlaps(conv: _ConvTransposeNd) -> bool:
    """Whether every position of a transposed convolution's output takes part in all of the kernel.

    With stride 1 only the first and the last dilation·(size − 1) positions do not, and padding cuts them off.
    """
    axes: Any = zip(conv.kernel_size, conv.stride, conv.dilation, conv.padding, conv.output_padding, strict=True)
    return all(stride == 1 and dilation * (size - 1) + added <= cut for size, stride, dilation, cut, added in axes)


def _pads(conv: _ConvNd) -> bool:
    if conv.padding == "same":
        return any(size > 1 for size in conv.kernel_size)
    return conv.padding != "valid" and any(conv.padding)


def _by_group(linear: LinearMap) -> Tensor:
    """The weight as (groups, outputs per group, inputs per group, kernel …) in float64."""
    weight = exact(linear.weight)
    if isinstance(linear, nn.Linear):
        return weight.unsqueeze(0)
    weight = weight.reshape(linear.groups, -1, *weight.shape[1:])
    return weight.transpose(1, 2) if isinstance(linear, _ConvTransposeNd) else weight


def _bias(linear: LinearMap) -> Tensor:
    if linear.bias is not None:
        return exact(linear.bias)
    outputs: Any = linear.out_features if isinstance(linear, nn.Linear) else linear.out_channels
    return torch.zeros(outputs, dtype=torch.float64)


def _set(linear: LinearMap, weight: Tensor, bias: Tensor) -> None:
    """Give a linear map new parameters, of the type and on the device of the weight that it has."""
    old = linear.weight
    if isinstance(linear, _ConvTransposeNd):
        weight = weight.transpose(1, 2)
    requires_grad = old.requires_grad if linear.bias is None else linear.bias.requires_grad
    like = old.detach().clone(memory_format=torch.preserve_format)
    linear.weight = nn.Parameter(like.copy_(weight.reshape(old.shape)), old.requires_grad)
    linear.bias = nn.Parameter(bias.to(old.device, old.dtype), requires_grad)
