"""A study as a page that stands by itself."""

from __future__ import annotations

from collections.abc import Sequence

from normwise import figures
from normwise.figures import packing
from normwise.lab import machine
from normwise.lab.panels import Panel
from normwise.lab.reproduction import settings
from normwise.lab.reproduction.result import Reproduction
from normwise.lab.reproduction.study import Claim, Judged, Verdict
from normwise.records.files import write_json
from normwise.report import Kind, PageClaim, Picture, Prose, Section, StudyPage, write_study

KINDS: dict[Verdict, Kind] = {Verdict.HOLDS: "holds", Verdict.FAILS: "fails", Verdict.UNDECIDED: "undecided"}

PAPERS = {
    "Ioffe and Szegedy 2015": ("Batch Normalization, Ioffe and Szegedy 2015", "1502.03167"),
    "paper": ("Batch Normalization, Ioffe and Szegedy 2015", "1502.03167"),
    "Santurkar": ("How Does Batch Normalization Help Optimization?, Santurkar et al. 2018", "1805.11604"),
    "Bjorck": ("Understanding Batch Normalization, Bjorck et al. 2018", "1806.02375"),
    "Cooijmans": ("Recurrent Batch Normalization, Cooijmans et al. 2016", "1603.09025"),
    "He et al. 2015": ("Delving Deep into Rectifiers, He et al. 2015", "1502.01852"),
    "Yang et al. 2019": ("A Mean Field Theory of Batch Normalization, Yang et al. 2019", "1902.08129"),
    "Huang et al. 2018": ("Decorrelated Batch Normalization, Huang et al. 2018", "1804.08450"),
    "Huang et al. 2018 and 2019": ("Iterative Normalization, Huang et al. 2019", "1904.03441"),
    "Wu & Johnson 2021": ("Rethinking Batch in BatchNorm, Wu and Johnson 2021", "2105.07576"),
    "Li et al. 2016": ("Revisiting Batch Normalization For Practical Domain Adaptation, Li et al. 2016", "1603.04779"),
}
"""What a source is recognized by: its title, and its number on arXiv."""


def write(found: Reproduction) -> None:
    """Write ``report.html`` and ``figures/`` into the study's directory: pictures, and what they show as JSON."""
    folder = found.directory / "figures"
    folder.mkdir(exist_ok=True)
    for panel in found.panels:
        figures.save(panel.figure, folder, panel.name, panel.alt)
        if panel.drawing in packing.DRAWINGS:
            shown = {"drawing": panel.drawing, "title": panel.title, "alt": panel.alt}
            write_json(folder / f"{panel.name}.json", {**shown, "info": packing.pack(panel.info)})
    write_study(page(found), found.report)


def page(found: Reproduction) -> StudyPage:
    """The page as plain data."""
    study, outcome = found.study, found.outcome
    return StudyPage(
        name=study.name,
        title=study.title,
        verdict=found.verdict,
        subtitle=_subtitle(found),
        notes=[f"{name} failed: {reason}" for name, reason in outcome.failed.items()],
        claims=claims(found.claims),
        figures=[picture(panel) for panel in found.panels],
        see=study.see.split("\n\n"),
        table=found.table,
        prose=[Prose("Why", study.why), Prose("What would change the result", study.changes)],
        facts=[
            *settings.shared(outcome),
            Section("Versions and machine", [*machine.versions().items(), *machine.describe().items()]),
        ],
        settings=settings.tables(outcome, found.trials),
        source=_source(found),
        links=links(study.source),
        command=found.command,
    )


def claims(found: Sequence[tuple[Claim, Judged]]) -> list[PageClaim]:
    """The claims with their verdicts."""
    return [
        PageClaim(claim.text, KINDS[judged.verdict], str(judged.verdict), judged.words, _sentence(claim.threshold))
        for claim, judged in found
    ]


def picture(panel: Panel) -> Picture:
    """A figure for a page, and the same for a narrow screen where there is one."""
    narrow = "" if panel.narrow is None else figures.svg(panel.narrow, f"{panel.name}-narrow")
    return Picture(panel.name, panel.title, panel.alt, figures.svg(panel.figure, panel.name), narrow, panel.caption)


def links(source: str) -> list[tuple[str, str]]:
    """The papers that a source names, with their addresses, each once."""
    named = dict(paper for words, paper in PAPERS.items() if words in source)
    return [(title, f"https://arxiv.org/abs/{number}") for title, number in named.items()]


def _subtitle(found: Reproduction) -> str:
    asked = found.outcome.asked
    said = [f"scale {asked.scale.words}", *([f"data {asked.data}"] if asked.data else [])]
    took = [f"{duration(found.seconds.clock)} on this machine"] if found.seconds.clock else []
    return ", ".join([*said, *took])


def _source(found: Reproduction) -> str:
    source, notes = found.study.source, found.study.notes
    unnamed = [note for note in notes if note not in source]
    said = f". Note{'s' * (len(notes) > 1)} {', '.join(notes)}" if unnamed else ""
    return f"{source[:1].upper()}{source[1:]}{said}"


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def duration(seconds: float) -> str:
    """``12 seconds``, ``4 minutes``, ``1.5 hours``."""
    if seconds < 1:
        return "less than a second"
    for size, unit in ((3600, "hour"), (60, "minute")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.2g} {unit}s"
    return f"{seconds:.0f} second{'s' * (round(seconds) != 1)}"
