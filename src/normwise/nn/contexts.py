"""Which forwards the running statistics of a network see, and as how many batches."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from normwise.errors import InvalidArgumentError
from normwise.moments import moments_dtype
from normwise.nn import statistics
from normwise.nn.kinds import is_batch_norm
from normwise.nn.layer import Layer
from normwise.nn.recurrent import RecurrentBatchNorm
from normwise.nn.whitening import Whitening
from normwise.ops import tracing


@contextlib.contextmanager
def suspend_statistics(model: nn.Module) -> Iterator[None]:
    """Let no running statistics of a network, nor their counters, see the forwards inside.

        with normwise.suspend_statistics(net):
            loss = criterion(net(x), target)    # normalizes with the batch's moments, in training

    Outputs, gradients and everything else are as without it. It works for torch's layers, ``RecurrentBatchNorm`` and
    ``Whitening`` too, may be nested or overlap, and ends when the body raises. Copies that are made inside stay
    suspended.

    Args:
        model: a network with batch normalization, or one such layer.

    Raises:
        InvalidArgumentError: there is no batch normalization in it.
    """
    layers: list[Suspendable] = [each for each in model.modules() if isinstance(each, (RecurrentBatchNorm, Whitening))]
    layers += _layers(model, needed=not layers)
    try:
        for layer in layers:
            _suspend(layer)
        yield
    finally:
        for layer in layers:
            _resume(layer)


Suspendable = _BatchNorm | RecurrentBatchNorm | Whitening

_LOCK = threading.Lock()
_SUSPENDED: weakref.WeakKeyDictionary[Suspendable, tuple[int, bool]] = weakref.WeakKeyDictionary()
"""How many contexts suspend a layer, and what ``track_running_stats`` was before the first."""


def _suspend(layer: Suspendable) -> None:
    with _LOCK:
        contexts, before = _SUSPENDED.get(layer, (0, layer.track_running_stats))
        _SUSPENDED[layer] = contexts + 1, before
        layer.track_running_stats = False


def _resume(layer: Suspendable) -> None:
    with _LOCK:
        contexts, before = _SUSPENDED.pop(layer)
        if contexts > 1:
            _SUSPENDED[layer] = contexts - 1, before
        else:
            layer.track_running_stats = before


@contextlib.contextmanager
def pooled_statistics(model: nn.Module) -> Iterator[None]:
    """Let the running statistics of a network see all forwards inside as one batch.

        optimizer.zero_grad()
        with normwise.pooled_statistics(net):
            for x, target in micro_batches:
                (criterion(net(x), target) / len(micro_batches)).backward()
        optimizer.step()

    Each forward normalizes with its own moments; when the body ends, the moments of all, merged exactly
    (``normwise.moments.merge``), update the statistics once. They then are what one forward of the concatenated batch
    would have made them, up to rounding, given that the layer's inputs are the same. A channel that was not finite in
    one forward is skipped for the whole. What ``small_batch="running"`` normalizes is in no batch. A layer that did not
    run changes nothing. Where the body raises, no statistics change.

    Args:
        model: a network with batch normalization, or one such layer.

    Raises:
        InvalidArgumentError: there is no batch normalization in it, or one of torch's that would update its statistics
            by itself, or one that is being pooled already.
    """
    layers = [layer for layer in _layers(model) if isinstance(layer, Layer)]
    _check_pool(model, layers)
    empty = {layer: _empty(layer) for layer in layers}
    try:
        for layer in layers:
            layer._pool = empty[layer]
        yield
        pools = {layer: layer._pool for layer in layers}
    finally:
        for layer in layers:
            layer._pool = None
    for layer, pool in pools.items():
        if pool is not None and pool is not empty[layer]:
            statistics.update(layer, pool, tracing.is_ordinary(pool))


def _layers(model: nn.Module, *, needed: bool = True) -> list[_BatchNorm]:
    modules = list(model.modules())
    if needed and not any(is_batch_norm(module) for module in modules):
        raise InvalidArgumentError(
            f"there is no batch normalization in this {type(model).__name__}, looked for BatchNorm1d, 2d and 3d; give "
            "the network that holds them, or insert some: normwise.batch_normalize(net)"
        )
    return [module for module in modules if isinstance(module, _BatchNorm)]


def _check_pool(model: nn.Module, layers: list[Layer]) -> None:
    foreign = [
        name
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm)
        and module.training
        and module.track_running_stats
        and not isinstance(module, Layer)
    ]
    if foreign:
        raise InvalidArgumentError(
            "pooled_statistics needs layers of normwise; these would update their statistics with every forward: "
            f"{', '.join(name or type(model).__name__ for name in foreign)}; replace them by normwise's"
        )
    if any(layer._pool is not None for layer in layers):
        raise InvalidArgumentError("the statistics of this network are being pooled already; leave the inner one out")


def _empty(layer: Layer) -> Tensor | None:
    mean = layer.running_mean
    return None if mean is None else mean.new_zeros((4, *mean.shape), dtype=moments_dtype(mean.dtype))
