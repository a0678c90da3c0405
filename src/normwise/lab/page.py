"""A comparison as a table, as figures and as a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from normwise import figures as drawings
from normwise.lab.summary import ArmSummary
from normwise.records import RunRecord
from normwise.records.study import slug
from normwise.report import Page, PageFigure, Section, Table
from normwise.report import write as write_page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from normwise.lab.compare import Comparison


class Panel(NamedTuple):
    """One figure: its section, the name of its files, its title, what to see in it, the same in numbers, and the drawing."""

    group: str
    name: str
    title: str
    caption: str
    alt: str
    figure: Figure


def panels(result: Comparison) -> list[Panel]:
    """Every figure of a comparison, each arm at its best learning rate."""
    return [*_curves(result), *_rates(result), *_preactivations(result), *_gradients(result), *_activations(result)]


def _curves(result: Comparison) -> Iterator[Panel]:
    captions: dict[Literal["accuracy", "loss"], str] = {
        "accuracy": "Test accuracy solid, training accuracy dashed; mean over the seeds, with the range from worst to best.",
        "loss": "Cross-entropy on test (solid) and training data (dashed), on a logarithmic axis.",
    }
    records = [record for record in result.best_records if record.metrics]
    for quantity, caption in captions.items() if records else ():
        info = drawings.curves.info(records, quantity)
        yield _panel("Training", drawings.curves, info, quantity, quantity.capitalize(), caption)


def _rates(result: Comparison) -> Iterator[Panel]:
    if any(len(rates) > 1 for rates in result.rates.values()):
        info = drawings.learning_rate.info([record for record in result.records if record.metrics])
        caption = "Best validation accuracy with each learning rate: mean over the seeds, with the range from worst to best."
        yield _panel("Training", drawings.learning_rate, info, "learning-rate", "Accuracy against learning rate", caption)


def _preactivations(result: Comparison) -> Iterator[Panel]:
    arms = _measured(result, "preactivations")
    infos = [drawings.preactivations.info(arm.records, place=arm.place) for arm in arms]
    for arm, info in zip(arms, infos, strict=True):
        shared = info._replace(limits=drawings.preactivations.shared_limits(infos))
        caption = (
            "What the last hidden layer's nonlinearity receives, over training: 15th, 50th and 85th percentile over units and "
            "examples, as in Figure 1 (b, c) of Ioffe and Szegedy 2015."
        )
        yield _panel("Inside the network", drawings.preactivations, shared, f"preactivations-{arm.slug}", f"Pre-activations: {arm.name}", caption)


def _gradients(result: Comparison) -> Iterator[Panel]:
    arms = _measured(result, "gradients")
    infos = [drawings.gradients.info(arm.records) for arm in arms]
    for arm, info in zip(arms, infos, strict=True):
        shared = info._replace(limits=drawings.gradients.shared_limits(infos))
        caption = "Norm of the loss gradient with respect to each layer's weights. Layers far apart learn at different speeds."
        yield _panel("Inside the network", drawings.gradients, shared, f"gradients-{arm.slug}", f"Gradients by layer: {arm.name}", caption)


def _activations(result: Comparison) -> Iterator[Panel]:
    for arm in _measured(result, "activations"):
        info = drawings.activations.info(arm.records, place=arm.place)
        caption = "Outputs of each hidden layer before the first and after the last step, first seed."
        yield _panel("Inside the network", drawings.activations, info, f"activations-{arm.slug}", f"Activations: {arm.name}", caption)


class _Measured(NamedTuple):
    """An arm's runs that measured something; its place among the arms decides its colour, its slug is no other arm's."""

    name: str
    slug: str
    place: int
    records: list[RunRecord]


def _measured(result: Comparison, quantity: str) -> list[_Measured]:
    """The arms with a measurement of the quantity: a run may have failed at once, a network may have no nonlinearity."""
    found: list[_Measured] = []
    for place, arm in enumerate(result.arms):
        records = [run for run in result.of(arm.name, arm.lr) if run.metrics and run.metrics[0][quantity]]
        taken = {other.slug for other in found}
        name = slug(arm.name) if slug(arm.name) not in taken else f"{slug(arm.name)}-{place + 1}"
        if records:
            found.append(_Measured(arm.name, name, place, records))
    return found


def _panel(group: str, module: Any, info: Any, name: str, title: str, caption: str) -> Panel:
    return Panel(group, name, title, caption, module.describe(info), module.draw(info))


Column = tuple[str, Callable[[ArmSummary], str]]


def table(result: Comparison) -> tuple[list[str], list[list[str]]]:
    """The table of a comparison: its columns, and a row per arm."""
    columns: list[Column] = [
        ("arm", lambda arm: arm.name),
        ("lr", lambda arm: f"{arm.lr:g}"),
        ("test, %", _accuracy),
        ("steps to target", _steps),
        ("never", lambda arm: f"{arm.never} of {len(arm.finished)}"),
        ("gap", lambda arm: _shown(arm.mean(_gap), "{:+.1f}", 100)),
        ("gradient", lambda arm: _shown(arm.mean(lambda run: run.gradient_ratio), "{:.2g}")),
        ("seconds", lambda arm: _shown(arm.mean(lambda run: run.seconds), "{:.1f}")),
    ]
    ended = sorted({run.status for arm in result.arms for run in arm.runs} - {"finished"})
    columns += [(status, _counter(status)) for status in ended]
    return [name for name, _ in columns], [[shown(arm) for _, shown in columns] for arm in result.arms]


def _counter(status: str) -> Callable[[ArmSummary], str]:
    def count(arm: ArmSummary) -> str:
        steps = [f"{run.steps:,}" for run in arm.runs if run.status == status]
        return f"{len(steps)} of {len(arm.runs)}" + (f" (step {', '.join(steps)})" if steps else "")

    return count


def _gap(run: Any) -> float | None:
    return None if run.train is None or run.test is None else run.train - run.test


def _accuracy(arm: ArmSummary) -> str:
    spread = "" if arm.test_std is None else f" ± {100 * arm.test_std:.1f}"
    return _shown(arm.test_mean, "{:.1f}", 100) + spread


def _steps(arm: ArmSummary) -> str:
    return _shown(arm.steps_to_target, "{:,.0f}")


def _shown(value: float | None, form: str, scale: float = 1) -> str:
    return "–" if value is None else form.format(scale * value)


def write(result: Comparison) -> None:
    """Write ``report.html`` and ``figures/`` into the study's directory."""
    drawn = panels(result)
    folder = result.directory / "figures"
    folder.mkdir(exist_ok=True)
    for panel in drawn:
        drawings.save(panel.figure, folder, panel.name, panel.alt)
    write_page(page(result, drawn), result.report)


