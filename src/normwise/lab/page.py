"""A comparison as a report."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from normwise import figures
from normwise.figures import style
from normwise.figures.curves import FEW
from normwise.figures.quantities import direction
from normwise.figures.series import band
from normwise.lab.captions import caption
from normwise.lab.panels import Panel
from normwise.lab.results import Results
from normwise.lab.table import table
from normwise.records import RunRecord
from normwise.report import Group, Page, PageArm, PageFigure, Section, Table
from normwise.report import write as write_page


def write(result: Results, panels: Sequence[Panel], progress: str = "") -> None:
    """Write ``report.html`` and ``figures/`` into the study's directory; ``progress`` as in ``Page``."""
    folder = result.directory / "figures"
    folder.mkdir(exist_ok=True)
    for panel in panels:
        figures.save(panel.figure, folder, panel.name, panel.alt)
    write_page(page(result, panels, progress), result.report)


def page(result: Results, panels: Sequence[Panel], progress: str = "") -> Page:
    """The report as plain data."""
    study = result.study
    shared, own = _settings(result)
    columns, rows = table(result, whole=True)
    return Page(
        title=result.title,
        verdict=result.verdict,
        ranking=result.ranking_lines,
        progress=progress,
        subtitle=_subtitle(result),
        notes=result.notes,
        tables=[Table(_caption(result, columns), columns, rows)],
        groups=_groups(result, panels),
        arms=page_arms([arm.name for arm in result.arms], result.best_records),
        examples=study.get("examples"),
        facts=[
            Section("Settings", [("data", study["data"]), ("network", study["model"]), *shared]),
            Section("Versions", list(study["versions"].items())),
            Section("Machine", list(study["machine"].items())),
        ],
        settings=own,
        command=study["command"],
    )


def _groups(result: Results, panels: Sequence[Panel]) -> list[Group]:
    """The figures by section, in the order of first appearance."""
    runs, examples = [run for run in result.best_records if run.metrics], result.study.get("examples")
    return [
        Group(
            heading,
            [_figure(panel) for panel in panels if panel.group == heading],
            caption(heading, runs, examples),
        )
        for heading in dict.fromkeys(panel.group for panel in panels)
    ]


def _figure(panel: Panel) -> PageFigure:
    drawn = figures.svg(panel.figure, panel.name)
    return PageFigure(panel.name, panel.title, panel.alt, drawn, panel.caption, panel.place, panel.chart)


def page_arms(names: Sequence[str], records: Sequence[RunRecord]) -> list[PageArm]:
    """The arms as a report's script needs them, with their mean clock over the seeds."""
    return [
        _page_arm(name, place, [run for run in records if run.settings["arm"] == name])
        for place, name in enumerate(names)
    ]


def _page_arm(name: str, place: int, runs: Sequence[RunRecord]) -> PageArm:
    clock = band(_clock(run) for run in runs)
    batch_size = runs[0].settings.get("batch_size") if runs else None
    return PageArm(name, style.colour(place), place, batch_size, dict(zip(clock.steps, clock.mean, strict=True)))


def _clock(run: RunRecord) -> dict[int, float]:
    """The seconds spent in training, without measuring, up to each step."""
    steps = (line["step"] for line in run.timing)
    return dict(zip(steps, accumulate(line.get("train", 0.0) for line in run.timing), strict=True))


def _subtitle(result: Results) -> str:
    runs = len(result.arms[0].runs)
    steps = sorted({arm.settings["steps"] for arm in result.arms})
    lengths = " or ".join(f"{count:,}" for count in steps)
    return f"{runs} seed{'s' * (runs > 1)} of {lengths} steps each, {result.study['model']}"


def _settings(result: Results) -> tuple[list[tuple[str, str]], Table | None]:
    """What all arms share, and what each has to itself: a line per arm, or a table where there are many."""
    arms = {arm.name: {**arm.settings, "lr": arm.lr} for arm in result.arms}
    every = list(arms.values())
    shared = {key: value for key, value in every[0].items() if all(settings[key] == value for settings in every)}
    lines = [(_words(key), str(value)) for key, value in shared.items() if value is not None]
    keys = [key for key in every[0] if key not in shared]
    if len(arms) <= FEW:
        own = {name: [f"{key}={settings[key]}" for key in keys if settings[key] is not None]
               for name, settings in arms.items()}  # fmt: skip
        return lines + [(name, ", ".join(said)) for name, said in own.items() if said], None
    rows = [[name, *(_cell(settings[key]) for key in keys)] for name, settings in arms.items()]
    columns = ["arm", *map(_words, keys)]
    table = Table("The settings in which arms differ, each arm at its best point", columns, rows, len(columns))
    return lines, table if keys else None


def _words(key: str) -> str:
    return key.replace("_", " ")


def _cell(value: object) -> str:
    return "–" if value is None else str(value)


def _caption(result: Results, columns: Sequence[str]) -> str:
    """What the table's words mean, for the columns that it has."""
    metric = result.metric
    side = "or above" if metric.higher_is_better else "or below"
    points = ", in points" if metric.percent else ""
    seeds = any(len(arm.runs) > 1 for arm in result.arms)
    spread, mean, median = (
        text * seeds for text in ("; mean ± standard deviation over the seeds", "mean ", "; median over the seeds")
    )
    meanings = {
        "test": f"Test: {metric.label} ({direction(metric.higher_is_better)}) on the whole test data, at the step of "
        f"the best {metric.label} on a sample of the validation data{spread}.",
        "validation": f"Validation: {metric.label} at that step on the whole validation data.",
        "best step": f"Best step: that step{median}.",
        "ensemble": "Ensemble: what the average of the seeds' outputs scores.",
        "steps to target": f"Steps to target: the first evaluation at {side} {metric.write(result.target)}, the best "
        f"{mean}validation {metric.label} of {result.baseline.name}{median}.",
        "never": "Never: runs that did not get there.",
        "gap": f"Gap: how much better training {metric.label} is than test {metric.label}{points}.",
        "gradient": "Gradient: norm in the first layer over norm in the last, before training.",
        "seconds": "Seconds: of training, per run.",
    }
    heads = {column.partition(",")[0] for column in columns} | {column.split()[0] for column in columns if column}
    return " ".join(said for head, said in meanings.items() if head in heads)
