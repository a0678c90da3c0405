"""Measuring a network with the moments of its batches, with its running statistics, and with those of other batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from normwise.doctor.examining.layer_inputs import InputRecorder, LayerInputs
from normwise.doctor.examining.scores import GROUPS, Scorer, Scores
from normwise.doctor.examining.statistics import Statistics, estimable, tracking
from normwise.errors import SurgeryError
from normwise.lab.batch import Batch
from normwise.lab.evaluate import MOST_KEPT
from normwise.surgery.estimating.undisturbed import undisturbed
from normwise.surgery.estimating.watch import Watch
from normwise.surgery.population import estimate_population

Norms = dict[nn.Module, str]


class Ways(NamedTuple):
    """Loss and metric of the three ways to normalize.

    Attributes:
        batch: with the moments of each batch.
        stored: with the running statistics.
        estimated: with statistics estimated from other batches; None where no layer can have such.
    """

    batch: Scores
    stored: Scores
    estimated: Scores | None


class Measurement(NamedTuple):
    """What was measured.

    Attributes:
        ways: loss and metric.
        inputs: what the layers were given with the moments of each batch, by name.
        targets: of the batches that were measured, of the first ones where they are large.
        width: the number of classes, or whatever else the outputs' second axis is; None where there is none.
        batches: how many were measured.
        estimated_from: how many batches the estimated statistics come from; the fewer of two halves.
    """

    ways: Ways
    inputs: dict[str, LayerInputs]
    targets: list[Tensor]
    width: int | None
    batches: int
    estimated_from: int


class Source(NamedTuple):
    """Where statistics are estimated from, and what is measured.

    Attributes:
        estimated: batches that statistics are estimated from, each passed over once; of two, the batches of even
            numbers are measured with the statistics of the second.
        measured: the batches that are measured, passed over once after that.
        pieces: see ``Scores``, from how many batches statistics were estimated from.
    """

    estimated: tuple[Iterable[Batch], ...]
    measured: Iterable[Batch]
    pieces: Callable[[int], int]


def measured(network: nn.Module, norms: Norms, source: Source, scorer: Callable[[Any, Any], Scorer]) -> Measurement:
    """Measure a network in evaluation, but for its batch normalizations, without a trace in it.

    Args:
        network: the network.
        norms: its batch normalizations, with their names.
        source: the batches.
        scorer: from outputs and targets of the first batch to loss and metric.

    Raises:
        SurgeryError: (a ValueError) there is no batch, or one makes the input of a layer not finite.
        Exception: what the loader or the network raises.
    """
    layers = estimable(norms)
    with undisturbed(network, layers):
        network.eval()
        stored = Statistics.of(norms)
        found = [_estimated(network, norms, layers, batches) for batches in source.estimated]
        counts, estimated = [count for count, _ in found], [each for _, each in found if each is not None]
        stored.put()
        return _Measuring(network, norms, layers, stored, estimated).run(source, scorer, counts)


def _estimated(
    network: nn.Module, norms: Norms, layers: list[Any], batches: Iterable[Batch]
) -> tuple[int, Statistics | None]:
    """How many batches there are, and the statistics estimated from them."""
    if not layers:
        return sum(1 for _ in batches), None
    with tracking(layers):
        found = estimate_population(network, batches, progress=False)
        return found.batches, Statistics.of(norms)


class _Measuring:
    """One pass over the batches that are measured."""

    def __init__(
        self,
        network: nn.Module,
        norms: Norms,
        layers: list[Any],
        stored: Statistics,
        estimated: list[Statistics],
    ) -> None:
        self._network, self._norms, self._layers = network, norms, layers
        self._stored, self._estimated = stored, estimated

    def run(self, source: Source, make: Callable[[Any, Any], Scorer], counts: list[int]) -> Measurement:
        recorder = InputRecorder(self._norms)
        watch = Watch({layer: self._norms[layer] for layer in self._layers if layer.running_mean is not None})
        ways: Ways | None = None
        targets: list[Tensor] = []
        count = kept = 0
        width: int | None = None
        for index, batch in enumerate(source.measured):
            if ways is None:
                outputs = self._as_stored(batch)
                width = outputs.shape[1] if isinstance(outputs, Tensor) and outputs.ndim > 1 else None
                ways = self._ways(make(outputs, batch.target), source.pieces(sum(counts)))
            outputs = self._as_in_training(batch, recorder, watch)
            self._add(ways, batch, outputs, index)
            count += 1
            if isinstance(batch.target, Tensor) and kept < MOST_KEPT:
                targets.append(batch.target)
                kept += batch.target.numel()
        if ways is None:
            raise SurgeryError(
                "there was no batch to measure; give at least one, and two where none are for estimating"
            )
        return Measurement(ways, recorder.found, targets, width, count, min(counts))

    def _ways(self, scorer: Scorer, pieces: int) -> Ways:
        estimated = Scores(scorer, pieces) if self._estimated else None
        return Ways(Scores(scorer, pieces), Scores(scorer, pieces), estimated)

    def _add(self, ways: Ways, batch: Batch, outputs: Any, index: int) -> None:
        ways.batch.add(outputs, batch.target, batch.size)
        ways.stored.add(self._as_stored(batch), batch.target, batch.size)
        if ways.estimated is not None:
            self._estimated[(index + 1) % len(self._estimated)].put()
            ways.estimated.add(self._through(batch), batch.target, batch.size)

    def _as_stored(self, batch: Batch) -> Any:
        self._stored.put()
        return self._through(batch)

    def _as_in_training(self, batch: Batch, recorder: InputRecorder, watch: Watch) -> Any:
        self._stored.put()
        with ExitStack() as stack:
            for layer in self._layers:
                layer.training = True
                stack.callback(setattr, layer, "training", False)
            stack.enter_context(watch.hooked())
            stack.enter_context(recorder.hooked())
            outputs = self._through(batch)
        with suppress(SurgeryError):  # an input that is not finite shows in the loss
            watch.take(0)
        return outputs

    def _through(self, batch: Batch) -> Any:
        """The network's outputs, which draw the same random numbers each time."""
        devices = sorted({each.device.index for each in self._network.parameters() if each.is_cuda})
        with torch.random.fork_rng(devices):
            return batch.through(self._network)


def pieces(batches: int) -> int:
    """In how many pieces each of so many batches is cut, so that there are at least as many as groups."""
    return max(1, -(-GROUPS // max(1, batches)))
