"""Watching what the batch normalizations of a running network are given."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from normwise.errors import InvalidArgumentError, ShapeError, SurgeryError
from normwise.moments import Moments, are_finite, unbiased
from normwise.nn.layer import Layer
from normwise.ops.batch_norm import parts
from normwise.surgery.estimating import tally
from normwise.surgery.estimating.tally import Tally

_KNOWN = (_BatchNorm.forward, nn.SyncBatchNorm.forward, Layer.forward)
_NOBODY = (-12345.0, 54321.0)  # no batch's mean and variance
_LOOSE = 0.01  # bfloat16 statistics are off by 0.004, torch's own sums in channels_last by 0.001


_Call = tuple[_BatchNorm, list[Moments]]
"""A call of a layer and the moments of its input: of a layer with a forward of its own, those by each possible axis."""


class Watch:
    """The batches that some batch normalizations of a network are given.

    In the body of ``hooked`` a layer in training mode normalizes with the moments of its batch, as in training. There
    are two exceptions, for which moments are put in the layer's statistics and it runs in evaluation:
    ``SyncBatchNorm``, which would wait for other processes, and a batch with a single value per channel, on which
    layers raise. That is normalized with the moments of all values that the layer has seen so far, itself included.

    What a subclass with a ``forward`` of its own normalizes need not be its input. It is told by what the layer puts in
    its running statistics: the axis of channels is the one whose moments these are, and where there is none, it is a
    problem. The running statistics are overwritten, so the layers need copies, and a ``SyncBatchNorm`` among them is
    left in no process group, because processes may have different numbers of batches.

    Attributes:
        tallies: what each layer was given, by name and in the order of the first calls.
        problems: by name, why nothing can be said about a layer.
    """

    def __init__(self, layers: Mapping[_BatchNorm, str]) -> None:
        self.tallies: dict[str, Tally] = {}
        self.problems: dict[str, str] = {}
        self._names = layers
        self._calls: list[_Call] = []
        self._own = {layer for layer in layers if _has_own_forward(layer)}

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """Watch the layers that are in training mode in the body, and leave no hook behind."""
        with ExitStack() as hooks:
            for layer in self._names:
                if layer.training:
                    if layer in self._own:
                        _prepare(layer)
                    hooks.callback(layer.register_forward_pre_hook(self._before, with_kwargs=True).remove)
                    after = layer.register_forward_hook(self._after, with_kwargs=True, always_call=True)
                    hooks.callback(after.remove)
            yield

    def take(self, index: int) -> None:
        """Add the calls of a batch to the tallies.

        Raises:
            SurgeryError: the moments of one are not finite; the tallies are as before.
        """
        calls, self._calls = self._calls, []
        batch = [(self._names[layer], tally.of_batch(moments)) for layer, (moments, *_) in calls]
        for name, each in batch:
            if not are_finite(each.values.mean, each.values.var).all():
                raise SurgeryError(
                    f"batch {index}: the input of {name or 'the layer'} holds NaN or infinity, or values too large to "
                    "be squared; no statistics were changed: repair that batch or leave it out"
                )
        for name, each in batch:
            self.tallies[name] = tally.together(self.tallies[name], each) if name in self.tallies else each

    def _before(self, layer: _BatchNorm, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        own = layer in self._own
        moments = _moments(layer, args, kwargs, own)
        if not moments and not own:
            return  # the layer says itself what is wrong
        self._calls.append((layer, moments))
        if moments and moments[0].count.max() <= 1:
            _put(layer, self._so_far(layer), training=False)
        elif isinstance(layer, nn.SyncBatchNorm) and not own:
            _put(layer, moments[0], training=False)
        elif own:
            _put(layer, _NOBODY, training=True)

    def _after(self, layer: _BatchNorm, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        evaluated, layer.training = not layer.training, True
        if layer in self._own and not evaluated:
            last = max(index for index, call in enumerate(self._calls) if call[0] is layer)
            agreeing = _agreeing(layer, self._calls[last][1])
            self._calls[last : last + 1] = [(layer, agreeing)] if agreeing else []
            if not agreeing:
                self.problems[self._names[layer]] = f"{type(layer).__name__} normalizes something else than its input"

    def _so_far(self, layer: _BatchNorm) -> Moments:
        """The moments of all that a layer has been given, this batch included."""
        seen = [tally.of_batch(moments[0]) for caller, moments in self._calls if caller is layer]
        known = self.tallies.get(self._names[layer])
        return functools.reduce(tally.together, seen if known is None else [known, *seen]).values


def _prepare(layer: _BatchNorm) -> None:
    """Let a layer with a forward of its own show the moments of a batch, and send nothing."""
    layer.momentum = 1.0
    if isinstance(layer, nn.SyncBatchNorm) and distributed.is_available():
        layer.process_group = distributed.GroupMember.NON_GROUP_MEMBER


def settle(layer: _BatchNorm, mean: Tensor, var: Tensor) -> None:
    """Let a layer run in evaluation with these statistics, which go into the buffers that it has now."""
    _put(layer, (mean, var), training=False)


def _put(layer: _BatchNorm, statistics: Moments | tuple[Any, Any], *, training: bool) -> None:
    *_, mean, var = statistics
    for buffer, value in ((layer.running_mean, mean), (layer.running_var, var)):
        assert buffer is not None
        buffer.copy_(torch.as_tensor(value).expand_as(buffer))
    layer.training = training


def _has_own_forward(layer: _BatchNorm) -> bool:
    return "forward" in vars(layer) or type(layer).forward not in _KNOWN


def _moments(layer: _BatchNorm, args: tuple[Any, ...], kwargs: dict[str, Any], own: bool) -> list[Moments]:
    """The moments of what a layer is called with; none where it does not take it."""
    try:
        given = inspect.signature(layer.forward).bind(*args, **kwargs).arguments
    except TypeError:
        return []
    x = args[0] if args else next(iter(given.values()), None)
    axis = getattr(layer, "channel_dim", 1)
    if not isinstance(x, Tensor) or not x.is_floating_point() or x.ndim < 2 or layer.running_mean is None:
        return []
    axes = [each for each in ((1, -1) if own else (axis,)) if x.shape[each] == len(layer.running_mean)]
    found = [_masked_moments(x, given.get("mask"), each) for each in axes]
    return [moments for moments in found if moments is not None]


def _masked_moments(x: Tensor, mask: Any, axis: int) -> Moments | None:
    try:
        return parts.moments(x, mask=mask, channel_dim=axis)
    except (ShapeError, InvalidArgumentError):
        return None


def _agreeing(layer: _BatchNorm, possible: list[Moments]) -> list[Moments]:
    """The moments that are those which the layer itself found and put in its statistics; none where none are."""
    mean, var = layer.running_mean, layer.running_var
    assert mean is not None
    assert var is not None

    def distance(batch: Moments) -> float:
        spread = unbiased(batch.var, batch.count)
        off_mean = (mean - batch.mean).abs() / ((spread + layer.eps).sqrt() + batch.mean.abs())
        return float(torch.maximum(off_mean, (var - spread).abs() / (spread + layer.eps)).max())

    if not all(are_finite(batch.mean, batch.var).all() for batch in possible):
        return possible[:1]
    nearest = sorted(possible, key=distance)[:1]
    return [batch for batch in nearest if distance(batch) <= _LOOSE]
