"""Which modules of a network are linear maps, nonlinearities and batch normalizations."""

from __future__ import annotations

from typing import TypeGuard

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from normwise.nn.frozen import FrozenBatchNorm
from normwise.ops.activations import activation_of

LinearMap = nn.Linear | nn.modules.conv._ConvNd

_POINTWISE = (
    nn.CELU,
    nn.ELU,
    nn.GELU,
    nn.Hardshrink,
    nn.Hardsigmoid,
    nn.Hardswish,
    nn.Hardtanh,
    nn.LeakyReLU,
    nn.LogSigmoid,
    nn.Mish,
    nn.PReLU,
    nn.RReLU,
    nn.ReLU,
    nn.SELU,
    nn.Sigmoid,
    nn.SiLU,
    nn.Softplus,
    nn.Softshrink,
    nn.Softsign,
    nn.Tanh,
    nn.Tanhshrink,
    nn.Threshold,
)


def is_nonlinearity(module: nn.Module) -> bool:
    """Whether a module is an elementwise nonlinearity: one of torch's, a subclass of one, or one of ``ops``."""
    if isinstance(module, _POINTWISE):
        return True
    activation = activation_of(module)
    return activation is not None and activation.name != "identity"


def is_linear_map(module: nn.Module) -> TypeGuard[LinearMap]:
    """Whether a module is a Linear, a convolution or a transposed convolution."""
    return isinstance(module, LinearMap)


def is_batch_norm(module: nn.Module) -> TypeGuard[_BatchNorm | FrozenBatchNorm]:
    """Whether a module is a batch normalization of torch or of ours, a subclass of one, or a frozen one."""
    return isinstance(module, (_BatchNorm, FrozenBatchNorm))


def thawed(layer: nn.Module) -> nn.Module:
    """The layer in a ``FrozenBatchNorm``; all else is itself."""
    return layer._layer if isinstance(layer, FrozenBatchNorm) else layer


def nonlinearities(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The elementwise nonlinearities of a network with their dotted names, in registration order, each module once.

    A nonlinearity that is called as a function (``torch.relu``) is no module and is not found.
    """
    return [(name, module) for name, module in model.named_modules() if is_nonlinearity(module)]


def linear_maps(model: nn.Module) -> list[tuple[str, LinearMap]]:
    """The linear maps and convolutions of a network with their names, in registration order, each module once."""
    return [(name, module) for name, module in model.named_modules() if is_linear_map(module)]
