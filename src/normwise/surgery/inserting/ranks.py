"""How many axes the values of a traced network have, where the calls tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, fx, nn

from normwise.surgery.inserting.roles import Role, function_name, is_block
from normwise.surgery.inserting.traced import Traced

_KEEP = (Role.KEEPS, Role.NONLINEAR, Role.NORMALIZES, Role.LINEAR, Role.PERMUTES)
_OF_FIRST = {"cat", "concat", "concatenate", "chunk", "split", "flip", "roll", "narrow", "index_select", "softmax"}


def ranks(traced: Traced) -> dict[fx.Node, int]:
    """The number of axes of each value that has a known one.

    Convolutions, recurrent and attention modules are taken to be given batches, and embeddings (N, length).
    """
    found: dict[fx.Node, int] = {}
    for node in traced.nodes:
        known = [found[each] for each in node.all_input_nodes if each in found]
        rank = _rank(traced, node, known)
        if rank is not None:
            found[node] = rank
    return found


def _rank(traced: Traced, node: fx.Node, known: list[int]) -> int | None:
    """The rank of a value, from those of its inputs that are known."""
    module = traced.module(node)
    if node.op == "get_attr":
        value = traced.attribute(node)
        return value.ndim if isinstance(value, Tensor) else None
    if module is not None:
        return _of_module(traced, node, module, known)
    if node.op not in ("call_function", "call_method"):
        return None
    return _of_function(function_name(node), node, known) or _kept(traced, node, known)


def _kept(traced: Traced, node: fx.Node, known: list[int]) -> int | None:
    """Elementwise operations have the largest rank of what they are given."""
    return max(known) if known and traced.role(node) in _KEEP else None


def _of_module(traced: Traced, node: fx.Node, module: nn.Module, known: list[int]) -> int | None:
    if isinstance(module, nn.modules.conv._ConvNd):
        return len(module.kernel_size) + 2
    if isinstance(module, nn.RNNCellBase):
        return 2
    if is_block(module):
        return 3
    if isinstance(module, nn.Embedding):
        return known[0] + 1 if known else 3
    if not known:
        return None
    if isinstance(module, nn.Unflatten):
        return known[0] + len(module.unflattened_size) - 1
    if isinstance(module, nn.Flatten):
        return _flattened(known[0], module.start_dim, module.end_dim)
    return _kept(traced, node, known)


def _of_function(name: str, node: fx.Node, known: list[int]) -> int | None:
    rest = node.args[1:]
    sizes: Sequence[Any] = rest[0] if len(rest) == 1 and isinstance(rest[0], (tuple, list)) else rest
    if name in ("view", "reshape", "expand", "permute") and all(isinstance(size, (int, fx.Node)) for size in sizes):
        return None if len(sizes) == 1 and isinstance(sizes[0], fx.Node) else len(sizes)
    if not known:
        return None
    if name == "flatten":
        start, end = (*rest, *[0, -1][len(rest) :])[:2]
        return _flattened(known[0], node.kwargs.get("start_dim", start), node.kwargs.get("end_dim", end))
    if name in ("unsqueeze", "stack"):
        return known[0] + 1
    if name in ("mean", "sum", "amax", "amin", "select") and not (node.kwargs.get("keepdim") or True in rest):
        axes = rest[0] if rest else node.kwargs.get("dim")
        return None if axes is None else known[0] - (len(axes) if isinstance(axes, (tuple, list)) else 1)
    if name == "getitem":
        return _indexed(node, known[0])
    return known[0] if name in _OF_FIRST else None


def _flattened(rank: int, start: Any, end: Any) -> int | None:
    if not isinstance(start, int) or not isinstance(end, int):
        return None
    return rank - (end % rank - start % rank)


def _indexed(node: fx.Node, rank: int) -> int | None:
    """An index of a tensor; the first item of what a module returns is that module's value."""
    source, index = node.args[0], node.args[1]
    if isinstance(source, fx.Node) and source.op == "call_module":
        return rank if index == 0 else None
    if isinstance(source, fx.Node) and function_name(source) in ("chunk", "split", "tensor_split"):
        return rank
    indices = index if isinstance(index, tuple) else (index,)
    if any(not isinstance(each, (int, slice, type(None), type(...))) for each in indices):
        return None
    return rank - sum(isinstance(each, int) for each in indices) + sum(each is None for each in indices)
