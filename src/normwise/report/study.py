"""The page of one reproduced study, and the index of many, as plain data and as HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from normwise.records.files import replace
from normwise.report.html import Prose, Section, Table, colors, environment

Kind = Literal["holds", "fails", "undecided"]


class PageClaim(NamedTuple):
    """A claim beside the numbers.

    Attributes:
        text: the claim.
        kind: what the numbers say of it; it sets the sign and its color.
        label: the same in words.
        words: the numbers in a sentence.
        threshold: what decides.
    """

    text: str
    kind: Kind
    label: str
    words: str = ""
    threshold: str = ""


class Picture(NamedTuple):
    """A figure of a study.

    Attributes:
        name: letters, digits and hyphens, unique in the page.
        title: the heading above it.
        alt: the figure in words.
        svg: what ``normwise.figures.svg`` returned; with ``narrow``, all of a page that is trusted.
        narrow: the same for a narrow screen; empty where one is enough.
        caption: the sentence below it.
    """

    name: str
    title: str
    alt: str
    svg: str
    narrow: str = ""
    caption: str = ""

    @property
    def widest(self) -> int:
        """CSS pixels: so wide that the text of the figure is hardly larger than that of the page."""
        found = re.search(r'viewBox="[-\d.]+ [-\d.]+ ([\d.]+)', self.svg)
        return round(1.47 * float(found[1])) if found else 760


class StudyPage(NamedTuple):
    """Everything that the page of a study shows, top to bottom.

    Attributes:
        name: what the command calls the study.
        title: what it shows, in one sentence.
        verdict: how many of its claims hold, in one or two sentences.
        subtitle: scale, data, and how long it took.
        notes: what a reader has to know before believing it.
        claims: in the order of the study.
        figures: the main one first.
        see: what to see in the main figure, in paragraphs.
        table: the numbers; None where there are none.
        prose: sections of text.
        facts: settings, versions, machine.
        settings: tables of settings.
        source: who says it.
        links: names and addresses of the sources.
        command: the command line that makes the page again.
    """

    name: str
    title: str
    verdict: str
    subtitle: str
    notes: Sequence[str]
    claims: Sequence[PageClaim]
    figures: Sequence[Picture]
    see: Sequence[str]
    table: Table | None
    prose: Sequence[Prose]
    facts: Sequence[Section]
    settings: Sequence[Table]
    source: str
    links: Sequence[tuple[str, str]]
    command: str


class Card(NamedTuple):
    """A study in the index.

    Attributes:
        name: what the command calls it.
        title: what it shows.
        claims: with their verdicts.
        link: to its page; empty where there is none.
        svg: its main picture; empty where there is none.
        alt: the picture in words.
        reason: why it was not run, or not to its end, in a sentence; empty where it was.
    """

    name: str
    title: str
    claims: Sequence[PageClaim] = ()
    link: str = ""
    svg: str = ""
    alt: str = ""
    reason: str = ""


class IndexPage(NamedTuple):
    """The index of studies: heading, how many claims hold, when and how, a card each, and the command."""

    title: str
    verdict: str
    subtitle: str
    cards: Sequence[Card]
    command: str


def render_study(page: StudyPage | IndexPage) -> str:
    """The page as HTML without a script; all text but the figures is escaped, and nothing is fetched."""
    name = "study" if isinstance(page, StudyPage) else "index"
    return environment().get_template(f"{name}.html.jinja").render(page=page, **colors())


def write_study(page: StudyPage | IndexPage, path: Path) -> None:
    """Write the page as UTF-8, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace(path, render_study(page).encode(errors="backslashreplace"))
