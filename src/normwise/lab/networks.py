"""The networks that a comparison trains: ``mlp``, ``cnn`` and the user's own."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from math import prod
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils import _pytree as pytree

from normwise.errors import RequestError
from normwise.lab.batch import Batch
from normwise.lab.factory import Factory, call
from normwise.lab.settings import Settings
from normwise.lab.values import chosen_layers, model
from normwise.nn import BatchNorm1d, BatchNorm2d, BatchNorm3d
from normwise.nn.nonlinearity import nonlinearity
from normwise.surgery import Surgery, activate, batch_normalize, linear_output
from normwise.surgery.change import original_names

Named = Iterator[tuple[str, nn.Module]]


class Built(NamedTuple):
    """A network for one run.

    Attributes:
        network: the network, in training mode.
        names: the name that a layer has in the user's own network, by its name in this one, where they differ.
    """

    network: nn.Module
    names: Mapping[str, str]


def build(settings: Settings, example: Batch, own: Factory | None = None) -> Built:
    """The network of one run, its weights drawn from torch's generator.

    Args:
        settings: the run's.
        example: some examples, as the network takes them.
        own: the user's ``make_model``, for any other model than ``mlp`` and ``cnn``.

    Raises:
        RequestError: for examples that a built-in network does not take, widths that do not fit the images or the
            groups, or a factory that raises or returns no module.
        SurgeryError: for a user's network that has no activation to exchange, no output to make linear, or no place
            for a normalization.
    """
    if own is not None:
        network, surgeries = changed(own, settings, example)
        initialise(network, settings.init)
        return Built(network, _original_names(surgeries))
    kind, widths = model(settings.model)
    layers = {"mlp": _mlp, "cnn": _cnn}[kind]
    network = nn.Sequential(OrderedDict(layers(settings, _shape(kind, example), widths)))
    initialise(network, settings.init)
    return Built(network, {})


def _shape(kind: str, example: Batch) -> tuple[int, ...]:
    """The shape of one example, of which a built-in network takes one tensor of numbers."""
    if example.kwargs or len(example.args) != 1 or not isinstance(example.args[0], Tensor):
        raise RequestError(f"model {kind} takes one tensor; these data have several inputs: give --model FILE.py:NAME")
    return tuple(example.args[0].shape[1:])


def _mlp(settings: Settings, shape: tuple[int, ...], widths: Sequence[int]) -> Named:
    """Linear maps of the given widths, each with normalization, activation and dropout, then one to the outputs."""
    features, normalized = prod(shape), _normalized(settings, len(widths))
    if len(shape) != 1:
        yield "flatten", nn.Flatten()
    for index, width in enumerate(widths, start=1):
        norm = settings.norm if index in normalized else "none"
        yield f"linear{index}", nn.Linear(features, width, bias=_needs_bias(settings, norm))
        yield from _nonlinearity(settings, norm, width, index, dims=0)
        features = width
    yield "output", nn.Linear(features, settings.outputs or 1)


def _cnn(settings: Settings, shape: tuple[int, ...], widths: Sequence[int]) -> Named:
    """Blocks of 3×3 convolution, normalization, activation and 2×2 maximum, then one linear map to the outputs."""
    if len(shape) != 3:
        raise RequestError(
            f"model cnn needs images, examples of shape (channels, height, width); these have shape {shape}: add an "
            f"axis for the channels (X[:, None]), or use mlp"
        )
    channels, height, width = shape
    if min(height, width) < 2 ** len(widths):
        raise RequestError(
            f"model cnn halves the image {len(widths)} times, too often for {height}×{width}; give fewer widths"
        )
    normalized = _normalized(settings, len(widths))
    for index, features in enumerate(widths, start=1):
        norm = settings.norm if index in normalized else "none"
        yield f"conv{index}", nn.Conv2d(channels, features, 3, padding=1, bias=_needs_bias(settings, norm))
        yield from _nonlinearity(settings, norm, features, index, dims=2)
        yield f"pool{index}", nn.MaxPool2d(2)
        channels, height, width = features, height // 2, width // 2
    yield "flatten", nn.Flatten()
    yield "output", nn.Linear(channels * height * width, settings.outputs or 1)


def _normalized(settings: Settings, count: int) -> Collection[int]:
    """The numbers, from 1, of the layers that the key ``layers`` chooses among ``count``."""
    return () if settings.norm == "none" else chosen_layers(settings.layers or "all", count)


def _needs_bias(settings: Settings, norm: str) -> bool:
    """A bias is useless where batch normalization subtracts the mean right after it (section 3.2 of the paper)."""
    return not (norm == "batch" and settings.place == "before")


def _nonlinearity(settings: Settings, norm: str, features: int, index: int, *, dims: int) -> Named:
    """The activation of one layer, with the normalization before or after it, and dropout."""
    parts: list[tuple[str, nn.Module]] = [(f"activation{index}", nonlinearity(settings.activation or "identity"))]
    if norm != "none":
        at = 0 if settings.place == "before" else 1
        parts.insert(at, (f"norm{index}", normalization(norm)(features, dims)))
    yield from parts
    if settings.dropout:
        yield f"dropout{index}", nn.Dropout(settings.dropout)


def normalization(norm: str) -> Callable[[int, int], nn.Module]:
    """What makes a normalization layer, from the number of features and of spatial axes.

    Layer normalization of feature maps runs over channels and positions, as group normalization with one group does.
    """
    name, _, groups = norm.partition(":")

    def make(features: int, dims: int) -> nn.Module:
        if name == "batch":
            return (BatchNorm1d, BatchNorm1d, BatchNorm2d, BatchNorm3d)[dims](features)
        if name == "layer":
            return nn.GroupNorm(1, features) if dims else nn.LayerNorm(features)
        if features % int(groups):
            raise RequestError(
                f"norm={norm}: {features} features do not divide into {groups} groups; give a divisor of {features}"
            )
        return nn.GroupNorm(int(groups), features)

    return make


def make(own: Factory, seed: int) -> nn.Module:
    """The user's network, in training mode, made with the generators seeded.

    Raises:
        RequestError: the function raises, or returns something else than a module, or one with lazy layers.
    """
    network = call(own, seed=seed)
    if not isinstance(network, nn.Module):
        kind = type(network).__name__
        raise RequestError(f"{own.name} returned a {kind}; it must return a torch.nn.Module without normalization")
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        if is_lazy(tensor):
            raise RequestError(
                f"{own.name} returned a network whose {name} has no shape before the network has seen a batch: give "
                "its lazy layers their numbers of features, or call it on an example in the function"
            )
    return network.train()


def changed(own: Factory, settings: Settings, example: Batch) -> tuple[nn.Module, list[Surgery]]:
    """The user's network as the arm has it, but for its initial weights, and what was changed, one after another.

    The output comes first: an activation that makes it is that of no hidden layer, which alone get another activation
    and normalization.
    """
    network = make(own, settings.seed)
    given = _on_cpu(example.args or example.kwargs)
    surgeries = []
    if settings.output == "linear":
        surgeries.append(linear_output(network, example=given))
        network = surgeries[-1].model
    if settings.activation is not None:
        surgeries.append(activate(network, settings.activation, example=given))
        network = surgeries[-1].model
    if settings.norm != "none":
        layer = None if settings.norm == "batch" else normalization(settings.norm)
        which = partial(_normalized, settings)
        place = settings.place or "before"
        surgeries.append(batch_normalize(network, place=place, which=which, example=given, layer=layer))
        network = surgeries[-1].model
    return network, surgeries


def _original_names(surgeries: Sequence[Surgery]) -> dict[str, str]:
    """New to old name of each module of the user's network after several surgeries; empty after none."""
    found: dict[str, str] | None = None
    for surgery in surgeries:
        names = original_names(surgery)
        found = names if found is None else {new: found[old] for new, old in names.items() if old in found}
    return found or {}


