"""Recording what the batch normalizations of a network are given."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from normwise.errors import InvalidArgumentError, ShapeError
from normwise.moments import Moments, are_finite
from normwise.nn.kinds import thawed
from normwise.ops.batch_norm import parts
from normwise.surgery.estimating import tally
from normwise.surgery.estimating.tally import Tally


@dataclass
class LayerInputs:
    """What one layer was given.

    Attributes:
        values: values per channel of a batch, the most of any.
        tally: the moments of all values; None before there are any.
        examples: those of the means over positions of each example, as values; None under a mask.
    """

    values: int = 0
    tally: Tally | None = None
    examples: Tally | None = None

    def between(self) -> float | None:
        """See ``ExaminedNorm.between``: √F, where F is that of an analysis of variance with batches as groups.

        With K batches, E examples of variance s² in all, and Σ N_b(m_b − m)² between batches:
        F = Σ N_b(m_b − m)²/(K − 1)/s². None below four batches.
        """
        found = self.examples
        if found is None or found.batches < 4:
            return None
        count, _, var = found.values
        groups = (var - found.within).clamp(min=0) * count / (found.batches - 1)
        varies = var > 0
        ratios = groups[varies] / (var * count / (count - 1))[varies]
        return float(ratios.median().sqrt()) if len(ratios) else None


class InputRecorder:
    """Records the inputs of some layers.

    Attributes:
        found: by the layer's name, in the order of the first calls.
    """

    def __init__(self, layers: Mapping[nn.Module, str]) -> None:
        self.found: dict[str, LayerInputs] = {}
        self._layers = layers

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """Record in the body, and leave no hook behind."""
        with ExitStack() as hooks:
            for layer in self._layers:
                hooks.callback(layer.register_forward_pre_hook(self._before, with_kwargs=True).remove)
            yield

    def _before(self, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        call = _call(thawed(layer), args, kwargs)
        if call is None:
            return
        x, axis, mask = call
        try:
            batch = parts.moments(x, mask=mask, channel_dim=axis)
        except (ShapeError, InvalidArgumentError):
            return  # the layer says itself what is wrong
        if not are_finite(batch.mean, batch.var).all():
            return
        inputs = self.found.setdefault(self._layers[layer], LayerInputs())
        inputs.values = max(inputs.values, int(batch.count.max()))
        inputs.tally = _together(inputs.tally, tally.of_batch(batch))
        if mask is None:
            inputs.examples = _together(inputs.examples, tally.of_batch(_example_means(x, axis)))


def _together(known: Tally | None, batch: Tally) -> Tally:
    return batch if known is None else tally.together(known, batch)


def _call(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, int, Any] | None:
    """Input, axis of channels and mask of a call; None where it does not fit."""
    try:
        given = inspect.signature(layer.forward).bind(*args, **kwargs).arguments
    except TypeError:
        return None
    x = args[0] if args else next(iter(given.values()), None)
    if not isinstance(x, Tensor) or not x.is_floating_point() or x.ndim < 2 or not len(x):
        return None
    axes = dict.fromkeys((getattr(layer, "channel_dim", 1), 1, -1))
    axis = next((each for each in axes if x.shape[each] == layer.num_features), None)
    return None if axis is None else (x.detach(), axis % x.ndim, given.get("mask"))


def _example_means(x: Tensor, axis: int) -> Moments:
    """The moments over the examples of a batch of their means over positions, (C,)."""
    means = x.movedim(axis, 1).flatten(2).float().mean(2) if x.ndim > 2 else x
    means = means.to("cpu").double()
    count = torch.full_like(means[0], len(means))
    return Moments(count, means.mean(0), means.var(0, correction=0))
