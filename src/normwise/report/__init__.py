"""The report: one HTML page that shows what a study found. It computes nothing."""

from normwise.report.data import PageArm
from normwise.report.html import Entry, Group, Page, PageFigure, Prose, Section, Table, Tone, render, write
from normwise.report.study import Card, IndexPage, Kind, PageClaim, Picture, StudyPage, render_study, write_study

__all__ = [
    "Card",
    "Entry",
    "Group",
    "IndexPage",
    "Kind",
    "Page",
    "PageArm",
    "PageClaim",
    "PageFigure",
    "Picture",
    "Prose",
    "Section",
    "StudyPage",
    "Table",
    "Tone",
    "render",
    "render_study",
    "write",
    "write_study",
]
