"""The report: one HTML page that shows what a study found. It computes nothing."""

from normwise.report.data import PageArm
from normwise.report.html import Entry, Group, Page, PageFigure, Prose, Section, Table, Tone, render, write

__all__ = ["Entry", "Group", "Page", "PageArm", "PageFigure", "Prose", "Section", "Table", "Tone", "render", "write"]
