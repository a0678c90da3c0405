"""Problems for the kernels of a GPU, their answers by the float64 oracle, and how close they have to be.

An error is measured as in ``normwise.bench.oracle``: in units of the largest answer times 2⁻²³·max|x|/σ, which is what
rounding x alone costs, and in a type of fewer digits times that + ε/8. Sums of float32 and a dozen roundings stay under
``LIMIT``; in half precision that is about four roundings of the largest answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

import oracle
from normwise import ops
from tensors import EPS, INPUTS, outcome

DEVICE, IMPL = "cuda", "triton"
LIMIT = 16
LAYOUTS = ["contiguous", "channels_last"]
HALVES = (torch.float16, torch.bfloat16)


@dataclass
class Problem:
    """Tensors on the CPU, and what to do with them."""

    x: Tensor
    weight: Tensor | None
    bias: Tensor | None
    residual: Tensor | None
    upstream: Tensor
    mask: Tensor | None
    options: dict = field(default_factory=dict)

    @property
    def activation(self) -> str:
        return self.options.get("activation") or "identity"


def problem(shape, dtype=torch.float32, *, residual=False, mask=False, mean=3.0, seed=0, **options) -> Problem:
    """Random tensors of a type, γ and β of float32; the upstream gradient is 0 next to a kink of the activation."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*size):
        return torch.randn(size, generator=generator)

    channels = shape[1]
    drawn = Problem(
        (normal(*shape) * 2 + mean).to(dtype),
        normal(channels).abs() + 0.5,
        normal(channels),
        normal(*shape).to(dtype) if residual else None,
        normal(*shape).to(dtype),
        torch.rand((shape[0], *shape[2:]), generator=generator) > 0.3 if mask else None,
        options,
    )
    z = torch.from_numpy(forward(drawn).z)
    width = 0.05 if dtype in HALVES else 1e-3
    for kink in oracle.KINKS.get(drawn.activation, ()):
        drawn.upstream[(z - kink).abs() < width] = 0
    return drawn


def _numpy(tensor, otherwise=None):
    return otherwise if tensor is None else tensor.double().numpy()


def _arguments(given):
    channels = given.x.shape[1]
    weight, bias = _numpy(given.weight, np.ones(channels)), _numpy(given.bias, np.zeros(channels))
    mask = None if given.mask is None else given.mask.numpy()
    rest = {"residual": _numpy(given.residual), "activation": given.activation, "mask": mask}
    return (_numpy(given.x), weight, bias, EPS), rest | {"groups": given.options.get("groups", 1)}


def forward(given) -> oracle.Forward:
    arguments, options = _arguments(given)
    return oracle.forward(*arguments, **options)


def answer(given, moments=None) -> dict[str, np.ndarray]:
    """By the names of ``tensors.outcome``; ``moments`` are constants that replace the batch's own."""
    arguments, options = _arguments(given)
    if moments is None:
        f = oracle.forward(*arguments, **options)
        found = {"y": f.y, "mean": f.mean, "var": f.var, "count": f.count}
    else:
        chosen = {key: options[key] for key in ("residual", "activation")}
        found = {"y": oracle.evaluate(arguments[0], *moments, *arguments[1:], **chosen)}
    g = oracle.backward(_numpy(given.upstream), *arguments, **options, moments=moments)
    gradients = {f"d_{name}": getattr(g, name) for name in INPUTS if getattr(given, name) is not None}
    return found | gradients


def placed(given, layout="contiguous") -> tuple[dict[str, Tensor], Tensor]:
    """The inputs on the device, which want gradients, and the upstream gradient."""
    tensors = {name: getattr(given, name) for name in INPUTS}
    moved = {
        name: laid_out(t.to(DEVICE, copy=True), layout).requires_grad_() for name, t in tensors.items() if t is not None
    }
    return moved, laid_out(given.upstream.to(DEVICE), layout)


def laid_out(tensor, layout):
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    if layout == "contiguous" or tensor.ndim not in formats:
        return tensor
    return tensor.contiguous(memory_format=formats[tensor.ndim])


def options_of(given) -> dict:
    mask = {} if given.mask is None else {"mask": given.mask.to(DEVICE)}
    return given.options | mask | {"impl": IMPL}


def computed(given, layout="contiguous") -> dict[str, Tensor]:
    """What the kernels make of a problem."""
    inputs, upstream = placed(given, layout)
    return outcome(inputs, upstream, **options_of(given))


def normalized(given, moments, layout="contiguous") -> dict[str, Tensor]:
    """The same with given moments."""
    inputs, upstream = placed(given, layout)
    vectors = [torch.from_numpy(m).float().to(DEVICE) for m in moments]
    rest = {name: inputs.get(name) for name in ("weight", "bias", "residual")}
    y = ops.normalize(inputs["x"], *vectors, eps=EPS, **rest, **options_of(given))
    gradients = torch.autograd.grad(y, list(inputs.values()), upstream)
    return {"y": y} | {f"d_{name}": g for name, g in zip(inputs, gradients, strict=True)}


def assert_right(found, want, given, limit=LIMIT) -> None:
    """Every answer is close to that of the oracle; where that has nothing but zeros, it is 0."""
    unit = condition(given) * 2.0**-23 + (torch.finfo(given.x.dtype).eps / 8 if given.x.dtype in HALVES else 0)
    errors = {}
    for name, truth in want.items():
        got = found[name].detach().cpu().double().numpy()
        assert got.shape == truth.shape, f"{name} has shape {got.shape}, not {truth.shape}"
        largest = np.abs(truth).max(initial=0.0)
        if name in ("d_weight", "d_bias") and largest:
            largest = max(
                largest, math.sqrt(given.x.numel() / given.x.shape[1])
            )  # the sum of one channel may be close to 0
        error = np.abs(got - truth).max(initial=0.0)
        errors[name] = error / (largest * unit) if largest else (0.0 if error == 0 else math.inf)
    wrong = {name: error for name, error in errors.items() if not error <= limit}
    assert not wrong, f"errors of {wrong}, allowed {limit}"


def condition(given) -> float:
    """max |x|/σ, the largest of all channels and groups; 1 at least."""
    f = forward(given)
    return max(1.0, given.x.abs().max().item() / float(np.sqrt(f.var.min() + EPS)))
