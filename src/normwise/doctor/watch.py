"""Watching a training loop of one's own."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from normwise.doctor.diagnosis import Diagnosis
from normwise.doctor.evidence import Evidence, Training
from normwise.doctor.finding import Findings
from normwise.doctor.outcome import Status, outcome
from normwise.doctor.rules import judged
from normwise.doctor.verdict import of_training
from normwise.probes.recorder import Recorder


def watch(model: nn.Module, optimizer: torch.optim.Optimizer | None = None, *, every: int = 16) -> Watch:
    """Watch a network while a loop trains it, and say why it does not learn.

        with normwise.watch(network, optimizer) as watch:
            for X, y in batches:
                loss = F.cross_entropy(network(X), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                watch.step(loss, y)
        print(watch.findings)

    It measures layers, gradients and updates at steps 1, 2, 4, 8 and each multiple of ``every``; in between it only
    notes the loss. Some hundred steps are enough. The loop trains the very same network as without it, bit for bit;
    forwards without gradients are not looked at.

    Args:
        model: the network; of one in ``DistributedDataParallel`` what is within, and process 0 alone has findings.
        optimizer: what updates it. Without one, gradients are read when ``step`` is called.
        every: the distance between measured steps, 1 or more.

    Returns:
        A context manager.

    Raises:
        InvalidArgumentError: the network has no parameters, or some that no batch has given a shape, or is compiled,
            scripted or in ``DataParallel``; ``optimizer`` is none of torch's; ``every`` is less than 1; on entering:
            the network is being watched already.
    """
    return Watch(Recorder(model, optimizer, every))


class Watch(AbstractContextManager["Watch"]):
    """What ``normwise.watch`` returns.

    Args:
        recorder: what records the training.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def __enter__(self) -> Self:
        self._recorder.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._recorder.__exit__(kind, error, trace)

    def step(self, loss: Tensor, target: Any = None) -> None:
        """Say that a step was made, once for each update.

        Args:
            loss: of the step's batch, with its graph: before or after its backward.
            target: what the loss compared the outputs with, as it was given to the loss. With it the loss is compared
                with that of the best constant prediction.

        Raises:
            InvalidArgumentError: ``loss`` is no scalar tensor, or has no graph; or this is outside of the with block.
        """
        self._recorder.step(loss, target)

    def paused(self) -> AbstractContextManager[None]:
        """See nothing of what the body does."""
        return self._recorder.paused()

    @property
    def findings(self) -> Findings:
        """What the steps so far say, the root cause first: a list that prints one on a line.

        Raises:
            InvalidArgumentError: ``step`` was never called.
        """
        return Findings(self.diagnosis.findings)

    @property
    def diagnosis(self) -> Diagnosis:
        """The findings with what they were judged by.

        Raises:
            InvalidArgumentError: ``step`` was never called.
        """
        watched = self._recorder.watched()
        training = Training(watched, outcome(watched))
        evidence = Evidence([training])
        findings = judged(evidence) if _reports() else []
        return Diagnosis(
            tuple(findings),
            evidence,
            verdict=of_training(training.outcome, findings),
            learned=training.outcome.status is Status.LEARNED,
        )

    def report(self, path: str | Path) -> Path:
        """Write the diagnosis as a page of HTML.

        Returns:
            The file.

        Raises:
            InvalidArgumentError: ``step`` was never called.
        """
        from normwise.doctor import page  # loads what draws

        path = Path(path)
        if _reports():
            page.write(self.diagnosis, path)
        return path


def _reports() -> bool:
    """Whether this is the process that speaks: the only one, or that of rank 0."""
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    return not distributed or torch.distributed.get_rank() == 0
