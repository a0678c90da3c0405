"""Running what was planned: what is to be known beforehand, and training what has not ended yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from normwise.lab import runner
from normwise.lab.data import NAMES, Data
from normwise.lab.data.loader_data import LoaderData
from normwise.lab.plan import Plan, PlannedRun
from normwise.lab.status import OnProgress, Status
from normwise.records import RunRecord


def notes(planned: Plan) -> list[str]:
    """What is to be known about a study: its task, its data, and every arm's network on a few examples.

    Raises:
        RequestError: an arm's network cannot be built, or does not fit the data or the task.
    """
    return [*task_notes(planned), *planned.data.notes, *check(planned)]


def task_notes(planned: Plan) -> list[str]:
    """What was taken to be learned, where nobody said it and it is not what these data are known for."""
    task = planned.task
    if not task.why or (planned.data.name in NAMES and "loss" not in planned.study["options"]):
        return []
    said = f"Task: {task.kind}, because {task.why}. Loss: {task.loss}. Metric: {task.metric.label}."
    by_loss = "loss" in planned.runs[0].job.own and "metric" not in planned.study["options"]
    return [said + (" --metric loss judges by your loss." if by_loss and task.metric.name != "loss" else "")]


def check(planned: Plan) -> list[str]:
    """Try one network of every arm on a few examples; what is to be known about them."""
    from normwise.lab.check import check  # torch is loaded here, while the workers' process loads it too

    runs = {run.arm: run for run in planned.runs}.values()
    return [note for run in runs for note in check(run.arm, run.job.settings, run.job.own, planned.data, planned.task)]


def train(runs: Sequence[PlannedRun], data: Data | LoaderData, workers: int, on_progress: OnProgress) -> None:
    """Train every run that has not ended yet; runs with the same settings are one run.

    Raises:
        JobError: when records cannot be written; the other runs are stopped and can be continued.
    """
    every = _once(runs)
    left = [run for run in every if not ended(run.record())]
    steps = [run.job.settings.steps for run in left]
    made, over = [0] * len(left), [False] * len(left)
    before = sum(run.job.settings.steps for run in every) - sum(steps)

    def tell(number: int, step: int | None) -> None:
        made[number], over[number] = (steps[number], True) if step is None else (step, False)
        done = len(every) - len(left) + sum(over)
        on_progress(Status(done, len(every), before + sum(made), before + sum(steps)))

    runner.run_all([run.job for run in left], data, workers=workers, on_progress=tell)


def ended(record: RunRecord) -> bool:
    """Whether a run has a result; one that failed is tried again."""
    return record.done is not None and record.done["status"] != "failed"


def _once(runs: Iterable[PlannedRun]) -> list[PlannedRun]:
    """The first run of every directory."""
    found: dict[object, PlannedRun] = {}
    for run in runs:
        found.setdefault(run.job.directory, run)
    return list(found.values())
