"""The report: one HTML page that shows what a study found. It computes nothing."""

from normwise.report.html import Page, PageFigure, Section, Table, render, write

__all__ = ["Page", "PageFigure", "Section", "Table", "render", "write"]
