"""Inputs of the transform in every layout, and what comes out of it, for the tests of its implementations."""

from __future__ import annotations

import math

import numpy as np
import torch

import oracle
from normwise import ops

EPS = 1e-5
OUTPUTS = ("y", "mean", "var", "count")
INPUTS = ("x", "weight", "bias", "residual")


def draw(shape, channels, dtype=torch.float64) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Inputs that want gradients, by name, and an upstream gradient; the same numbers, rounded, in every type."""
    tensors = {
        "x": torch.randn(shape, dtype=torch.float64) * 2 + 3,
        "weight": torch.randn(channels, dtype=torch.float64),
        "bias": torch.randn(channels, dtype=torch.float64),
        "residual": torch.randn(shape, dtype=torch.float64),
    }
    upstream = torch.randn(shape, dtype=torch.float64).to(dtype)
    return {name: t.to(dtype).requires_grad_() for name, t in tensors.items()}, upstream


def outcome(inputs, upstream, *, eps=EPS, **options) -> dict[str, torch.Tensor]:
    """The four outputs and, as ``d_<name>``, the gradient of each input that is there and wants one."""
    given = {name: inputs.get(name) for name in INPUTS}
    out = ops.batch_norm(given["x"], given["weight"], given["bias"], residual=given["residual"], eps=eps, **options)
    wanted = {name: t for name, t in given.items() if t is not None and t.requires_grad}
    gradients = torch.autograd.grad(out.y, list(wanted.values()), upstream)
    named = {f"d_{name}": g for name, g in zip(wanted, gradients, strict=True)}
    return dict(zip(OUTPUTS, out, strict=True)) | named


def expected(inputs, upstream, channel_dim=1, activation="identity", mask=None, groups=1) -> dict[str, torch.Tensor]:
    """The oracle's answers, by the names of ``outcome``; ``mask`` has the shape of x without its channels."""
    values = {name: t.detach().double() for name, t in {**inputs, "upstream": upstream}.items()}
    x, residual, upstream = (values[n].movedim(channel_dim, 1).numpy() for n in ("x", "residual", "upstream"))
    options = {"activation": activation, "mask": None if mask is None else mask.numpy(), "groups": groups}
    given = (x, values["weight"], values["bias"], EPS, residual)
    f, g = oracle.forward(*given, **options), oracle.backward(upstream, *given, **options)
    want = {n: getattr(f, n) for n in ("y", "mean", "var", "count")} | {f"d_{n}": v for n, v in vars(g).items()}
    placed = {n: np.moveaxis(v, 1, channel_dim) if n in ("y", "d_x", "d_residual") else v for n, v in want.items()}
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in placed.items()}


def same_bits(got, want) -> None:
    torch.testing.assert_close(got, want, rtol=0, atol=0, equal_nan=True)


def poisoned(tensor: torch.Tensor, strides) -> tuple[torch.Tensor, torch.Tensor]:
    """``tensor`` with other strides, in the middle of a buffer of NaN, and the buffer.

    Along an axis of stride 0 the first values stand for all.
    """
    margin = 64
    reach = 1 + sum((n - 1) * s for n, s in zip(tensor.shape, strides, strict=True)) if tensor.numel() else 0
    buffer = torch.full((reach + 2 * margin,), math.nan, dtype=tensor.dtype, device=tensor.device)
    view = buffer.as_strided(tensor.shape, strides, margin)
    first = tuple(slice(None if stride else 1) for stride in strides)
    view[first] = tensor.detach()[first]
    return view.requires_grad_(tensor.requires_grad), buffer


def permuted_strides(shape, order, gap=1, step=1) -> list[int]:
    """The strides of a tensor whose axes lie in memory in ``order``, outermost first, every block ``gap`` longer."""
    strides, size = [0] * len(shape), step
    for axis in reversed(order):
        strides[axis] = size
        size = size * max(shape[axis], 1) + gap
    return strides
