"""A study as a page that stands by itself."""

from __future__ import annotations

from collections.abc import Iterator

from normwise import figures
from normwise.lab import machine
from normwise.lab.reproduction.result import Reproduction
from normwise.lab.reproduction.study import Verdict
from normwise.report import Entry, Group, Page, PageFigure, Prose, Section, Tone
from normwise.report import write as write_page

TONES: dict[Verdict, Tone] = {Verdict.HOLDS: "quiet", Verdict.UNDECIDED: "warning", Verdict.FAILS: "alarm"}


def write(found: Reproduction) -> None:
    """Write ``report.html`` and ``figures/`` into the study's directory."""
    folder = found.directory / "figures"
    folder.mkdir(exist_ok=True)
    for panel in found.panels:
        figures.save(panel.figure, folder, panel.name, panel.alt)
    write_page(page(found), found.report)


def page(found: Reproduction) -> Page:
    """The page as plain data."""
    study = found.study
    return Page(
        title=study.title,
        verdict="; ".join(f"{judged.verdict}: {claim.text}" for claim, judged in found.claims),
        subtitle=f"{study.name}, after {study.source}; scale {found.outcome.scale}",
        notes=[f"{name} failed: {reason}" for name, reason in found.outcome.failed.items()],
        tables=[] if found.outcome.failed else [study.table(found.outcome)],
        groups=list(_groups(found)),
        entries=[
            Entry(
                claim.text,
                "",
                TONES[judged.verdict],
                str(judged.verdict),
                judged.words,
                [("threshold", claim.threshold)],
            )
            for claim, judged in found.claims
        ],
        entries_heading="Claims",
        prose=[Prose("Why", study.why), Prose("What would change the result", study.changes)],
        facts=[
            Section("Versions", list(machine.versions().items())),
            Section("Machine", list(machine.describe().items())),
        ],
        command=found.command,
    )


def _groups(found: Reproduction) -> Iterator[Group]:
    if found.panels:
        shown = [
            PageFigure(panel.name, panel.title, panel.alt, figures.svg(panel.figure, panel.name), panel.caption)
            for panel in found.panels
        ]
        yield Group("Figures", shown, found.study.see)
