"""``normwise reproduce``."""

from __future__ import annotations

import webbrowser
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from normwise.cli import console

if TYPE_CHECKING:
    from normwise.lab.reproduction.result import Reproduction


def reproduce(
    *,
    study: Annotated[str | None, Argument(metavar="[STUDY]", help="A study's name, or all; none lists them.")] = None,
    scale: Annotated[str, Option(metavar="SCALE", help="quick: at most two minutes on two cores; full.")] = "quick",
    data: Annotated[str | None, Option(metavar="DATA", help="Other data, where the claims make sense there.")] = None,
    seeds: Annotated[int | None, Option(metavar="N", help="Runs of each arm. By default the study's number.")] = None,
    out: Annotated[str | None, Option(metavar="DIR", help="By default runs/reproduce-STUDY-SCALE.")] = None,
    data_dir: Annotated[
        str | None, Option(metavar="DIR", help="Folder with mnist/, cifar10/; else NORMWISE_DATA.")
    ] = None,
    device: Annotated[str, Option(metavar="DEVICE", help="cpu (default), cuda, cuda:1, …")] = "cpu",
    workers: Annotated[int | None, Option(metavar="N", help="Processes. By default one per core.")] = None,
    json: Annotated[bool, Option("--json", metavar="", help="Print the result as JSON.")] = False,
    open_report: Annotated[bool, Option("--open", metavar="", help="Open the page in a browser.")] = False,
) -> None:
    """Run an experiment of the paper or of the notes, and say whether its claims hold here.

    Example: normwise reproduce figure-1a
    """
    from normwise.lab.reproduction.reproduce import reproduce as run

    if study is None:
        raise typer.Exit
    with console.stdout_kept(json), console.progress() as on_progress:
        found = run(
            study, scale=scale, data=data, seeds=seeds, out=out, device=device, workers=workers, data_dir=data_dir,
            on_progress=on_progress,
        )  # fmt: skip
    if json:
        console.print_json(found.as_dict())
    else:
        show(found)
    if open_report:
        webbrowser.open(found.report.resolve().as_uri())
    if found.outcome.failed:
        raise typer.Exit(1)


def show(found: Reproduction) -> None:
    """Print the table, each claim with its verdict, and where the page is."""
    if not found.outcome.failed:
        table = found.study.table(found.outcome)
        console.print_table(table.columns, table.rows)
    for claim, judged in found.claims:
        console.print_text(f"{judged.verdict}: {claim.text}\n  {judged.words}")
    console.print_text(f"Report: {found.report}")
