"""Training one run: one arm with one seed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from normwise import probes
from normwise.errors import RequestError
from normwise.lab import checkpoint, networks, optimizers
from normwise.lab.batches import Batches
from normwise.lab.data import Data, Scaling
from normwise.lab.evaluate import evaluate
from normwise.lab.factory import Factory, resolve
from normwise.lab.job import Job
from normwise.records.files import write_json
from normwise.records.run import DONE, METRICS, SETTINGS, TIMING, RunWriter, write_done

TRAIN_PART = 1000  # training examples on which training loss and accuracy are evaluated
PROBE_PART = 100  # training examples on which activations and gradients are measured

OnProgress = Callable[[int], None]


def train(job: Job, data: Data, on_progress: OnProgress = lambda step: None) -> None:
    """Train one run to its end, from its last checkpoint where there is one, and record it.

    The run ends ``finished`` after the last step, or ``diverged`` at the first step whose loss, or whose weights, are
    not finite.

    Args:
        job: what to train and where to record it.
        data: the unscaled data.
        on_progress: called with the number of steps made, after each measurement.
    """
    job.directory.mkdir(parents=True, exist_ok=True)
    (job.directory / DONE).unlink(missing_ok=True)
    write_json(job.directory / SETTINGS, job.settings)
    run = _Run(job, data)
    try:
        status, step = run.go(on_progress)
    finally:
        run.writer.close()
    write_done(job.directory, status, step, None if status == "finished" else "loss or weights are not finite")


class _Run:
    """The state of a run between two measurements."""

    def __init__(self, job: Job, data: Data) -> None:
        settings = job.settings
        torch.manual_seed(settings["seed"])
        self.job, self.settings = job, settings
        self.device = torch.device(settings["device"])
        own = None if job.own is None else _own(job)
        parts = _tensors(data, settings["inputs"], self.device)
        self.network = networks.build(settings, data.example_shape, data.classes, own).to(self.device)
        self.optimizer = optimizers.optimizer(settings, self.network.parameters())
        self.rate = optimizers.rate(settings)
        self.probe = _sample(parts["train"], PROBE_PART)
        self.parts = parts | {"train": _sample(parts["train"], TRAIN_PART)}
        self.batches = Batches(*parts["train"], settings["batch_size"], settings["seed"])
        self.schedule = probes.Schedule(settings["steps"], settings["eval_every"])
        self.step, self.seconds, lengths = checkpoint.read(job.directory, self.network, self.optimizer, self.batches)
        self.writer = RunWriter(job.directory, lengths)
        self.resumed = bool(lengths)
        self.saved = time.perf_counter()
        self.clock = _Clock()

    def go(self, on_progress: OnProgress) -> tuple[str, int]:
        """Train, measure and record until the end; the status and the step at which it ended."""
        if not self.resumed:
            self._record(None, [])
        for stop in self.schedule.at:
            if stop <= self.step:
                continue
            first = self.step
            losses, updates = self._advance(stop)
            broken = _first_broken(losses, self.network)
            self.clock.lap("train")
            if broken is not None:
                return "diverged", first + broken
            self._record(losses.mean().item(), updates)
            on_progress(self.step)
        self._save()
        return "finished", self.step

    def _advance(self, stop: int) -> tuple[Tensor, list[dict[str, Any]]]:
        """Make the steps up to ``stop``; their losses, and the norms of the last one's updates."""
        losses = torch.empty(stop - self.step, device=self.device)
        for index in range(len(losses) - 1):
            losses[index] = self._update()
        before = probes.snapshot(self.network)
        losses[-1] = self._update()
        return losses, probes.update_norms(self.network, before)

    def _update(self) -> Tensor:
        """One step of stochastic gradient descent; its mini-batch loss."""
        X, y = self.batches.next()
        loss = nn.functional.cross_entropy(self.network(X), y)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        lr = self.rate(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        self.step += 1
        return loss.detach()

    def _record(self, batch_loss: float | None, updates: list[dict[str, Any]]) -> None:
        """Measure the network as it is now and add a line to the record."""
        line: dict[str, Any] = {"step": self.step, "lr": self.rate(self.step), "batch_loss": batch_loss}
        line |= evaluate(self.network, self.parts)
        self.clock.lap("evaluate")
        line |= probes.measure(self.network, *self.probe, nn.functional.cross_entropy)
        self.clock.lap("probe")
        self.writer.append(METRICS, line | {"updates": updates})
        self.clock.lap("record")
        laps = self.clock.take()
        self.seconds += sum(laps.values())
        self.writer.append(TIMING, {"step": self.step, "seconds": self.seconds, **laps})
        if time.perf_counter() - self.saved > self.job.seconds_between_checkpoints:
            self._save()

    def _save(self) -> None:
        progress = checkpoint.Progress(self.step, self.seconds, self.writer.sync())
        checkpoint.write(self.job.directory, self.network, self.optimizer, self.batches, progress)
        self.saved = time.perf_counter()
        self.clock.lap("record")


class _Clock:
    """Seconds by what they were spent on."""

    def __init__(self) -> None:
        self._laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """Book the time since the last lap under ``name``."""
        now = time.perf_counter()
        self._laps[name] = self._laps.get(name, 0.0) + now - self._last
        self._last = now

    def take(self) -> dict[str, float]:
        """What was booked since the last call."""
        laps, self._laps = self._laps, {}
        return laps


def _own(job: Job) -> Factory:
    """The user's ``make_model``, the same as when the study began."""
    own = resolve(job.own or "", what="model")
    if own.source_hash != job.settings["own_model"]["source"]:
        raise RequestError(f"the source of {own.name} changed while the study ran; give the same command again")
    return own


Part = tuple[Tensor, Tensor]


def _tensors(data: Data, inputs: str, device: torch.device) -> dict[str, Part]:
    """The parts of the data, scaled as the training part asks, on the device."""
    scaling = Scaling.fit(inputs, data.train.X)
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    return {
        name: (torch.from_numpy(scaling.apply(part.X)).to(device), torch.from_numpy(part.y).to(device))
        for name, part in parts.items()
    }


def _sample(part: Part, size: int) -> Part:
    """The same random examples of a part every time, at most ``size``."""
    X, y = part
    rows = torch.from_numpy(np.random.default_rng(0).permutation(len(y))[:size]).to(y.device)
    return X[rows], y[rows]


def _first_broken(losses: Tensor, network: nn.Module) -> int | None:
    """The first step, counted from one, with a loss, or at the end with weights, that are not finite; None if none."""
    finite = losses.isfinite()
    if not finite.all():
        return int(finite.logical_not().nonzero()[0].item()) + 1
    weights = all(parameter.isfinite().all() for parameter in network.parameters())
    return None if weights else len(losses)
