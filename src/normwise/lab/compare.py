"""Training a network in several ways, side by side, and saying what each did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from normwise.lab.options import Source
from normwise.lab.status import OnProgress, Status

if TYPE_CHECKING:  # the command line needs this package's tables alone, at once
    from normwise.lab.comparison import Comparison
    from normwise.lab.plan import Plan
    from normwise.records import RunRecord


def compare(
    arms: str | Sequence[str] = ("plain", "bn"),
    data: Source = "digits",
    *,
    on_progress: OnProgress = lambda status: None,
    **options: Any,
) -> Comparison:
    """Train a network once for every arm, learning rate and seed, and compare what came of it.

    Each run trains in a process of its own with one compute thread; factories that are given as functions instead of
    names train in this process, one run after another. Runs that have ended in the same directory are not trained
    again, and one that was interrupted goes on from its last checkpoint, with the same numbers as if it had not been.

    Args:
        arms: the variants, each ``[name:] key=value, …``; see ``normwise.lab.arms``.
        data: the name of a data set, a table (``.csv`` or ``.parquet``, with ``target=``), or a ``make_data`` function
            or its name; see ``normwise.lab.data.load``.
        on_progress: told how far the comparison has come.
        **options: those of ``normwise compare``, under the same names, and every key of an arm; see
            ``normwise.lab.options.GENERAL`` and ``normwise.lab.settings.Keys``.

    Returns:
        The comparison; its report and figures are written to its directory, ``runs/compare-<data>-<model>`` and
        what else was asked, unless ``out`` says otherwise.

    Raises:
        RequestError: for a wrong request; nothing was started.
        JobError: when records cannot be written.

    Example:
        >>> result = compare(arms=["plain", "bn"], steps=2000)  # doctest: +SKIP
        >>> print(result.verdict)  # doctest: +SKIP
    """
    from normwise.lab import runner

    runner.prepare()
    from normwise.lab import events
    from normwise.lab.comparison import Comparison
    from normwise.lab.plan import plan
    from normwise.records.files import write_json
    from normwise.records.study import STUDY, disk_error, opened

    if options.get("tensorboard"):
        events.require()
    planned = plan((arms,) if isinstance(arms, str) else arms, data, options)
    notes = [*_task_notes(planned), *planned.data.notes, *_check(planned)]
    planned = planned._replace(study={**planned.study, "notes": notes})
    with opened(planned.out, planned.study, planned.question):
        try:
            _train(planned, on_progress)
            if options.get("tensorboard"):
                for run in planned.runs:
                    events.complete(run.record())
            result = Comparison(planned)
            result.write()
            write_json(planned.out / STUDY, {**planned.study, "verdict": result.verdict})
        except OSError as error:
            raise disk_error(f"{error.filename or planned.out}: {error.strerror or error}") from error
    return result


def _task_notes(planned: Plan) -> list[str]:
    """What was taken to be learned, where nobody said it and it is not what these data are known for."""
    from normwise.lab.data import NAMES

    task = planned.task
    if not task.why or (planned.data.name in NAMES and "loss" not in planned.study["options"]):
        return []
    said = f"Task: {task.kind}, because {task.why}. Loss: {task.loss}. Metric: {task.metric.label}."
    by_loss = "loss" in planned.runs[0].job.own and "metric" not in planned.study["options"]
    return [said + (" --metric loss judges by your loss." if by_loss and task.metric.name != "loss" else "")]


def _check(planned: Plan) -> list[str]:
    """Try one network of every arm on a few examples; what is to be known about them."""
    from normwise.lab.check import check  # torch is loaded here, while the workers' process loads it too

    runs = {run.arm: run for run in planned.runs}.values()
    return [note for run in runs for note in check(run.arm, run.job.settings, run.job.own, planned.data, planned.task)]


def _train(planned: Plan, on_progress: OnProgress) -> None:
    """Train every run that has not ended yet."""
    from normwise.lab import runner
    from normwise.lab.progress import ProgressReport

    report = ProgressReport(planned)
    left = [run for run in planned.runs if not _ended(run.record())]
    steps = [run.job.settings.steps for run in left]
    made, ended = [0] * len(left), [False] * len(left)
    before = sum(run.job.settings.steps for run in planned.runs) - sum(steps)

    def tell(number: int, step: int | None) -> None:
        made[number], ended[number] = (steps[number], True) if step is None else (step, False)
        done = len(planned.runs) - len(left) + sum(ended)
        status = Status(done, len(planned.runs), before + sum(made), before + sum(steps))
        report(status)
        on_progress(status)

    runner.run_all([run.job for run in left], planned.data, workers=planned.workers, on_progress=tell)


def _ended(record: RunRecord) -> bool:
    """Whether a run has a result; one that failed is tried again."""
    return record.done is not None and record.done["status"] != "failed"