def _on_cpu(given: Any) -> Any:
    return pytree.tree_map(lambda value: value.cpu() if isinstance(value, Tensor) else value, given)


def initialise(network: nn.Module, init: str) -> None:
    """Draw the weights of every linear map and convolution anew; their biases start at zero.

    ``xavier`` is N(0, 2/(fan_in + fan_out)) (Glorot and Bengio 2010), ``he`` is N(0, 2/fan_in) (He et al. 2015),
    ``lecun`` is N(0, 1/fan_in) (LeCun et al. 1998), which SELU is made for, ``orthogonal`` is a random matrix, of
    outputs by fan_in, with orthonormal rows or columns (Saxe et al. 2014), ``normal:s`` is N(0, s²); ``default`` leaves
    what torch drew, the uniform distribution U(−1/√fan_in, 1/√fan_in) for weights and biases.
    """
    if init == "default":
        return
    draw = _drawing(init)
    for module in network.modules():
        if isinstance(module, (nn.Linear, nn.modules.conv._ConvNd)):
            draw(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _drawing(init: str) -> Callable[[Tensor], Any]:
    """What draws one weight anew."""
    name, _, std = init.partition(":")
    match name:
        case "xavier":
            return nn.init.xavier_normal_
        case "he":
            return partial(nn.init.kaiming_normal_, nonlinearity="relu")
        case "lecun":
            return partial(nn.init.kaiming_normal_, nonlinearity="linear")
        case "orthogonal":
            return nn.init.orthogonal_
    return partial(nn.init.normal_, std=float(std))
