"""A page of plain data as one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from normwise.figures import style
from normwise.records.files import replace


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
        caption: the sentence below it.
        alt: the figure in words, for those who do not see it.
        svg: what ``normwise.figures.svg`` returned. It is trusted, and the only thing in a page that is.
        group: the heading of the section; figures of one section follow each other.
    """

    name: str
    title: str
    caption: str
    alt: str
    svg: str
    group: str = "Figures"


class Section(NamedTuple):
    """Facts under a heading: settings, versions, the machine."""

    heading: str
    facts: Sequence[tuple[str, str]]


class Page(NamedTuple):
    """Everything that a report shows, top to bottom.

    Attributes:
        title: a few words, for example ``plain against bn on digits``.
        verdict: one plain sentence, shown first and large.
        subtitle: one line below it, for example ``3 seeds of 10,000 steps each``; none where it is empty.
        notes: what a reader has to know before believing the verdict, for example that a run failed.
        tables: the first one is the summary.
        figures: in order.
        facts: settings, versions, machine.
        command: the command line that makes this report again; none where it is empty.
    """

    title: str
    verdict: str
    subtitle: str = ""
    notes: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[PageFigure] = ()
    facts: Sequence[Section] = ()
    command: str = ""


def render(page: Page) -> str:
    """The page as HTML: no scripts, nothing fetched from anywhere, all text but the figures escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("normwise.report")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.get_template("report.html.jinja")
    colours = {"paper": style.PAPER, "ink": style.INK, "muted": style.MUTED, "rule": style.GRID}
    return template.render(page=page, colours=colours, dark_paper=style.DARK_PAPER, dark=style.dark_variables())


def write(page: Page, path: Path) -> None:
    """Write the page as UTF-8, whole or not at all; what cannot be written as UTF-8 appears escaped."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace(path, render(page).encode(errors="backslashreplace"))