def page(result: Comparison, drawn: Sequence[Panel]) -> Page:
    """The report as plain data."""
    study = result.study
    columns, rows = table(result)
    return Page(
        title=f"{' against '.join(arm.name for arm in result.arms)} on {study['data']}",
        verdict=result.verdict,
        subtitle=_subtitle(result),
        notes=_notes(result),
        tables=[Table("Each arm at its best learning rate, mean ± standard deviation over the seeds", columns, rows)],
        figures=[PageFigure(p.name, p.title, p.caption, p.alt, drawings.svg(p.figure, p.name), p.group) for p in drawn],
        facts=[
            Section("Settings", [("data", study["data"]), ("network", study["model"]), *_settings(result)]),
            Section("Versions", list(study["versions"].items())),
            Section("Machine", list(study["machine"].items())),
        ],
        command=study["command"],
    )


def _subtitle(result: Comparison) -> str:
    runs = len(result.arms[0].runs)
    steps = sorted({arm.settings["steps"] for arm in result.arms})
    return f"{runs} seed{'s' * (runs > 1)} of {' or '.join(f'{count:,}' for count in steps)} steps each, {result.study['model']}"


def _settings(result: Comparison) -> list[tuple[str, str]]:
    """What all arms share, a line per setting; then per arm what it has to itself."""
    every = [{**arm.settings, "lr": arm.lr} for arm in result.arms]
    shared = {key: value for key, value in every[0].items() if all(settings[key] == value for settings in every)}
    lines = [(key.replace("_", " "), str(value)) for key, value in shared.items() if value is not None]
    for arm, settings in zip(result.arms, every, strict=True):
        own = [f"{key}={value}" for key, value in settings.items() if key not in shared and value is not None]
        lines += [(arm.name, ", ".join(own))] if own else []
    return lines


def _notes(result: Comparison) -> list[str]:
    """What the table's words mean, and what went wrong."""
    target = "–" if result.target is None else f"{100 * result.target:.1f} %"
    notes = [
        f"The target is {target}, the best mean validation accuracy of {result.baseline.name}; steps to target: the first "
        "evaluation at or above it, median over the seeds; never: runs that did not get there.",
        "Test: accuracy at the step of the best validation accuracy; gap: training minus test accuracy there, in points; "
        "gradient: norm in the first layer over norm in the last, before training; seconds: per run.",
    ]
    for arm in result.arms:
        for run in arm.runs:
            if run.status != "finished":
                notes.append(f"{arm.name}, seed {run.seed}: {run.status} at step {run.steps:,}: {run.reason}.")
    return notes
