"""A comparison as a table and as a report."""

from __future__ import annotations

from collections.abc import Sequence

from normwise import figures
from normwise.lab.panels import Panel
from normwise.lab.results import Results
from normwise.lab.table import table
from normwise.report import Page, PageFigure, Section, Table
from normwise.report import write as write_page


def write(result: Results, panels: Sequence[Panel]) -> None:
    """Write ``report.html`` and ``figures/`` into the study's directory."""
    folder = result.directory / "figures"
    folder.mkdir(exist_ok=True)
    for panel in panels:
        figures.save(panel.figure, folder, panel.name, panel.alt)
    write_page(page(result, panels), result.report)


def page(result: Results, panels: Sequence[Panel]) -> Page:
    """The report as plain data."""
    study = result.study
    columns, rows = table(result)
    return Page(
        title=f"{' against '.join(arm.name for arm in result.arms)} on {study['data']}",
        verdict=result.verdict,
        subtitle=_subtitle(result),
        notes=result.notes,
        tables=[Table(_caption(result), columns, rows)],
        figures=[PageFigure(p.name, p.title, p.caption, p.alt, figures.svg(p.figure, p.name), p.group) for p in panels],
        facts=[
            Section("Settings", [("data", study["data"]), ("network", study["model"]), *_settings(result)]),
            Section("Versions", list(study["versions"].items())),
            Section("Machine", list(study["machine"].items())),
        ],
        command=study["command"],
    )


def _subtitle(result: Results) -> str:
    runs = len(result.arms[0].runs)
    steps = sorted({arm.settings["steps"] for arm in result.arms})
    lengths = " or ".join(f"{count:,}" for count in steps)
    return f"{runs} seed{'s' * (runs > 1)} of {lengths} steps each, {result.study['model']}"


def _settings(result: Results) -> list[tuple[str, str]]:
    """What all arms share, a line per setting; then per arm what it has to itself."""
    every = [{**arm.settings, "lr": arm.lr} for arm in result.arms]
    shared = {key: value for key, value in every[0].items() if all(settings[key] == value for settings in every)}
    lines = [(key.replace("_", " "), str(value)) for key, value in shared.items() if value is not None]
    for arm, settings in zip(result.arms, every, strict=True):
        own = [f"{key}={value}" for key, value in settings.items() if key not in shared and value is not None]
        lines += [(arm.name, ", ".join(own))] if own else []
    return lines


def _caption(result: Results) -> str:
    """What the table's words mean."""
    target = "–" if result.target is None else f"{100 * result.target:.1f} %"
    return (
        "Test: accuracy at the step of the best validation accuracy, mean ± standard deviation over the seeds. Steps "
        f"to target: the first evaluation at or above {target}, the best mean validation accuracy of "
        f"{result.baseline.name}; median over the seeds. Never: runs that did not get there. Gap: training minus "
        "test accuracy, in points. Gradient: norm in the first layer over norm in the last, before training. Seconds: "
        "of training, per run."
    )
