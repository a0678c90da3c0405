"""Population moments for inference: lines 8 to 10 of Algorithm 2 in Ioffe & Szegedy 2015."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.lazy import LazyModuleMixin

from normwise.errors import InvalidArgumentError, SurgeryError, choice
from normwise.nn.frozen import FrozenBatchNorm, obstacle
from normwise.nn.kinds import is_batch_norm
from normwise.surgery import compiled, walk
from normwise.surgery.estimating import estimates, passes, processes, running
from normwise.surgery.estimating.estimates import Population
from normwise.surgery.estimating.feed import Forward, feed, unwrapped
from normwise.surgery.estimating.functional import FunctionalCalls
from normwise.surgery.estimating.passes import Seen
from normwise.surgery.estimating.progress import bar
from normwise.surgery.estimating.undisturbed import undisturbed
from normwise.surgery.sites import census

MODES = ("pooled", "paper", "layerwise")


def estimate_population(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    mode: str = "pooled",
    steps: int | None = None,
    forward: Forward | None = None,
    progress: bool = True,
) -> Population:
    """Replace the running statistics of a network by the moments of data that are passed through it, in place.

        report = normwise.estimate_population(net, loader)

    Running statistics trail the weights that they were collected with. These belong to the weights that the network has
    now, and to the data that are given: those it was trained on, or unlabelled data of another domain.

    **What changes.** ``running_mean``, ``running_var`` and ``num_batches_tracked``, which becomes the number of batches
    that the statistics come from, so that training on with ``momentum=None`` averages on; ``skipped`` starts anew.
    Nothing else does, random generators included, and where anything raises, nothing at all.

    **How.** The network runs in evaluation, without dropout, but for its batch normalizations: these normalize with
    the moments of each batch, as in training, and the moments of what they are given (under a mask, where the call has
    one) are merged in float64. With K batches of m values per channel on average and N values in all, no matter in
    batches of which sizes, every value weighs the same:

    ``"pooled"``
        E[x] = Σx/N, Var[x] = Σ(x − E[x])²/(N − 1): the moments of all values, within and between batches.
    ``"paper"``
        E[x] = E_B[μ_B], Var[x] = m/(m − 1)·E_B[σ²_B]: within batches only.
    ``"layerwise"``
        as ``"pooled"``, for one layer after the other in the order of their first calls: each is given inputs which
        the layers before it produced in evaluation, with their final statistics, as in inference. This takes a pass
        over all batches for each layer.

    A batch with a single value per channel, which has no variance, counts too; on its way on it is normalized with the
    moments of all that the layer has seen so far. ``SyncBatchNorm`` normalizes with each process's own batch, and so
    do its subclasses: nothing is sent while batches run.

    Args:
        model: the network, on the device that the batches are on; nothing is moved.
        batches: an iterable of batches. A batch is the input itself (a tensor), a tuple or list whose first element is
            the input, a dict that is passed as keywords, or what has both as ``args`` and ``kwargs``; anything else
            needs ``forward``.
        mode: ``"pooled"``, ``"paper"`` or ``"layerwise"``.
        steps: how many batches to take at most (in each pass); all by default.
        forward: ``forward(model, batch)`` runs the network on a batch of any kind.
        progress: show a progress bar after two seconds, on a terminal, where ``rich`` is installed.

    Within an initialised ``torch.distributed`` process group each process gives its own batches, of any number. The
    moments of all are merged, in the same order everywhere, so that all processes end with the same statistics. What
    raises on one raises on all.

    Returns:
        For each layer from how many batches and values its statistics come. Listed with the reason, and as they were:
        layers that no batch reached, or too few values for a variance; frozen ones, those that track no statistics,
        and subclasses whose own ``forward`` normalizes something else than its input. So are buffers that the network
        gives to ``F.batch_norm`` itself, under the name of the running mean.

    Raises:
        InvalidArgumentError: (a ValueError) ``model`` is no network, ``mode`` does not exist, or ``steps`` is less
            than 1.
        SurgeryError: (a ValueError) no batch normalization could be estimated, there is no batch, a batch does not fit
            or makes the input of a layer not finite, ``"layerwise"`` was given an iterator, which can be passed over
            only once, the network is compiled or scripted, or has layers that never saw a batch and have no size yet.
        Exception: what the loader or the network raises.

    Source: Ioffe & Szegedy 2015, arXiv:1502.03167, Algorithm 2 and section 3.1; ``normwise.moments.merge``.
    """
    if mode not in MODES:
        raise InvalidArgumentError(choice(str(mode), MODES, "mode"))
    if steps is not None and steps < 1:
        raise InvalidArgumentError(f"steps must be at least 1, or None for all batches, got {steps}")
    compiled.refuse(model, "estimate the population of")
    layers, left = _layers(model)
    seen = _see(model, layers, batches, mode, steps, forward, progress)
    outcomes = {layer: estimates.statistics(name, seen, mode) for layer, name in layers.items()}
    new = {layer: each for layer, each in outcomes.items() if not isinstance(each, str)}
    notes = {layers[layer]: each for layer, each in outcomes.items() if isinstance(each, str)} | left
    if not new:
        raise SurgeryError(_nothing(model, notes))
    running.write(new, {layer: seen.tallies[layers[layer]].batches for layer in new})
    functional = {name: each for name, each in seen.problems.items() if name not in layers.values()}
    return estimates.population(mode, seen, {name: notes.get(name, "") for name, _ in _found(model)} | functional)


def _see(
    model: nn.Module,
    layers: passes.Layers,
    batches: Iterable[Any],
    mode: str,
    steps: int | None,
    forward: Forward | None,
    progress: bool,
) -> Seen:
    """What the layers are given, without a trace in the network."""
    network = unwrapped(model)
    total = _total(batches, steps, len(layers) if mode == "layerwise" else 1)
    with (
        undisturbed(network, layers),
        bar("population statistics", total, show=progress and processes.rank() == 0) as advance,
    ):
        for module in network.modules():
            module.training = module in layers

        def run() -> Iterator[int]:
            for index in feed(network, batches, steps, forward):
                yield index
                advance()

        functions = FunctionalCalls(network, [layer for _, layer in _found(network)])
        if mode == "layerwise":
            return passes.layerwise(run, layers, functions, batches)
        return passes.one_pass(run, layers, functions)


def _found(model: nn.Module) -> list[tuple[str, nn.Module]]:
    return walk.find(model, is_batch_norm)


def _layers(model: nn.Module) -> tuple[dict[_BatchNorm, str], dict[str, str]]:
    """The layers whose statistics can be estimated with their names, and why the others are left alone."""
    lazy = walk.find(model, lambda module: isinstance(module, LazyModuleMixin) and module.has_uninitialized_params())
    if lazy:
        raise SurgeryError(
            f"{lazy[0][0] or 'the network'} ({type(lazy[0][1]).__name__}) has no size yet: run the network on a batch "
            "first, then estimate"
        )
    left = {name: problem for name, layer in _found(model) if (problem := _problem(layer))}
    layers = {layer: name for name, layer in _found(model) if name not in left and isinstance(layer, _BatchNorm)}
    if not layers:
        raise SurgeryError(_nothing(model, left))
    return layers, left


def _problem(layer: nn.Module) -> str:
    if isinstance(layer, FrozenBatchNorm):
        return "it is frozen"
    return obstacle(layer) or ("" if layer.track_running_stats else "track_running_stats is False")


def _nothing(model: nn.Module, notes: dict[str, str]) -> str:
    found = [f"{name or 'the network itself'}: {note}" for name, note in notes.items()]
    return (
        f"no statistics to estimate in {type(model).__name__}: looked for batch normalizations with running statistics "
        f"that batches reach; found {'; '.join(found) or 'none'} (normalizations in the network: {census(model)}); "
        "normwise.batch_normalize inserts some, normwise.unfreeze makes frozen ones change again"
    )


def _total(batches: Iterable[Any], steps: int | None, passes: int) -> int | None:
    try:
        length = len(batches)  # type: ignore[arg-type]
    except (TypeError, NotImplementedError):  # as torch's DataLoader raises where nobody knows
        return None if steps is None else steps * passes
    return passes * (length if steps is None else min(length, steps))
