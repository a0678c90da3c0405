"""A comparison as a table."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from normwise.lab.results import Results
from normwise.lab.summary import ArmSummary, RunSummary
from normwise.records.metric import Metric

Column = tuple[str, Callable[[ArmSummary], str]]


def table(result: Results, *, whole: bool = False) -> tuple[list[str], list[list[str]]]:
    """The table of a comparison: its columns, and a row per arm.

    Args:
        result: the comparison.
        whole: whether what the choice was made by is there too: the validation metric and the best step.
    """
    columns: list[Column] = [
        ("arm", lambda arm: arm.name),
        *_points(result),
        *_tests(result),
        *(_choices(result) if whole else []),
        *_targets(result),
        ("gap", lambda arm: _change(arm.mean(_gap(result.metric)), result.metric)),
        ("gradient", lambda arm: _shown(arm.mean(lambda run: run.gradient_ratio), "{:.2g}")),
        *_stopped(result),
        ("seconds", lambda arm: _shown(arm.mean(lambda run: run.seconds), "{:.1f}")),
        *_ended(result),
    ]
    return [name for name, _ in columns], [[shown(arm) for _, shown in columns] for arm in result.arms]


def _points(result: Results) -> list[Column]:
    """The learning rate where arms differ in it, and the value of the swept key."""
    columns: list[Column] = []
    if len({point.lr for points in result.points.values() for point in points}) > 1:
        columns.append(("lr", lambda arm: f"{arm.lr:g}"))
    if result.swept:
        columns.append((result.swept, lambda arm: str(arm.point.value)))
    return columns


def _choices(result: Results) -> list[Column]:
    """The mean validation metric at the best step, and the median of that step."""
    metric = result.metric
    unit = f", {metric.unit}" if metric.unit else ""

    def step(arm: ArmSummary) -> str:
        steps = [run.best_step for run in arm.counted if run.best_step is not None]
        return f"{median(steps):,.0f}" if steps else "–"

    return [
        (
            f"validation {metric.label}{unit}",
            lambda arm: "–" if arm.validation_mean is None else _number(arm.validation_mean, metric),
        ),
        ("best step", step),
    ]


def _tests(result: Results) -> list[Column]:
    """The mean over the seeds, and beside it what their outputs together score."""
    metric = result.metric
    unit = f", {metric.unit}" if metric.unit else ""
    columns: list[Column] = [(f"test {metric.label}{unit}", _test)]
    if any(result.ensembles.values()):
        columns.append((f"ensemble{unit}", lambda arm: _ensemble(result, arm)))
    return columns


def _ensemble(result: Results, arm: ArmSummary) -> str:
    found = result.ensembles[arm.name]
    return "–" if found is None else _number(found.value, result.metric)


def _targets(result: Results) -> list[Column]:
    """How long it took to the target, where there is one."""
    if result.target is None:
        return []
    return [
        ("steps to target", lambda arm: _shown(arm.steps_to_target, "{:,.0f}")),
        ("never", lambda arm: f"{arm.never} of {len(arm.counted)}"),
    ]


def _stopped(result: Results) -> list[Column]:
    """How many steps finished runs made, where some stopped before those they were given."""

    def finished(arm: ArmSummary) -> list[int]:
        return [run.steps for run in arm.runs if run.status == "finished"]

    if all(steps == arm.settings["steps"] for arm in result.arms for steps in finished(arm)):
        return []
    return [("steps", lambda arm: f"{median(finished(arm)):,.0f}" if finished(arm) else "–")]


def _ended(result: Results) -> list[Column]:
    """Runs that diverged or failed, where there are any."""
    ended = sorted({run.status for arm in result.arms for run in arm.runs} - {"finished"})
    return [(status, _counter(status)) for status in ended]


def _counter(status: str) -> Callable[[ArmSummary], str]:
    def count(arm: ArmSummary) -> str:
        steps = [f"{run.steps:,}" for run in arm.runs if run.status == status]
        return f"{len(steps)} of {len(arm.runs)}" + (f" (step {', '.join(steps)})" if steps else "")

    return count


def _gap(metric: Metric) -> Callable[[RunSummary], float | None]:
    """By how much the training metric is better than that on test data."""

    def gap(run: RunSummary) -> float | None:
        return None if run.train is None or run.test is None else metric.score(run.train) - metric.score(run.test)

    return gap


def _test(arm: ArmSummary) -> str:
    mean, std = arm.test_mean, arm.test_std
    if mean is None:
        return "–"
    return _number(mean, arm.metric) + ("" if std is None else f" ± {_number(std, arm.metric, digits=2)}")


def _number(value: float, metric: Metric, digits: int = 3) -> str:
    """A value without its unit, which is in the column's head."""
    return f"{100 * value:.1f}" if metric.percent else f"{value:.{digits}g}"


def _change(value: float | None, metric: Metric) -> str:
    return _shown(value, "{:+.1f}", 100) if metric.percent else _shown(value, "{:+.2g}")


def _shown(value: float | None, form: str, scale: float = 1) -> str:
    return "–" if value is None else form.format(scale * value)
