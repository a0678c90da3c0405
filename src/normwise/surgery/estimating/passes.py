"""Passing batches through a network and tallying what its batch normalizations are given, on all processes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from torch.nn.modules.batchnorm import _BatchNorm

from normwise.errors import SurgeryError
from normwise.surgery.estimating import processes, tally
from normwise.surgery.estimating.functional import FunctionalCalls
from normwise.surgery.estimating.tally import Tally
from normwise.surgery.estimating.watch import Watch, settle

Layers = dict[_BatchNorm, str]


class Seen(NamedTuple):
    """What a pass over the batches saw.

    Attributes:
        batches: how many there were.
        tallies: what each layer was given, by name, in the order of the first calls.
        problems: by name, why nothing can be said about a layer, or about a buffer that a function normalizes with.
    """

    batches: int
    tallies: dict[str, Tally]
    problems: dict[str, str]


def one_pass(run: Callable[[], Iterator[int]], layers: Layers, functions: FunctionalCalls) -> Seen:
    """What ``layers`` are given while ``run`` passes batches through the network, on all processes.

    Raises:
        SurgeryError: there was no batch on any process.
    """
    everywhere = processes.on_all(lambda: _watched(run, layers, functions))
    seen = functools.reduce(_merged, everywhere)
    if seen.batches == 0:
        raise SurgeryError(
            "there was no batch, so there is nothing to estimate from; give at least one, and where batches is an "
            "iterator or a generator a fresh one"
        )
    return seen


def layerwise(
    run: Callable[[], Iterator[int]], layers: Layers, functions: FunctionalCalls, batches: Iterable[Any]
) -> Seen:
    """What each layer is given after those before it have their final statistics and run in evaluation.

    The first pass finds the order, and is right for the first layer already.

    Raises:
        SurgeryError: ``batches`` cannot be passed over again.
    """
    processes.on_all(lambda: _check_repeatable(batches))
    seen = one_pass(run, layers, functions)
    settled: dict[str, Tally] = {}
    for layer in layers:
        layer.training = False
    by_name = {name: layer for layer, name in layers.items()}
    for name in seen.tallies:
        layer = by_name[name]
        layer.training = True
        again = one_pass(run, {layer: name}, functions) if settled else seen
        if again.batches != seen.batches:
            raise SurgeryError(
                f"the first pass gave {seen.batches} batches and a later one {again.batches}; 'layerwise' needs "
                "batches that can be passed over again: give a list or a DataLoader, or steps="
            )
        if name in again.tallies:
            settled[name] = again.tallies[name]
        statistics = tally.population(settled[name], "pooled") if name in settled else None
        layer.training = False
        if statistics is not None and name not in seen.problems:
            settle(layer, *statistics)
    return seen._replace(tallies=settled)


def _watched(run: Callable[[], Iterator[int]], layers: Layers, functions: FunctionalCalls) -> Seen:
    watch, batches = Watch(layers), 0
    with watch.hooked(), functions:
        for index in run():
            watch.take(index)
            batches += 1
    return Seen(batches, watch.tallies, watch.problems | functions.problems)


def _merged(a: Seen, b: Seen) -> Seen:
    tallies = dict(a.tallies)
    for name, each in b.tallies.items():
        tallies[name] = tally.together(tallies[name], each) if name in tallies else each
    return Seen(a.batches + b.batches, tallies, a.problems | b.problems)


def _check_repeatable(batches: Iterable[Any]) -> None:
    if isinstance(batches, Iterator):
        raise SurgeryError(
            f"mode='layerwise' passes over the batches once for each layer, and a {type(batches).__name__} can be "
            "passed over only once; give a list or a DataLoader, or mode='pooled'"
        )
