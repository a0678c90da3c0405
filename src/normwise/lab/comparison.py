"""What ``compare`` returns."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from normwise.lab import page, result_json, table
from normwise.lab.panels import Panel, panels
from normwise.lab.results import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Comparison(Results):
    """What a comparison found, with its table, its figures and its report."""

    @cached_property
    def _panels(self) -> list[Panel]:
        return panels(self)

    @property
    def figures(self) -> dict[str, Figure]:
        """Every figure of the report, by name, as matplotlib figures."""
        return {panel.name: panel.figure for panel in self._panels}

    @property
    def table(self) -> tuple[list[str], list[list[str]]]:
        """The columns, and a row per arm at its best point."""
        return table.table(self)

    def as_dict(self) -> dict[str, Any]:
        """The comparison as plain data: what ``normwise compare --json`` prints."""
        return result_json.as_dict(self)

    def write(self) -> None:
        """Write ``report.html``, and ``figures/`` as PNG and SVG, into the study's directory."""
        page.write(self, self._panels)
