"""``normwise runs``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from normwise.cli import console

if TYPE_CHECKING:
    from normwise.records.listing import Listed


def runs(
    folder: Annotated[Path, Argument(metavar="DIR", help="Folder with studies in or below it.")] = Path("runs"),
    json: Annotated[bool, Option("--json", help="Print the studies as one JSON object.")] = False,
) -> None:
    """List the studies that compare and reproduce have left: what was asked, how far each is and what came of it.

    Example: normwise runs
    """
    from normwise.records.listing import studies

    found = studies(folder)
    if json:
        console.print_json({"studies": [study.as_dict() for study in found]})
    elif not found:
        console.print_text(f"There are no studies in {folder}; normwise compare and reproduce make them.")
    else:
        show(found)


def show(studies: list[Listed]) -> None:
    """Print a table, and what each study found."""
    columns = ["study", "data", "model", "arms", "runs", "status", "best", "changed"]
    console.print_table(columns, [_row(study) for study in studies])
    for study in studies:
        if study.verdict:
            console.print_text(f"{study.study}: {study.verdict}")
        if study.report:
            console.print_text(f"Report: {study.report}")


def _row(study: Listed) -> list[str]:
    return [
        str(study.study),
        study.data,
        study.model,
        str(len(study.arms) or ""),
        f"{study.ended}" + ("" if study.planned is None else f" of {study.planned}"),
        study.status,
        "" if study.best is None else f"{study.best[1].label} {study.best[1].write(study.best[0])}",
        f"{datetime.fromtimestamp(study.changed):%Y-%m-%d %H:%M}",
    ]
