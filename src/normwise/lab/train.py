"""Training one run: one arm with one seed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from normwise import probes
from normwise.errors import RequestError
from normwise.lab import batches, checkpoint, networks, optimizers
from normwise.lab.best import Best
from normwise.lab.data import Data
from normwise.lab.data.loader_data import LoaderData
from normwise.lab.evaluate import evaluate, evaluate_whole
from normwise.lab.events import Events
from normwise.lab.factory import Factory, resolve
from normwise.lab.job import Job
from normwise.lab.objective import Objective
from normwise.lab.samples import FINAL, PROBED
from normwise.lab.watching import Watching, renamed
from normwise.records.files import replace, write_json
from normwise.records.run import DONE, METRICS, PREDICTIONS, SETTINGS, TIMING, WATCHED, RunWriter, write_done

NOT_FINITE = "loss or weights are not finite"

OnProgress = Callable[[int], None]


def train(job: Job, data: Data | LoaderData, on_progress: OnProgress = lambda step: None) -> None:
    """Train one run to its end, from its last checkpoint where there is one, and record it.

    The run ends ``finished`` after the last step, or when its patience is at an end; ``diverged`` at the first step
    whose loss, or whose weights, are not finite. Then the whole validation and test parts are evaluated with the
    weights of the best step.

    A run that is watched begins anew: what is recorded of layers, gradients and updates is in no checkpoint.

    Args:
        job: what to train and where to record it.
        data: the unscaled data.
        on_progress: called with the number of steps made, after each measurement.
    """
    job.directory.mkdir(parents=True, exist_ok=True)
    for name in (DONE, WATCHED, *([checkpoint.NAME] if job.watch else [])):
        (job.directory / name).unlink(missing_ok=True)
    write_json(job.directory / SETTINGS, job.settings.as_dict())
    run = _Run(job, data)
    try:
        status, step, reason = run.go(on_progress)
        run.write_watched()
        best = run.finish()
    finally:
        run.close()
    write_done(job.directory, status, step, reason, best)


class _Run:
    """The state of a run between two measurements."""

    def __init__(self, job: Job, data: Data | LoaderData) -> None:
        settings = job.settings
        torch.manual_seed(settings.seed)
        self.job, self.settings = job, settings
        device = torch.device(settings.device)
        own = {what: _own(job, what) for what in job.own}
        functions = {what: each.callable for what, each in own.items() if what != "model"}
        self.objective = Objective(settings, functions, batches.target_scaling(data, settings.targets))
        self.batches = batches.opened(data, settings, device)
        probed = self.batches.sample("train", PROBED)[0]
        built = networks.build(settings, probed, own.get("model"))
        self.network, self.names = built.network.to(device), built.names
        self.probed = probed
        self.samples = {part: self.batches.sample(part, size) for part, size in settings.samples.items()}
        self.optimizer = optimizers.optimizer(settings, self.network.parameters())
        self.rate = optimizers.rate(settings)
        self.watching = Watching(self.network, self.optimizer, job.watch)
        self.schedule = probes.Schedule(settings.steps, settings.eval_every)
        self.best = Best(settings.metric)
        self.state = checkpoint.State(self.network, self.optimizer, self.batches, self.best)
        self.step, self.seconds, lengths = checkpoint.read(job.directory, self.state)
        self.writer = RunWriter(job.directory, lengths)
        self.resumed = bool(lengths)
        self.events = Events(job.directory, self.step if self.resumed else -1) if job.tensorboard else None
        self.saved = time.perf_counter()
        self.clock = _Clock()

    def go(self, on_progress: OnProgress) -> tuple[str, int, str | None]:
        """Train, measure and record until the end; the status, the step at which it ended, and why."""
        if not self.resumed and not self._record(None, []):
            self.watching.once(self._update)
            return "diverged", 0, "the loss is not finite before the first step"
        for stop in self.schedule.at:
            if stop <= self.step:
                continue
            if self._is_out_of_patience():
                break
            first = self.step
            losses, updates = self._advance(stop)
            broken = _first_broken(losses, self.network)
            self.clock.lap("train")
            if broken is not None:
                return "diverged", first + broken, NOT_FINITE
            self._record(losses.mean().item(), updates)
            on_progress(self.step)
        self._save()
        if self.best.step is None:
            return "diverged", self.step, f"no validation {self.settings.metric.label} was finite"
        stopped = self.step < self.settings.steps
        why = f"no better validation {self.settings.metric.label} in {self.best.since} measurements"
        return "finished", self.step, why if stopped else None

    def _is_out_of_patience(self) -> bool:
        return self.settings.patience is not None and self.best.since >= self.settings.patience

    def _advance(self, stop: int) -> tuple[Tensor, list[dict[str, Any]]]:
        """Make the steps up to ``stop``; their losses, and the norms of the last one's updates."""
        losses = torch.empty(stop - self.step, device=self.settings.device)
        for index in range(len(losses) - 1):
            losses[index] = self._update()
        before = probes.snapshot(self.network)
        losses[-1] = self._update()
        return losses, self._renamed(probes.update_norms(self.network, before))

    def _update(self) -> Tensor:
        """One step of stochastic gradient descent; its mini-batch loss."""
        batch = self.batches.next()
        loss = self.objective.loss(batch.through(self.network), batch.target)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizers.clip(self.network.parameters(), self.settings)
        lr = self.rate(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        self.step += 1
        self.watching.step(loss, self.objective, batch.target)
        return loss.detach()

    def _record(self, batch_loss: float | None, updates: list[dict[str, Any]]) -> bool:
        """Measure the network as it is now and add a line to the record; whether the training loss is finite."""
        line: dict[str, Any] = {"step": self.step, "lr": self.rate(self.step), "batch_loss": batch_loss}
        with self.watching.paused():
            line |= self._measured(updates)
        self.writer.append(METRICS, line)
        if self.events is not None:
            self.events.add(line, self.settings.metric)
        self.clock.lap("record")
        self._time()
        finite = math.isfinite(line["train"]["loss"])
        if finite and time.perf_counter() - self.saved > self.job.seconds_between_checkpoints:
            self._save()
        return finite

    def _measured(self, updates: list[dict[str, Any]]) -> dict[str, Any]:
        line: dict[str, Any] = evaluate(self.network, self.objective, self.samples)
        value, counts = line["validation"][self.settings.metric.name], self.step in self.schedule.regular
        self.best.note(self.step, value, self.network, counts=counts)
        self.clock.lap("evaluate")
        measured = probes.measure(
            self.network, self.probed.args or self.probed.kwargs, self.probed.target, self.objective.loss
        )
        line |= {quantity: self._renamed(rows) for quantity, rows in measured.items()}
        self.clock.lap("probe")
        return line | {"updates": updates}

    def _renamed(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Rows under the names that layers have in the user's own network, the same in every arm."""
        return [row | {"layer": renamed(row["layer"], self.names)} for row in rows]

    def _time(self) -> None:
        laps = self.clock.take()
        self.seconds += sum(laps.values())
        self.writer.append(TIMING, {"step": self.step, "seconds": self.seconds, **laps})

    def _save(self) -> None:
        progress = checkpoint.Progress(self.step, self.seconds, self.writer.sync())
        checkpoint.write(self.job.directory, self.state, progress)
        self.saved = time.perf_counter()
        self.clock.lap("record")

    def finish(self) -> dict[str, Any] | None:
        """Evaluate the whole parts, and more of train, with the best weights; keep these and the test part's outputs.

        Returns:
            What ``done.json`` has under ``best``; None where no evaluation was finite.
        """
        if self.best.step is None:
            return None
        self.network.load_state_dict(self.best.weights)
        sample = self.batches.sample("train", FINAL)
        train_ = evaluate(self.network, self.objective, {"train": sample})["train"]
        validation, test = (
            evaluate_whole(self.network, self.objective, self.batches.whole(part)) for part in ("validation", "test")
        )
        self.best.write(self.job.directory)
        if test.outputs is not None and test.targets is not None:
            kept = {"outputs": test.outputs.contiguous(), "targets": test.targets.contiguous()}
            replace(self.job.directory / PREDICTIONS, save(kept))
        self.clock.lap("evaluate")
        self._time()
        return {"step": self.best.step, "train": train_, "validation": validation.values, "test": test.values}

    def write_watched(self) -> None:
        """Write what was recorded of the training, where that was asked for."""
        self.watching.close()
        self.watching.write(self.job.directory, self.names)

    def close(self) -> None:
        """Close the record."""
        self.watching.close()
        self.writer.close()
        if self.events is not None:
            self.events.close()


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


def _own(job: Job, what: str) -> Factory:
    """A function of the user's, the same as when the study began."""
    own = resolve(job.own[what], what=what)
    if own.source_hash != job.settings.own[what]["source"]:
        raise RequestError(f"the source of {own.name} changed while the study ran; run the same command again")
    return own


def _first_broken(losses: Tensor, network: nn.Module) -> int | None:
    """The first step, counted from one, with a loss, or at the end with weights, that are not finite; None if none."""
    finite = losses.isfinite()
    if not finite.all():
        return int(finite.logical_not().nonzero()[0].item()) + 1
    weights = all(parameter.isfinite().all() for parameter in network.parameters())
    return None if weights else len(losses)
