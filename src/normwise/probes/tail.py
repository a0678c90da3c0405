"""What a loss is, and what stands between the last linear map and it, read off autograd's graph."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from torch import Tensor

from normwise.probes.watched import Loss

MEAN, SUM = "mean", "sum"
DEPTH = 12  # nodes between a loss that was put together and its parts

_LOSSES = {
    "NllLoss": "nll",
    "NllLoss2D": "nll",
    "BinaryCrossEntropy": "bce",
    "BinaryCrossEntropyWithLogits": "bce_with_logits",
    "MseLoss": "mse",
    "HuberLoss": "huber",
    "SmoothL1Loss": "huber",
}
_REDUCTIONS = {1: MEAN, 2: SUM}  # as torch numbers them; 0 is none
_THROUGH = {"Add", "Cat", "Div", "Expand", "MaskedFill", "Mean", "Mul", "Neg", "Select", "Stack", "Sub", "Sum"}
_RESHAPES = {
    "Alias", "AsStrided", "Clone", "Permute", "ReshapeAlias", "Slice", "Split", "Squeeze", "T", "ToCopy", "Transpose",
    "UnsafeView", "Unsqueeze", "View",
}  # fmt: skip
_LINEAR = {"Addmm", "Addmv", "Baddbmm", "Bmm", "Convolution", "Linear", "Mm", "Mv", "Trilinear"}
_CALLED = {"NativeBatchNorm": "batch_norm", "CudnnBatchNorm": "batch_norm", "NativeLayerNorm": "layer_norm"}


class Tail(NamedTuple):
    """How a loss ends.

    Attributes:
        loss: what it is.
        reduction: ``mean`` or ``sum`` over the targets; None where there is no telling: the loss is scaled or weighted.
        delta: of a Huber loss: where it becomes linear.
        factor: of a Huber loss: 1/δ for the smooth L1 loss.
    """

    loss: Loss
    reduction: str | None = None
    delta: float = 1.0
    factor: float = 1.0


class _Candidate(NamedTuple):
    """A loss within the graph, the node of its input with the number of that output, and how it is reduced."""

    kind: str
    source: Any
    output: int
    reduction: str | None
    node: Any


def tail(loss: Tensor, *, scaled: bool = False) -> Tail:
    """What a loss is, from its graph, which can be walked before and after the backward.

    A loss that is put together of several known ones is ``other``. Where it is known to be ``scaled``, it is what was
    multiplied that is looked at.
    """
    found = list(_candidates(_unscaled(loss.grad_fn) if scaled else loss.grad_fn, ()))
    smoothed = len(found) > 1 and {each.kind for each in found} == {"cross_entropy"}
    if not found or len({id(each.source) for each in found}) > 1:
        return Tail(Loss())
    first = found[0]._replace(reduction=MEAN) if smoothed else found[0]
    shape = None if first.source is None else tuple(first.source._input_metadata[first.output].shape)
    delta, factor = _huber(first.node)
    return Tail(Loss(first.kind, tuple(_between(first.source))[::-1], shape), first.reduction, delta, factor)


def _unscaled(node: Any) -> Any:
    while _name(node) in ("Div", "Mul") and len(inputs := [each for each, _ in node.next_functions if each]) == 1:
        node = inputs[0]
    return node


def _candidates(node: Any, above: tuple[str, ...]) -> Iterator[_Candidate]:
    """The losses below a node, with the names of the nodes above each."""
    if node is None or len(above) > DEPTH:
        return
    name = _name(node)
    if name in _LOSSES:
        own = _REDUCTIONS.get(node._saved_reduction)
        yield _candidate(_LOSSES[name], node, None if _is_weighted(node) else _reduction(above, own))
    elif name == "LogSoftmax":  # of targets that are probabilities
        source, output = node.next_functions[0]
        mean = MEAN if {"Mean", "Div"} & set(above) else SUM
        yield _Candidate("cross_entropy", source, output, mean, node)
    elif name in ("Pow", "Abs") and _is_difference(node):
        kind = "mae" if name == "Abs" else "mse"
        yield _candidate(kind, node.next_functions[0][0], _reduction(above, None))
    elif name in _THROUGH | _RESHAPES:
        for below, _ in node.next_functions:
            yield from _candidates(below, (*above, name))


def _candidate(kind: str, node: Any, reduction: str | None) -> _Candidate:
    source, output = next(((each, place) for each, place in node.next_functions if each is not None), (None, 0))
    if kind == "nll" and source is not None and _name(source) == "LogSoftmax":
        kind, (source, output) = "cross_entropy", source.next_functions[0]
    return _Candidate(kind, source, output, reduction, node)


def _reduction(above: tuple[str, ...], own: str | None) -> str | None:
    """Mean or sum; None where the loss is multiplied or divided, or reduced in more ways than one."""
    reductions = [each for each in above if each in ("Mean", "Sum")]
    if {"Mul", "Div"} & set(above):
        return None
    if own is not None:
        return own
    if len(set(reductions)) == 1:
        return MEAN if "Mean" in reductions else SUM
    return None


def _is_weighted(node: Any) -> bool:
    """Whether classes or elements have weights, which a backward frees."""
    try:
        return any(getattr(node, name, None) is not None for name in ("_saved_weight", "_saved_pos_weight"))
    except RuntimeError:
        return True


def _is_difference(node: Any) -> bool:
    """Whether a node is |a − b| or (a − b)²."""
    below = node.next_functions[0][0]
    return getattr(node, "_saved_exponent", 2) == 2 and below is not None and _name(below) in ("Sub", "Rsub")


def _between(node: Any) -> Iterator[str]:
    """The functions from a node back to the last linear map, by name; up to where several values meet."""
    while node is not None and (name := _name(node)) not in _LINEAR and name != "AccumulateGrad":
        if name not in _RESHAPES:
            yield _CALLED.get(name) or _snake(name)
        inputs = [below for below, _ in node.next_functions if below is not None and _name(below) != "AccumulateGrad"]
        node = inputs[0] if len(inputs) == 1 else None


def _huber(node: Any) -> tuple[float, float]:
    beta = getattr(node, "_saved_beta", None)
    delta = float(getattr(node, "_saved_delta", 1.0) if beta is None else beta)
    return delta, 1.0 if beta is None or not delta else 1 / delta


def _name(node: Any) -> str:
    """``LogSoftmax`` for a node called ``LogSoftmaxBackward0``."""
    return re.sub(r"Backward\d*$", "", str(node.name()).rpartition("::")[2])


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
