"""Where a normalization can be put: the nonlinearities of ``Sequential`` networks, and what runs next to each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from torch import nn

from normwise.nn.frozen import FrozenBatchNorm
from normwise.nn.kinds import is_linear_map, is_nonlinearity
from normwise.surgery.walk import find, slots

_KEEP_CHANNELS = {"torch.nn.modules.pooling", "torch.nn.modules.dropout"}
_NORMALIZATIONS = (nn.modules.batchnorm._NormBase, FrozenBatchNorm, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


class Link(NamedTuple):
    """One module of a chain, in its slot; ``name`` is its dotted name."""

    sequential: nn.Sequential
    key: str
    name: str
    module: nn.Module


class Site(NamedTuple):
    """A nonlinearity in a ``Sequential``.

    Attributes:
        link: the nonlinearity.
        linear: the linear map whose channels reach it, or None where that cannot be seen from the order of the modules.
        direct: whether nothing lies between the two, and the linear map's output goes nowhere else.
        normalized: whether a normalization is directly before or after it.
    """

    link: Link
    linear: Link | None
    direct: bool
    normalized: bool


def is_sequential(module: nn.Module) -> bool:
    """Whether a module runs its children one after another, as ``nn.Sequential.forward`` does."""
    own = "forward" in vars(module) or type(module).forward is not nn.Sequential.forward
    return isinstance(module, nn.Sequential) and not own


def certain(network: nn.Module) -> set[nn.Module]:
    """The ``Sequential`` modules that are certain to run as wholes, whatever forwards do.

    They are the network, where it is one, and those directly inside. Another forward may index or slice one.
    """
    if not is_sequential(network):
        return set()
    return {network}.union(*(certain(child) for child in network.children()))


def is_normalization(module: nn.Module) -> bool:
    """Whether a module is one of torch's normalizations, a subclass of one, or a frozen one."""
    return isinstance(module, _NORMALIZATIONS)


def census(network: nn.Module) -> str:
    """The normalizations of a network by class, for example "BatchNorm2d × 3, LayerNorm × 1"."""
    kinds = Counter(type(module).__name__ for _, module in find(network, is_normalization))
    return ", ".join(f"{kind} × {count}" for kind, count in kinds.items()) or "none"


def sites(model: nn.Module, is_linear: Callable[[nn.Module], bool] = is_linear_map) -> list[Site]:
    """Each place of a nonlinearity in a ``Sequential``, at any depth; a shared nonlinearity has several places."""
    found: dict[tuple[nn.Module, str], Site] = {}
    for chain in chains(model):
        for index, link in enumerate(chain):
            if is_nonlinearity(link.module):
                found.setdefault((link.sequential, link.key), _site(model, chain, index, is_linear))
    return list(found.values())


def chains(model: nn.Module) -> list[list[Link]]:
    """The modules that run one after another: each outermost ``Sequential`` with those directly in it written out."""
    sequentials = find(model, is_sequential)
    inner = {child for _, outer in sequentials for child in outer.children() if is_sequential(child)}
    return [list(_links(name, outer)) for name, outer in sequentials if outer not in inner]


def _links(prefix: str, sequential: nn.Module) -> Iterator[Link]:
    for key, child in sequential._modules.items():
        name = f"{prefix}.{key}" if prefix else key
        if child is not None and is_sequential(child):
            yield from _links(name, child)
        elif child is not None:
            assert isinstance(sequential, nn.Sequential)
            yield Link(sequential, key, name, child)


def _site(model: nn.Module, chain: Sequence[Link], index: int, is_linear: Callable[[nn.Module], bool]) -> Site:
    past = [link for link in reversed(chain[:index]) if type(link.module) is not nn.Identity]
    future = [link for link in chain[index + 1 :] if type(link.module) is not nn.Identity]
    linear = next((link for link in past if not _keeps_channels(link.module)), None)
    if linear is not None and not is_linear(linear.module):
        linear = None
    direct = linear is not None and past[0] is linear and _only_here(model, linear, chain[index])
    return Site(chain[index], linear, direct, _next_is_normalization(past) or _next_is_normalization(future))


def _keeps_channels(module: nn.Module) -> bool:
    return type(module).__module__ in _KEEP_CHANNELS or is_normalization(module) or is_nonlinearity(module)


def _next_is_normalization(links: Sequence[Link]) -> bool:
    others = (link.module for link in links if type(link.module).__module__ != "torch.nn.modules.dropout")
    nearest = next(others, None)
    return nearest is not None and is_normalization(nearest)


def _only_here(model: nn.Module, linear: Link, nonlinearity: Link) -> bool:
    """Whether a linear map has one slot; where it is in another ``Sequential`` than the nonlinearity, also one name."""
    if linear.sequential is nonlinearity.sequential:
        return len(slots(model)[linear.module]) == 1
    return sum(module is linear.module for _, module in model.named_modules(remove_duplicate=False)) == 1
