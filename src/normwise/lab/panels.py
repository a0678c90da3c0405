"""The figures of a comparison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from normwise.figures import Chart, activations, agreement, confusion, curves, gradients, pairs, preactivations, sweep
from normwise.figures.quantities import Name
from normwise.lab.captions import (
    ACTIVATIONS,
    AGREEMENT,
    CONFUSION,
    GRADIENTS,
    PREACTIVATIONS,
    TRAINING,
    shares_saturated,
)
from normwise.lab.results import Results
from normwise.records import RunRecord
from normwise.records.metric import LOSS
from normwise.records.study import slug

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Panel(NamedTuple):
    """One figure.

    Attributes:
        group: its section in the report.
        name: the stem of its files.
        title: the heading above it.
        caption: what to see in it; empty where its group's caption (``captions.caption``) says it.
        alt: the same in numbers.
        figure: the drawing.
        place: of the arm that it is about; None for a figure of all arms.
        chart: the same for a page that draws it itself; None where the drawing is all there is.
        drawing: the module of ``normwise.figures`` that drew it, by name; empty where that is not told.
        info: what it drew.
        narrow: the drawing for a narrow screen; None where one is enough.
    """

    group: str
    name: str
    title: str
    caption: str
    alt: str
    figure: Figure
    place: int | None = None
    chart: Chart | None = None
    drawing: str = ""
    info: Any = None
    narrow: Figure | None = None


def panels(result: Results) -> list[Panel]:
    """Every figure of a comparison, each arm at its best point."""
    return [
        *_curves(result),
        *_sweeps(result),
        *_outputs(result),
        *_preactivations(result),
        *_gradients(result),
        *_activations(result),
    ]


def _curves(result: Results) -> Iterator[Panel]:
    best = result.best_records
    if not any(run.metrics for run in best):
        return
    metric = best[0].metric
    chance = result.task.chance.value if result.task.chance else None
    if metric != LOSS:
        yield _over_training(result, TRAINING, slug(metric.name), best, "metric", chance)
    yield _over_training(result, TRAINING, "loss", best, "loss", chance)


def _over_training(
    result: Results, group: str, name: str, runs: Sequence[RunRecord], what: Name, chance: float | None = None
) -> Panel:
    return _panel(group, name, "", curves, curves.info(runs, what, [arm.name for arm in result.arms], chance))


def _sweeps(result: Results) -> Iterator[Panel]:
    """One figure for each key whose values an arm was trained with."""
    key = result.swept
    swept = [each for each in ("lr", key) if each is not None and _varies(result.records, each)]
    for each in swept:
        others = [other for other in swept if other != each]
        names = [arm.name for arm in result.arms]
        info = sweep.info([run for run in result.records if run.metrics], each, others, names)
        mean = ": mean over the seeds, and the range" if any(p.runs > 1 for a in info.arms for p in a.points) else ""
        caption = f"Best validation {info.metric.label} at each {info.name}{mean}. A ring marks each arm's best."
        caption += f" Each point at its best {' and '.join(map(sweep.name_of, others))}." if others else ""
        yield _panel(TRAINING, slug(info.name), caption, sweep, info)
    if len(swept) > 1:
        yield from _pairs(result, (swept[0], swept[1]))


def _pairs(result: Results, keys: tuple[str, str]) -> Iterator[Panel]:
    """Of each arm that was trained at several values of both keys every pair of them."""
    for arm in _arms(result):
        runs = [run for run in result.records if run.settings["arm"] == arm.name and run.metrics]
        if all(_varies(runs, key) for key in keys):
            said = "The stronger the color the better; the best is framed."
            info = pairs.info(runs, keys, arm.place)
            yield _panel(TRAINING, f"pairs-{arm.slug}", said, pairs, info, arm.place)


def _varies(records: Sequence[RunRecord], key: str) -> bool:
    tried = {(run.settings["arm"], run.settings.get(key)) for run in records}
    return len(tried) > len({arm for arm, _ in tried})


def _outputs(result: Results) -> Iterator[Panel]:
    """What was predicted, beside what was right."""
    for arm in _arms(result):
        kind = arm.records[0].settings.get("task")
        if kind in ("classification", "binary"):
            matrix = confusion.info(arm.records, _classes(result), arm.place)
            if matrix:
                yield _panel(CONFUSION, f"confusion-{arm.slug}", "", confusion, matrix, arm.place)
        elif kind == "regression":
            values = agreement.info(arm.records, arm.place)
            if values:
                yield _panel(AGREEMENT, f"predictions-{arm.slug}", "", agreement, values, arm.place)


def _classes(result: Results) -> Sequence[str]:
    return result.task.classes


def _preactivations(result: Results) -> Iterator[Panel]:
    arms = _measured(result, "preactivations")
    if len(arms) > 1:
        runs = [run for arm in arms for run in arm.records]
        yield _over_training(result, PREACTIVATIONS, "preactivations", runs, "preactivations")
        if any(shares_saturated(runs)):
            yield _over_training(result, PREACTIVATIONS, "saturated", runs, "saturated")
    infos = [preactivations.info(arm.records, place=arm.place) for arm in arms]
    for arm, info in zip(arms, _level(preactivations, infos), strict=True):
        yield _panel(PREACTIVATIONS, f"preactivations-{arm.slug}", "", preactivations, info, arm.place)


def _gradients(result: Results) -> Iterator[Panel]:
    arms = _measured(result, "gradients")
    if len(arms) > 1:
        yield _over_training(result, GRADIENTS, "gradients", [run for arm in arms for run in arm.records], "gradients")
    infos = [gradients.info(arm.records, place=arm.place) for arm in arms]
    for arm, info in zip(arms, _level(gradients, infos), strict=True):
        yield _panel(GRADIENTS, f"gradients-{arm.slug}", "", gradients, info, arm.place)


def _activations(result: Results) -> Iterator[Panel]:
    for arm in _measured(result, "activations"):
        info = activations.info(arm.records, place=arm.place)
        yield _panel(ACTIVATIONS, f"activations-{arm.slug}", "", activations, info, arm.place)


def _level(drawing: Any, infos: Sequence[Any]) -> list[Any]:
    """The same figure of several arms with the same axes for all, so that they can be compared by eye."""
    last = max((info.last for info in infos), default=0)
    return [info._replace(limits=drawing.shared_limits(infos), last=last) for info in infos]


def _panel(group: str, name: str, caption: str, drawing: Any, info: Any, place: int | None = None) -> Panel:
    chart = drawing.chart(info) if hasattr(drawing, "chart") else None
    return Panel(group, name, drawing.title(info), caption, drawing.describe(info), drawing.draw(info), place, chart)


class _Arm(NamedTuple):
    """An arm's runs at its best point; its place decides its color, and its slug is no other arm's."""

    name: str
    slug: str
    place: int
    records: list[RunRecord]


def _arms(result: Results) -> list[_Arm]:
    """The arms that have runs with a result."""
    found: list[_Arm] = []
    for place, arm in enumerate(result.arms):
        records = [run for run in result.best_records if run.settings["arm"] == arm.name]
        name = slug(arm.name)
        if name in {other.slug for other in found}:
            name += f"-{place + 1}"
        if records:
            found.append(_Arm(arm.name, name, place, records))
    return found


def _measured(result: Results, quantity: str) -> list[_Arm]:
    """The arms that have the quantity: a network may have no nonlinearity, a run no evaluation."""
    found = [
        arm._replace(records=[run for run in arm.records if run.metrics and run.metrics[0].get(quantity)])
        for arm in _arms(result)
    ]
    return [arm for arm in found if arm.records]
