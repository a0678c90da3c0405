"""Who competes: normwise's layer, torch's layer and function, the same in place, and the same compiled.

Every contender of a case makes one call on the same inputs, as a training step would: outputs are allocated anew,
running statistics are updated in training, gradients are returned and not accumulated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from normwise.bench.cases import INFERENCE, TRAIN, Case
from normwise.bench.inputs import EPS, MOMENTUM, Inputs
from normwise.nn import BatchNorm1d, BatchNorm2d, BatchNorm3d, statistics
from normwise.nn.layer import Layer
from normwise.ops.batch_norm.op import evaluated, transformed

OURS, TORCH, INPLACE, COMPILED, FLOOR = "ours", "torch", "torch in place", "torch.compile", "floor"

AnyLayer = TypeVar("AnyLayer", bound=_BatchNorm)
Forward = Callable[[Tensor, Tensor | None], Tensor]

FUNCTIONS: dict[str | None, Callable[[Tensor], Tensor]] = {
    None: lambda z: z,
    "relu": F.relu,
    "relu6": F.relu6,
    "silu": F.silu,
    "gelu": F.gelu,
}

IN_PLACE: dict[str | None, Callable[..., Tensor]] = {"relu": F.relu, "relu6": F.relu6}
"""Those that networks compute in place."""


class Contender(NamedTuple):
    """One way to compute a case.

    Attributes:
        layer: holds γ, β and the running statistics.
        forward: the function of x and the residual.
        run: one call; the tensors that it computed, under the names of ``oracle.solve`` without the statistics.
    """

    layer: _BatchNorm
    forward: Forward
    run: Callable[[], dict[str, Tensor]]

    def answers(self) -> dict[str, Tensor]:
        """One call's tensors and, after training, the statistics that it left."""
        found = self.run()
        if self.layer.training and self.layer.running_mean is not None and self.layer.running_var is not None:
            found["running_mean"] = self.layer.running_mean.clone()
            found["running_var"] = self.layer.running_var.clone()
        return found


def ours(case: Case, inputs: Inputs, impl: str = "auto") -> Contender:
    """The layer of normwise with the activation and the residual fused; of another ``impl`` than auto, its operator."""
    kinds: tuple[type[Layer], ...] = (BatchNorm1d, BatchNorm1d, BatchNorm2d, BatchNorm3d)
    layer = _loaded(kinds[len(case.shape) - 2](case.channels, EPS, MOMENTUM, activation=case.activation), case, inputs)
    return _contender(case, inputs, layer, layer if impl == "auto" else _with_impl(layer, case, impl))


def _with_impl(layer: Layer, case: Case, impl: str) -> Forward:
    def forward(x: Tensor, residual: Tensor | None) -> Tensor:
        if not layer.training and layer.running_mean is not None and layer.running_var is not None:
            mean, var = layer.running_mean, layer.running_var
            return evaluated(
                x, mean, var, layer.weight, layer.bias, residual, None, EPS, case.activation, channel_dim=1, impl=impl
            )
        y, stats, ordinary = transformed(
            x, layer.weight, layer.bias, residual, None, EPS, case.activation, channel_dim=1, impl=impl
        )
        statistics.update(layer, stats, ordinary)
        return y

    return forward


def torchs(case: Case, inputs: Inputs) -> Contender:
    """The layer of torch, then ``+ residual`` and the function of ``torch.nn.functional``, in eager mode."""
    layer = _torch_layer(case, inputs)
    return _contender(case, inputs, layer, _torch_forward(case, layer))


def in_place(case: Case, inputs: Inputs) -> Contender:
    """The layer of torch, then ``+= residual`` and ReLU or ReLU6 in place, as torchvision's networks do."""
    layer, function = _torch_layer(case, inputs), IN_PLACE[case.activation]

    def forward(x: Tensor, residual: Tensor | None) -> Tensor:
        z: Tensor = layer(x)
        if residual is not None:
            z += residual
        return function(z, inplace=True)

    return _contender(case, inputs, layer, forward)


def compiled(case: Case, inputs: Inputs, mode: str | None = None) -> Contender:
    """The code of ``torchs`` through ``torch.compile`` in one of its modes; the first call compiles."""
    layer = _torch_layer(case, inputs)
    torch.compiler.reset()
    return _contender(case, inputs, layer, torch.compile(_torch_forward(case, layer), dynamic=False, mode=mode))


def again(case: Case, contender: Contender, inputs: Inputs) -> Contender:
    """A contender on other inputs, with the layer and the function that it has."""
    return _contender(case, inputs, contender.layer, contender.forward)


def _torch_layer(case: Case, inputs: Inputs) -> _BatchNorm:
    kinds: tuple[type[_BatchNorm], ...] = (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    return _loaded(kinds[len(case.shape) - 2](case.channels, EPS, MOMENTUM), case, inputs)


def _torch_forward(case: Case, layer: nn.Module) -> Forward:
    function = FUNCTIONS[case.activation]

    def forward(x: Tensor, residual: Tensor | None) -> Tensor:
        z = layer(x)
        return function(z if residual is None else z + residual)

    return forward


def _loaded(layer: AnyLayer, case: Case, inputs: Inputs) -> AnyLayer:
    """The layer with the γ and β of the inputs and, for inference, their statistics."""
    state = {"weight": inputs.weight.detach(), "bias": inputs.bias.detach()}
    if case.mode == INFERENCE:
        state |= {"running_mean": inputs.mean, "running_var": inputs.var}
    layer.load_state_dict(state, strict=False)
    return layer.to(inputs.x.device).train(case.mode != INFERENCE)


def _contender(case: Case, inputs: Inputs, layer: _BatchNorm, forward: Forward) -> Contender:
    x, residual = inputs.x, inputs.residual

    @torch.no_grad()
    def without_graph() -> dict[str, Tensor]:
        return {"y": forward(x, residual)}

    leaves = {"grad_x": x, "grad_weight": layer.weight, "grad_bias": layer.bias}
    if residual is not None:
        leaves["grad_residual"] = residual
    asked = tuple(leaves.values())

    def with_backward() -> dict[str, Tensor]:
        y = forward(x, residual)
        return dict(zip(leaves, torch.autograd.grad(y, asked, inputs.grad), strict=True), y=y)

    return Contender(layer, forward, with_backward if case.mode == TRAIN else without_graph)
