"""Is an answer right? Every contender against float64, before anyone is timed.

The definition in float64 with torch's autograd, a few channels at a time. An answer is right when

    max |answer − oracle| ≤ 16 · max |oracle| · 2⁻²³ · max |x|/σ

where the last factor is the largest over channels: so many digits are lost by subtracting the mean from float32 values,
whoever does it. In a type of fewer digits the last two factors are that product + ε/8, with the ε of the type, but for
running statistics, which stay float32: all that is allowed then is about four roundings of the largest. The derivative
of ReLU jumps, where float32 and float64 may differ about the side; the upstream gradient is set to 0 close to the jump
(``clear_kinks``), so that the answers there do not matter, in anyone's sums.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from normwise.bench.cases import TRAIN, Case
from normwise.bench.inputs import EPS, MOMENTUM, Inputs, training

LIMIT = 16.0
KINK, HALF_KINK = 1e-3, 0.05  # the second is three roundings of a bfloat16 up to 8
KINKS = {"relu": (0.0,), "relu6": (0.0, 6.0)}
BLOCK = 4_000_000
DIGIT = 2.0**-23

Answers = Mapping[str, Tensor]

ACTIVATIONS: dict[str | None, Callable[[Tensor], Tensor]] = {
    None: lambda z: z,
    "relu": lambda z: z.clamp(min=0),
    "relu6": lambda z: z.clamp(min=0, max=6),
    "silu": lambda z: z / (1 + (-z).exp()),
    "gelu": lambda z: z * (1 + (z / math.sqrt(2)).erf()) / 2,
}


class Error(NamedTuple):
    """The largest error of some answers, in units of max |oracle| · 2⁻²³ · max |x|/σ, and which answer it is in."""

    size: float
    where: str

    @property
    def wrong(self) -> bool:
        """Whether it is above ``LIMIT``, or not a number."""
        return not self.size <= LIMIT

    def __str__(self) -> str:
        return f"error {self.size:.3g} in {self.where.replace('_', ' ')} (allowed {LIMIT:g})"


def errors(case: Case, inputs: Inputs, answers: Mapping[str, Answers]) -> dict[str, Error]:
    """The error of every contender.

    Args:
        case: what was computed.
        inputs: on what.
        answers: per contender its tensors by the names of ``solve``.
    """
    errs: dict[tuple[str, str], float] = {}
    scale: dict[str, float] = {}
    condition = 0.0
    for channels in blocks(case):
        part = inputs.part(channels)
        condition = max(condition, _condition(part, training(case)))
        for name, truth in solve(case, part).items():
            scale[name] = max(scale.get(name, 0.0), _largest(truth))
            for contender, given in answers.items():
                tensor = given[name].detach()
                mine = tensor[:, channels] if tensor.ndim > 1 else tensor[channels]
                worst = errs.get((contender, name), 0.0)
                errs[contender, name] = _greater(worst, _largest(_wide(mine) - truth))
    units = {name: largest * (DIGIT * condition + _rounding(name, case)) for name, largest in scale.items()}
    return {
        contender: _worst({name: errs[contender, name] / (unit or 1.0) for name, unit in units.items()})
        for contender in answers
    }


def _rounding(name: str, case: Case) -> float:
    eps = torch.finfo(getattr(torch, case.dtype)).eps
    return 0.0 if eps <= DIGIT or name.startswith("running") else eps / 8


def solve(case: Case, inputs: Inputs) -> dict[str, Tensor]:
    """The answers in float64: ``y``; after training the running statistics; with a backward the gradients."""
    wide = _widened(inputs)
    leaves = {name: leaf.requires_grad_(case.mode == TRAIN) for name, leaf in wide.leaves.items()}
    mean, var = moments(wide.x) if training(case) else (wide.mean, wide.var)
    y = ACTIVATIONS[case.activation](_affine(wide, mean, var))
    found = {"y": y.detach()}
    if training(case):
        m = wide.x.numel() // wide.x.shape[1]
        found["running_mean"] = MOMENTUM * mean.detach()
        found["running_var"] = (1 - MOMENTUM) + MOMENTUM * var.detach() * m / (m - 1)
    if case.mode == TRAIN:
        gradients = torch.autograd.grad(y, list(leaves.values()), wide.grad)
        found |= {f"grad_{name}": gradient for name, gradient in zip(leaves, gradients, strict=True)}
    return found


def clear_kinks(case: Case, inputs: Inputs) -> None:
    """Set the upstream gradient to 0, in place, where the activation's argument is close to one of its kinks."""
    kinks = KINKS.get(case.activation or "", ())
    if case.mode != TRAIN:
        return
    width = KINK if case.dtype == "float32" else HALF_KINK
    for channels in blocks(case) if kinks else ():
        part = inputs.part(channels)
        wide = _widened(part)
        z = _affine(wide, *moments(wide.x))
        for kink in kinks:
            part.grad.masked_fill_((z - kink).abs() < width, 0.0)


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of each channel, by their definition."""
    dims = [dim for dim in range(x.ndim) if dim != 1]
    mean = x.mean(dims)
    return mean, (x - _column(mean, x)).square().mean(dims)


def _widened(inputs: Inputs) -> Inputs:
    return Inputs(*(None if tensor is None else _wide(tensor) for tensor in inputs))  # type: ignore[arg-type]


def _wide(tensor: Tensor) -> Tensor:
    """A copy in float64, contiguous, without gradient."""
    return tensor.detach().to(torch.float64, memory_format=torch.contiguous_format)


def _affine(wide: Inputs, mean: Tensor, var: Tensor) -> Tensor:
    x = wide.x
    normalized = (x - _column(mean, x)) / (_column(var, x) + EPS).sqrt()
    z = normalized * _column(wide.weight, x) + _column(wide.bias, x)
    return z if wide.residual is None else z + wide.residual


def _column(vector: Tensor, like: Tensor) -> Tensor:
    return vector.reshape([-1 if dim == 1 else 1 for dim in range(like.ndim)])


def _condition(inputs: Inputs, of_batch: bool) -> float:
    x = _wide(inputs.x)
    var = moments(x)[1] if of_batch else inputs.var
    largest = x.abs().amax([dim for dim in range(x.ndim) if dim != 1])
    return float((largest / (var + EPS).sqrt()).max())


def blocks(case: Case) -> Iterator[slice]:
    """The channels in parts of about ``BLOCK`` values, so that float64 copies of large tensors are never whole."""
    step = max(1, BLOCK * case.channels // case.values)
    for start in range(0, case.channels, step):
        yield slice(start, start + step)


def _largest(tensor: Tensor) -> float:
    return float(tensor.abs().max())


def _greater(a: float, b: float) -> float:
    """The greater, or nan where either is."""
    return max(a, b) if a == a and b == b else math.nan


def _worst(sizes: Mapping[str, float]) -> Error:
    """The largest, nan counting as larger than any number."""
    name = max(sizes, key=lambda key: math.inf if math.isnan(sizes[key]) else sizes[key])
    return Error(sizes[name], name)
