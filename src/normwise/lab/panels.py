"""The figures of a comparison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from normwise.figures import activations, curves, gradients, learning_rate, preactivations
from normwise.lab.results import Results
from normwise.records import RunRecord
from normwise.records.study import slug

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVES: dict[Literal["accuracy", "loss"], str] = {
    "accuracy": "Test accuracy solid, training accuracy dashed; mean over the seeds, and the range from worst to best.",
    "loss": "Cross-entropy on test data (solid) and training data (dashed), on a logarithmic axis.",
}
RATES = "Best validation accuracy at each learning rate: mean over the seeds, and the range from worst to best."
PREACTIVATIONS = (
    "What the last hidden layer's nonlinearity receives: 15th, 50th and 85th percentile over units and examples. "
    "Figure 1 (b, c) of Ioffe and Szegedy 2015 shows the same of a single unit."
)
GRADIENTS = (
    "Norm of the loss gradient with respect to each layer's weights. Layers far apart learn at different speeds."
)
ACTIVATIONS = "What each hidden layer puts out before the first and after the last step, first seed."


class Panel(NamedTuple):
    """One figure.

    Attributes:
        group: its section in the report.
        name: the stem of its files.
        title: the heading above it.
        caption: what to see in it.
        alt: the same in numbers.
        figure: the drawing.
    """

    group: str
    name: str
    title: str
    caption: str
    alt: str
    figure: Figure


def panels(result: Results) -> list[Panel]:
    """Every figure of a comparison, each arm at its best learning rate."""
    return [*_curves(result), *_rates(result), *_preactivations(result), *_gradients(result), *_activations(result)]


def _curves(result: Results) -> Iterator[Panel]:
    for quantity, caption in CURVES.items():
        info = curves.info(result.best_records, quantity)
        yield _panel("Training", quantity, caption, curves, info)


def _rates(result: Results) -> Iterator[Panel]:
    if any(len(rates) > 1 for rates in result.rates.values()):
        yield _panel("Training", "learning-rate", RATES, learning_rate, learning_rate.info(result.records))


def _preactivations(result: Results) -> Iterator[Panel]:
    arms = _measured(result, "preactivations")
    infos = [preactivations.info(arm.records, place=arm.place) for arm in arms]
    for arm, info in zip(arms, _level(preactivations, infos), strict=True):
        yield _panel("Pre-activations", f"preactivations-{arm.slug}", PREACTIVATIONS, preactivations, info)


def _gradients(result: Results) -> Iterator[Panel]:
    arms = _measured(result, "gradients")
    infos = [gradients.info(arm.records) for arm in arms]
    for arm, info in zip(arms, _level(gradients, infos), strict=True):
        yield _panel("Gradients", f"gradients-{arm.slug}", GRADIENTS, gradients, info)


def _activations(result: Results) -> Iterator[Panel]:
    for arm in _measured(result, "activations"):
        info = activations.info(arm.records, place=arm.place)
        yield _panel("Activations", f"activations-{arm.slug}", ACTIVATIONS, activations, info)


def _level(drawing: Any, infos: Sequence[Any]) -> list[Any]:
    """The same figure of several arms with one y axis for all, so that they can be compared by eye."""
    return [info._replace(limits=drawing.shared_limits(infos)) for info in infos]


def _panel(group: str, name: str, caption: str, drawing: Any, info: Any) -> Panel:
    return Panel(group, name, drawing.title(info), caption, drawing.describe(info), drawing.draw(info))


class _Measured(NamedTuple):
    """An arm's runs that measured something; its place decides its colour, and its slug is no other arm's."""

    name: str
    slug: str
    place: int
    records: list[RunRecord]


def _measured(result: Results, quantity: str) -> list[_Measured]:
    """The arms that have the quantity: a run may have failed at once, a network may have no nonlinearity."""
    found: list[_Measured] = []
    for place, arm in enumerate(result.arms):
        records = [run for run in result.of(arm.name, arm.lr) if run.metrics and run.metrics[0][quantity]]
        name = slug(arm.name)
        if name in {other.slug for other in found}:
            name += f"-{place + 1}"
        if records:
            found.append(_Measured(arm.name, name, place, records))
    return found
