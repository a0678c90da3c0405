"""A page of plain data as one self-contained HTML file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from normwise.figures import Chart, style
from normwise.figures.heatmap import Grid
from normwise.records.files import replace
from normwise.report.data import PageArm, embedded

if TYPE_CHECKING:
    from jinja2 import Environment

SCRIPTS = ("numbers", "chart", "grid", "report")
REFRESH = 10  # seconds after which a report of a study that still runs is read anew

Tone = Literal["quiet", "warning", "alarm"]
TONES: dict[Tone, str] = {"quiet": style.MUTED, "warning": "#a67c00", "alarm": "#c2375f"}


class Table(NamedTuple):
    """A table of finished text.

    Attributes:
        caption: what the table shows.
        columns: the headings.
        rows: as many cells each as there are columns.
        text_columns: how many of the first columns are words, set to the left; the others are set to the right.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    text_columns: int = 1


class PageFigure(NamedTuple):
    """A figure.

    Attributes:
        name: letters, digits and hyphens, unique in the page; it becomes the id ``figure-<name>``.
        title: the heading above it.
        alt: the figure in words, for those who do not see it.
        svg: what ``normwise.figures.svg`` returned. It is trusted, and the only thing in a page that is. Where it is
            empty, a reader without scripts sees the words instead.
        caption: the sentence below it; none where it is empty.
        arm: the place of the arm that it is about; None for a figure of all arms.
        chart: the same figure for the page's script, which draws it instead; None where the SVG is all there is.
        grid: the values of a heat map, which the script tells of the cell that is pointed at.
    """

    name: str
    title: str
    alt: str
    svg: str
    caption: str = ""
    arm: int | None = None
    chart: Chart | None = None
    grid: Grid | None = None


class Group(NamedTuple):
    """Figures under a heading, with one caption for all; first those of all arms, then those of one each.

    ``table`` stands beside the figures.
    """

    heading: str
    figures: Sequence[PageFigure]
    caption: str = ""
    table: Table | None = None

    @property
    def overall(self) -> list[PageFigure]:
        """The figures of all arms."""
        return [figure for figure in self.figures if figure.arm is None]

    @property
    def single(self) -> list[PageFigure]:
        """The figures of one arm each."""
        return [figure for figure in self.figures if figure.arm is not None]


class Section(NamedTuple):
    """Facts under a heading: settings, versions, the machine."""

    heading: str
    facts: Sequence[tuple[str, str]]


class Entry(NamedTuple):
    """One of a list of findings, each with a heading of its own.

    Attributes:
        heading: what it is called.
        code: its number or short name, before the heading.
        tone: how much it matters; it sets symbol and color.
        label: the same in a word.
        text: one to three sentences.
        facts: names and values below it.
        lists: names, each with short texts: layers, remedies.
    """

    heading: str
    code: str
    tone: Tone
    label: str
    text: str = ""
    facts: Sequence[tuple[str, str]] = ()
    lists: Sequence[tuple[str, Sequence[str]]] = ()


class Prose(NamedTuple):
    """Paragraphs under a heading, with an empty line between them."""

    heading: str
    text: str

    @property
    def paragraphs(self) -> list[str]:
        """The paragraphs."""
        return [" ".join(part.split()) for part in self.text.split("\n\n") if part.strip()]


class Page(NamedTuple):
    """Everything that a report shows, top to bottom.

    Attributes:
        title: a few words, for example ``plain against bn on digits``.
        verdict: one or two plain sentences, shown first and large.
        ranking: one line per arm or group of arms, below the verdict.
        progress: how far a study that still runs is; the page is then read anew every few seconds. Else empty.
        subtitle: one line below it, for example ``3 seeds of 10,000 steps each``; none where it is empty.
        notes: what a reader has to know before believing the verdict, for example that a run failed.
        tables: the first one is the summary.
        groups: the figures.
        arms: those of the charts, in the order of their places.
        examples: training examples, by which steps are turned into epochs; None where that is not known.
        facts: settings, versions, machine.
        settings: the settings in which arms differ, where there are too many arms for ``facts``.
        command: the command line that makes this report again; none where it is empty.
        entries: findings, below the figures.
        advice: what to do, in words and code, below the verdict; none where it is empty.
        entries_heading: the heading of ``entries``.
        prose: sections of text, below the entries.
    """

    title: str
    verdict: str
    ranking: Sequence[str] = ()
    progress: str = ""
    subtitle: str = ""
    notes: Sequence[str] = ()
    tables: Sequence[Table] = ()
    groups: Sequence[Group] = ()
    arms: Sequence[PageArm] = ()
    examples: int | None = None
    facts: Sequence[Section] = ()
    settings: Table | None = None
    command: str = ""
    entries: Sequence[Entry] = ()
    advice: str = ""
    entries_heading: str = "Findings"
    prose: Sequence[Prose] = ()

    @property
    def charts(self) -> dict[str, Chart]:
        """What the script draws, by the name of the figure."""
        found = (figure for group in self.groups for figure in group.figures)
        return {figure.name: figure.chart for figure in found if figure.chart is not None}

    @property
    def grids(self) -> dict[str, Grid]:
        """The values of the heat maps, by the name of the figure."""
        found = (figure for group in self.groups for figure in group.figures)
        return {figure.name: figure.grid for figure in found if figure.grid is not None}

    @property
    def headings(self) -> list[str]:
        """The headings of the sections, in order."""
        found = ["Summary"] * bool(self.tables) + [group.heading for group in self.groups]
        found += [self.entries_heading] * bool(self.entries) + [each.heading for each in self.prose]
        return found + ["Settings and machine"] * bool(self.facts) + ["Make this report again"] * bool(self.command)


def render(page: Page) -> str:
    """The page as HTML.

    Nothing is fetched from anywhere, all text but the figures is escaped, and the one script that may run is the
    page's own, named by its hash in the page's policy.
    """
    template = environment().get_template("report.html.jinja")
    charts, grids = page.charts, page.grids
    script = _script() if charts or grids else ""
    return template.render(
        page=page,
        **colors(),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=embedded(page.arms, page.examples, charts, grids) if script else "",
        refresh=REFRESH,
    )


def colors() -> dict[str, Any]:
    """What ``report.css`` is filled with."""
    return {
        "colors": {"paper": style.PAPER, "ink": style.INK, "muted": style.MUTED, "rule": style.GRID},
        "tones": {tone: f"var({style.variable(light)}, {light})" for tone, light in TONES.items()},
        "dark_paper": style.DARK_PAPER,
        "dark": style.dark_variables(),
    }


def environment() -> Environment:
    """The templates, with every text escaped and a name that is not given an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("normwise.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_unbroken,
    )


def _unbroken(value: Any) -> Any:
    """The text with each percent sign kept on the line of its number; what is no plain text as it is."""
    return value.replace(" %", "\N{NO-BREAK SPACE}%") if type(value) is str else value


def _script() -> str:
    """The page's script: one function, so that its names are its own."""
    folder = files("normwise.report").joinpath("templates")
    parts = [folder.joinpath(f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS]
    return "\n".join(['(() => {\n"use strict";', *parts, "})();"])


def write(page: Page, path: Path) -> None:
    """Write the page as UTF-8, whole or not at all; what cannot be written as UTF-8 appears escaped."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace(path, render(page).encode(errors="backslashreplace"))
