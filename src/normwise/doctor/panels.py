"""The figures of a diagnosis: what was measured of its trainings, of the trained network and of the treatments."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from normwise import figures
from normwise.doctor.evidence import Training
from normwise.doctor.examination import Examination, ExaminedNorm, Measured
from normwise.doctor.gains import NOTHING
from normwise.doctor.treatment import Treatment
from normwise.figures import dots, heatmap, scales, traces
from normwise.figures.quantities import LOSSES
from normwise.probes.watched import Watched
from normwise.records.metric import LOSS, Metric
from normwise.report import PageFigure

Rows = dict[str, dict[int, float | None]]

GRADIENT = heatmap.Quantity("Gradient by layer", "gradient norm per element")
DEVIATION = heatmap.Quantity("Pre-activations by layer", "standard deviation")
SATURATED = heatmap.Quantity("Saturated units by layer", "share of units", percent=True)
DEAD = heatmap.Quantity("Dead units by layer", "share of units", percent=True)
USUAL = (1e-5, 1e-1)
UPDATE = heatmap.Quantity("Update over weight by layer", "‖ΔW‖ / ‖W‖", usual=USUAL)

CAPTIONS = {
    GRADIENT: "Norm of the gradient with respect to each layer's weight, over the square root of its size. Layers "
    "whose colors are far apart learn at very different speeds.",
    UPDATE: "How far one step moves the weights, as a share of their own norm. The line above the color bar marks the "
    f"usual range, {scales.power_of_ten(USUAL[0])} to {scales.power_of_ten(USUAL[1])}. A step of exactly 0 was too "
    "small for the precision of the weights, or there was none.",
    DEVIATION: "Deviation of what each activation receives, over units, examples and positions.",
    SATURATED: "Share of units for which the activation is almost flat on more than 95 % of the examples.",
    DEAD: "Share of units that were 0, with no gradient, for every example of three recorded batches in a row.",
}
BESIDE = 4.1  # inches, of a figure beside a table
EXAMINED = (
    "Each normalization with the moments of the batch as in training, with the stored ones as in evaluation, and with "
    "moments estimated anew from other batches."
)
NORMS = 40  # the most rows of a figure of normalizations


class Reading(NamedTuple):
    """How values of a metric are read.

    Attributes:
        metric: what runs are judged by.
        chance: what guessing scores; None where that is not known.
    """

    metric: Metric
    chance: float | None = None


def evidence(trainings: Sequence[Training], reading: Reading) -> list[PageFigure]:
    """What was measured of the trainings: the first one by layer, the losses of all."""
    if not trainings:
        return []
    return [*_by_layer(trainings[0].watched), *_losses(trainings), *_metric(trainings, reading)]


def _by_layer(watched: Watched) -> Iterator[PageFigure]:
    weights = [(seen.step, seen.weights) for seen in watched.observations]
    units = [(seen.step, seen.units) for seen in watched.observations]
    shown: list[tuple[str, heatmap.Quantity, Rows]] = [
        ("gradient", GRADIENT, _rows(weights, lambda at: at.gradient_per_element)),
        ("update", UPDATE, _rows(weights, lambda at: at.update_over_weight)),
        ("pre-activations", DEVIATION, _rows(units, lambda at: at.std)),
        *(
            (name, quantity, rows)
            for name, quantity, rows in (
                ("saturated", SATURATED, _rows(units, lambda at: at.saturated if math.isfinite(at.std) else None)),
                ("dead", DEAD, _rows(units, lambda at: at.dead if math.isfinite(at.std) else None)),
            )
            if any(value for row in rows.values() for value in row.values())
        ),
    ]
    for name, quantity, rows in shown:
        info = heatmap.info(rows, quantity)
        if info is not None:
            yield _figure(f"{name}-by-layer", CAPTIONS[quantity], heatmap, info)


def _rows(seen: Iterable[tuple[int, Iterable[Any]]], read: Callable[[Any], float | None]) -> Rows:
    rows: Rows = {}
    for step, layers in seen:
        for at in layers:
            rows.setdefault(at.layer, {})[step] = read(at)
    return rows


def _losses(trainings: Sequence[Training]) -> Iterator[PageFigure]:
    lines = [
        traces.trace(name, place, dict(enumerate(training.watched.losses, start=1)))
        for place, (name, training) in enumerate(_named(trainings))
    ]
    if not any(line.steps for line in lines):
        return
    watched = trainings[0].watched
    known = watched.constant is not None and math.isfinite(watched.constant)
    level = traces.Level(watched.constant or 0.0, "best constant") if known else None
    caption = f"Loss of each batch{', averaged over neighbors' * (lines[0].steps[0] > 1)}."
    if level:
        caption += " Below the dotted line, the loss of the best constant prediction, a network has learned something."
    info = traces.loss_info(lines, LOSSES.get(watched.loss.kind, watched.loss.kind.replace("_", "-")), level)
    yield _figure("loss", caption, traces, info)


def _metric(trainings: Sequence[Training], reading: Reading) -> Iterator[PageFigure]:
    lines = []
    for place, (name, training) in enumerate(_named(trainings)):
        evaluations = training.outcome.evaluations
        for part in ("validation", "train"):
            points = {at.step: getattr(at, part) for at in evaluations}
            if any(value is not None for value in points.values()):
                lines.append(traces.trace(name, place, points, dashed=part == "train"))
    if not lines or reading.metric == LOSS:
        return
    level = None if reading.chance is None else traces.Level(reading.chance, "chance")
    info = traces.metric_info(lines, reading.metric, level)
    yield _figure("metric", f"{reading.metric.heading} in evaluation mode.", traces, info)


def _named(trainings: Sequence[Training]) -> Iterator[tuple[str, Training]]:
    for place, training in enumerate(trainings):
        seed = training.seed if training.seed is not None else place if len(trainings) > 1 else None
        yield "training" if seed is None else f"seed {seed}", training


def examined(examination: Examination, reading: Reading) -> list[PageFigure]:
    """What was measured of a trained network: loss and metric in three ways, and the gap of each normalization."""
    ways = {"batch moments": examination.batch, "as stored": examination.stored, "re-estimated": examination.estimated}
    there = {name: found for name, found in ways.items() if found is not None}
    found = [_ways(there, lambda at: at.metric, reading)] if reading.metric != LOSS else []
    found.append(_ways(there, lambda at: at.loss, Reading(LOSS)))
    return [*(figure for figure in found if figure), *_gaps(examination.norms)]


def _ways(
    ways: Mapping[str, Measured], read: Callable[[Measured], float | None], reading: Reading
) -> PageFigure | None:
    metric, values = reading.metric, {name: read(found) for name, found in ways.items()}
    if all(value is None for value in values.values()):
        return None
    rows = [
        dots.Row(
            name, math.nan if value is None else value, note="not finite" if value is None else metric.write(value)
        )
        for name, value in values.items()
    ]
    levels = [] if reading.chance is None else [dots.Level(reading.chance, "chance", dotted=True)]
    title = f"{metric.heading} by the moments that normalize"
    info = dots.info(title, metric.label, rows, levels, percent=metric.percent, zero=not metric.higher_is_better)
    return _figure(f"{'loss' if metric == LOSS else 'metric'}-by-moments", "", dots, info)


def _gaps(norms: Sequence[ExaminedNorm]) -> Iterator[PageFigure]:
    gaps = [norm.gap for norm in norms if norm.gap is not None]
    if not gaps:
        return
    least = sorted(gaps, reverse=True)[:NORMS][-1]
    shown = [norm for norm in norms if norm.gap is not None and norm.gap >= least][:NORMS]
    rows = [
        dots.Row(norm.layer, norm.gap or 0.0, singles=(norm.mean_gap,) if norm.mean_gap is not None else ())
        for norm in shown
    ]
    info = dots.info(
        "Stored means against those of the data", "distance in standard deviations of the data", rows, zero=True,
        small="mean over channels", large="farthest channel",
    )  # fmt: skip
    caption = "How far the stored mean of a channel is from that of the data."
    caption += f" The {len(shown)} of {len(norms)} normalizations that are farthest off." * (len(shown) < len(gaps))
    yield _figure("gap-by-normalization", caption, dots, info)


def treated(treatments: Sequence[Treatment], reading: Reading) -> list[PageFigure]:
    """What each treatment scored, against nothing."""
    rows = [
        dots.Row(
            each.name,
            math.nan if each.mean is None else each.mean,
            math.nan if each.margin is None else each.margin,
            tuple(run.value for run in each.runs if run.value is not None),
            _kind(each),
        )
        for each in treatments
        if each.mean is not None
    ]
    if not rows:
        return []
    metric = reading.metric
    levels = [dots.Level(each.mean, NOTHING) for each in treatments if each.name == NOTHING and each.mean is not None]
    if reading.chance is not None:
        levels.append(dots.Level(reading.chance, "chance", dotted=True))
    title = f"Validation {metric.label} by treatment"
    label = f"{metric.label}, {'higher' if metric.higher_is_better else 'lower'} is better"
    info = dots.info(title, label, rows, levels, percent=metric.percent, small="one seed")
    caption = "Mean over seeds with the 95 % interval of its difference from nothing, widened for the number of "
    caption += "treatments."
    drawn = figures.svg(dots.draw(info, BESIDE), "treatments")
    return [PageFigure("treatments", dots.title(info), dots.describe(info), drawn, caption)]


def _kind(treatment: Treatment) -> dots.Kind:
    if treatment.name == NOTHING:
        return "plain"
    if treatment.helped:
        return "better"
    worse = treatment.gain is not None and treatment.margin is not None and treatment.gain < -treatment.margin
    return "worse" if worse else "same"


def _figure(name: str, caption: str, drawing: Any, info: Any) -> PageFigure:
    drawn = figures.svg(drawing.draw(info), name)
    grid = heatmap.grid(info) if drawing is heatmap else None
    return PageFigure(name, drawing.title(info), drawing.describe(info), drawn, caption, grid=grid)
