"""The doctor in a training of Lightning: ``Trainer(callbacks=[DoctorCallback()])``."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from normwise.doctor.diagnosis import Diagnosis
from normwise.doctor.finding import Finding
from normwise.doctor.watch import Watch
from normwise.errors import InvalidArgumentError
from normwise.probes.recorder import Recorder

PACKAGES = ("lightning.pytorch", "pytorch_lightning")
"""Where Lightning may be, under its new and its old name."""


def _callback_class() -> Any:
    missing: ImportError | None = None
    for package in PACKAGES:
        try:
            return importlib.import_module(package).Callback
        except ImportError as error:
            missing = missing or error
    raise ImportError(f"normwise.integrations.lightning: {missing}; pip install lightning") from missing


if TYPE_CHECKING:
    _Callback = object
else:
    _Callback = _callback_class()


def target_of(batch: Any) -> Any:
    """What a batch's outputs are compared with, where it is a pair of inputs and targets; else None."""
    return batch[1] if isinstance(batch, (tuple, list)) and len(batch) == 2 else None


class DoctorCallback(_Callback):
    """Watches a network while Lightning trains it, and says why it does not learn.

        doctor = DoctorCallback(report="doctor.html")
        Trainer(max_epochs=2, callbacks=[doctor]).fit(network, loader)
        for finding in doctor.findings:
            print(finding)

    As ``normwise.watch`` does it: a step is an update by the optimizer, and the network is trained as without it. With
    several optimizers, gradients and updates are read between steps. Of several processes, the first has findings.

    Args:
        every: the distance between measured steps, 1 or more.
        target: from a batch to what the loss compares the outputs with; by default the second of a pair.
        report: a file that the diagnosis is written to, as HTML, when the training ends; None writes none.

    Raises:
        InvalidArgumentError: when the training begins: the network is compiled, or has no parameters.
    """

    def __init__(
        self, *, every: int = 16, target: Callable[[Any], Any] = target_of, report: str | Path | None = None
    ) -> None:
        super().__init__()
        self._every, self._target, self._report = every, target, report
        self._recorder: Recorder | None = None
        self._watch: Watch | None = None
        self._entered = False
        self._loss: Tensor | None = None
        self._updates = 0

    @property
    def findings(self) -> list[Finding]:
        """What the steps so far say, the root cause first."""
        return self._watching.findings

    @property
    def diagnosis(self) -> Diagnosis:
        """The findings with what they were judged by."""
        return self._watching.diagnosis

    def report(self, path: str | Path) -> Path:
        """Write the diagnosis as a page of HTML, and return its path."""
        return self._watching.report(path)

    @property
    def _watching(self) -> Watch:
        if self._watch is None:
            raise InvalidArgumentError("nothing was trained yet: give this callback to a Trainer, and call its fit")
        return self._watch

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin to watch."""
        optimizer = trainer.optimizers[0] if len(trainer.optimizers) == 1 else None
        self._recorder = Recorder(pl_module, optimizer, self._every)
        self._watch = Watch(self._recorder)
        self._watch.__enter__()
        self._entered, self._updates = True, trainer.global_step

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """A training step begins, which may call parts of the module alone."""
        if self._recorder is not None:
            self._recorder.begin((batch,), {})

    def on_before_backward(self, trainer: Any, pl_module: Any, loss: Tensor) -> None:
        """The forward is over."""
        if self._recorder is not None:
            self._recorder.end()
        self._loss = loss

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """A batch is over; a step is, where the optimizer made one."""
        if self._recorder is None or self._loss is None or trainer.global_step == self._updates:
            return
        self._updates = trainer.global_step
        self._recorder.end()
        self._recorder.step(self._loss, self._target(batch), scale=_scale(trainer))
        self._loss = None

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Watch no longer, and write the report."""
        self._leave()
        if self._report is not None and self._updates:
            self.report(self._report)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Watch no longer."""
        self._leave()

    def _leave(self) -> None:
        self._loss = None
        if self._entered and self._watch is not None:
            self._entered = False
            self._watch.__exit__(None, None, None)


def _scale(trainer: Any) -> float:
    """What Lightning multiplied the loss by before its backward."""
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    factor = 1.0 if scaler is None else float(scaler.get_scale())
    manual = not trainer.lightning_module.automatic_optimization
    return factor if manual else factor / trainer.accumulate_grad_batches
