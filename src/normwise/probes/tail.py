"""What a loss is, and what stands between the last linear map and it, read off autograd's graph."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from torch import Tensor

from normwise.probes.watched import Loss

MEAN, SUM = "mean", "sum"
ELEMENTWISE = ("mse", "mae", "huber", "bce", "bce_with_logits")
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
_ADDS = {"Add", "Rsub", "Sub"}
_SCALES = {"Div", "Mul", "Neg"}
_THROUGH = {"Add", "Cat", "Div", "Expand", "MaskedFill", "Mean", "Mul", "Neg", "Rsub", "Select", "Stack", "Sub", "Sum"}
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
        reduction: ``mean`` or ``sum`` over the targets; None where there is no telling: the loss is weighted, has other
            terms, or is multiplied by what is not known.
        delta: of a Huber loss: where it becomes linear.
        factor: of a Huber loss: 1/δ for the smooth L1 loss.
    """

    loss: Loss
    reduction: str | None = None
    delta: float = 1.0
    factor: float = 1.0


class _Candidate(NamedTuple):
    """A loss within the graph, the node of its input with the number of that output, and how it is reduced.

    ``alone``: whether nothing is added to it, and it is multiplied by nothing that is not a single number.
    """

    kind: str
    source: Any
    output: int
    reduction: str | None
    node: Any
    alone: bool


def tail(loss: Tensor, *, scaled: bool = False) -> Tail:
    """What a loss is, from its graph, which can be walked before and after the backward.

    What it is multiplied by can be read before the backward alone; see ``normwise.probes.scale`` for after it. A loss
    that is put together of several known ones is ``other``. Where it is known to be ``scaled``, it is what was
    multiplied that is looked at.
    """
    top = _top(_unscaled(loss.grad_fn) if scaled else loss.grad_fn)
    found = list(_candidates(top.node, top.above, divided="Div" in [name for name, _ in top.factors]))
    smoothed = len(found) > 1 and {each.kind for each in found} == {"cross_entropy"}
    if not found or len({id(each.source) for each in found}) > 1:
        return Tail(Loss())
    first = found[0]._replace(reduction=MEAN, alone=True) if smoothed else found[0]
    scale = _scale(top, first) if first.alone else None
    shape, compared = _shapes(first)
    delta, factor = _huber(first.node)
    between = tuple(_between(first.source))[::-1]
    reduction = None if scale is None else first.reduction
    return Tail(Loss(first.kind, between, shape, scale, compared), reduction, delta, factor)


def _unscaled(node: Any) -> Any:
    while _name(node) in ("Div", "Mul") and len(inputs := [each for each, _ in node.next_functions if each]) == 1:
        node = inputs[0]
    return node


class _Top(NamedTuple):
    """Where a single value goes on from the loss: a node, the nodes above it, and those that multiply by factors."""

    node: Any
    above: tuple[str, ...]
    factors: tuple[tuple[str, float | None], ...]


def _top(node: Any) -> _Top:
    above: list[str] = []
    factors: list[tuple[str, float | None]] = []
    while node is not None and (name := _name(node)) in _SCALES | _RESHAPES | {"Mean", "Sum"}:
        inputs = [each for each, _ in node.next_functions if each is not None]
        if len(inputs) != 1 or (name in ("Mul", "Div") and _name(inputs[0]) == "LogSoftmax"):
            break
        if name in _SCALES:
            factors.append((name, _factor(node, name)))
        else:
            above.append(name)
        node = inputs[0]
    return _Top(node, tuple(above), tuple(factors))


def _factor(node: Any, name: str) -> float | None:
    """What a node multiplies by; None where that is no single number, or a backward has freed it."""
    if name == "Neg":
        return -1.0
    try:
        own, other = getattr(node, "_saved_self", None), getattr(node, "_saved_other", None)
    except RuntimeError:
        return None
    if name == "Div" and own is not None:  # a number over the loss
        return None
    kept = own if other is None else other
    number = 0.0
    if isinstance(kept, (int, float)) or (isinstance(kept, Tensor) and kept.numel() == 1):
        number = float(kept)
    if not number:
        return None
    return 1 / number if name == "Div" else number


def _scale(top: _Top, found: _Candidate) -> float | None:
    """What a loss is multiplied by; a cross-entropy of shares divides by the number of examples itself."""
    names, factors = [name for name, _ in top.factors], [factor for _, factor in top.factors]
    if _name(found.node) == "LogSoftmax":
        own = len(names) - 1 - names[::-1].index("Div") if "Div" in names and "Mean" not in top.above else None
        factors = [abs(each) if each else each for place, each in enumerate(factors) if place != own]
    if None in factors:
        return None
    scale = math.prod((each for each in factors if each is not None), start=1.0)
    return scale if scale > 0 else None


def _shapes(found: _Candidate) -> tuple[tuple[int, ...] | None, tuple[int, ...] | None]:
    """The shape of the outputs, and that in which they are compared where it is another one."""
    if found.source is None:
        return None, None
    node, output = found.source, found.output
    shape = tuple(node._input_metadata[output].shape)
    compared = shape
    difference = found.node.next_functions[0][0] if _name(found.node) in ("Pow", "Abs") else found.node
    if found.kind in ELEMENTWISE and len([each for each, _ in difference.next_functions if each is not None]) == 1:
        if _name(node) == "Expand":
            node, output = next((each for each in node.next_functions if each[0] is not None), (node, output))
            shape = tuple(node._input_metadata[output].shape)
        above = tuple(found.node._input_metadata[0].shape)
        compared = above if _name(found.node) in ("Pow", "Abs") else compared
    return shape, None if compared == shape else compared


def _candidates(node: Any, above: tuple[str, ...], *, divided: bool) -> Iterator[_Candidate]:
    """The losses below a node, with the names of the nodes above each, and whether something was divided there."""
    if node is None or len(above) > DEPTH:
        return
    name = _name(node)
    if name in _LOSSES:
        own = _REDUCTIONS.get(node._saved_reduction)
        reduction = None if _is_weighted(node) else _reduction(above, own)
        yield _candidate(_LOSSES[name], node, reduction)._replace(alone=not (_SCALES | _ADDS) & set(above))
    elif name == "LogSoftmax":  # of targets that are probabilities
        source, output = node.next_functions[0]
        alone = not _ADDS & set(above)
        mean = MEAN if divided or "Mean" in above else SUM
        yield _Candidate("cross_entropy", source, output, mean if alone else None, node, alone)
    elif name in ("Pow", "Abs") and _is_difference(node):
        kind = "mae" if name == "Abs" else "mse"
        found = _candidate(kind, node.next_functions[0][0], _reduction(above, None))
        yield found._replace(node=node, alone=not (_SCALES | _ADDS) & set(above))
    elif name in _THROUGH | _RESHAPES:
        for below, _ in node.next_functions:
            yield from _candidates(below, (*above, name), divided=divided or name == "Div")


def _candidate(kind: str, node: Any, reduction: str | None) -> _Candidate:
    source, output = next(((each, place) for each, place in node.next_functions if each is not None), (None, 0))
    if kind == "nll" and source is not None and _name(source) == "LogSoftmax":
        kind, (source, output) = "cross_entropy", source.next_functions[0]
    return _Candidate(kind, source, output, reduction, node, alone=True)


def _reduction(above: tuple[str, ...], own: str | None) -> str | None:
    """Mean or sum; None where the loss is multiplied or divided, has other terms, or is reduced in two ways."""
    reductions = [each for each in above if each in ("Mean", "Sum")]
    if ({"Mul", "Div"} | _ADDS) & set(above):
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
