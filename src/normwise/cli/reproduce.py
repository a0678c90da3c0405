"""``normwise reproduce``."""

from __future__ import annotations

import shutil
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from normwise.cli import console

if TYPE_CHECKING:
    from normwise.lab.reproduction.history import Past
    from normwise.lab.reproduction.index import All
    from normwise.lab.reproduction.result import Reproduction
    from normwise.lab.reproduction.study import Study

SIGNS = {"holds": ("\N{CHECK MARK}", "green"), "does not hold": ("\N{BALLOT X}", "bold"), "undecided": ("?", "dim")}
"""The sign of a verdict and its style; a claim that does not hold is a finding and no error."""

WIDE = 150
"""Columns of a terminal from which on the list is a table, with sources and what the full scale is."""


def reproduce(
    *,
    study: Annotated[str | None, Argument(metavar="[STUDY]", help="A study's name, or all; none lists them.")] = None,
    scale: Annotated[str, Option(metavar="SCALE", help="quick: at most two minutes on two cores; full.")] = "quick",
    data: Annotated[str | None, Option(metavar="DATA", help="Other data, where the claims make sense there.")] = None,
    seeds: Annotated[int | None, Option(metavar="N", help="Runs of each arm. By default the study's number.")] = None,
    out: Annotated[
        str | None, Option(metavar="DIR", help="By default runs/reproduce-STUDY-SCALE; of all, a folder for theirs.")
    ] = None,
    data_dir: Annotated[
        str | None,
        Option(
            metavar="DIR", help="Folder with mnist/, fashion-mnist/, cifar10/; else NORMWISE_DATA; else downloaded."
        ),
    ] = None,
    device: Annotated[str, Option(metavar="DEVICE", help="cpu (default), cuda, cuda:1, …")] = "cpu",
    workers: Annotated[int | None, Option(metavar="N", min=0, help="Processes. By default one per core.")] = None,
    json: Annotated[bool, Option("--json", metavar="", help="Print the result, or the list, as JSON.")] = False,
    open_report: Annotated[bool, Option("--open", metavar="", help="Open the page in a browser.")] = False,
) -> None:
    """Run an experiment of the paper or of the notes, and say whether its claims hold here.

    Without a name: the list of all, with the verdicts of those that were run from this folder.

    Example: normwise reproduce figure-1a
    """
    asked: dict[str, Any] = {
        "scale": scale, "data": data, "seeds": seeds, "out": out, "device": device, "workers": workers,
        "data_dir": data_dir,
    }  # fmt: skip
    if study is None:
        _list(asked, json=json, open_report=open_report)
    elif study == "all":
        _all(asked, json=json, open_report=open_report)
    else:
        _one(study, asked, json=json, open_report=open_report)


def _list(asked: dict[str, Any], *, json: bool, open_report: bool) -> None:
    from normwise.errors import RequestError
    from normwise.lab.reproduction.catalogue import studies
    from normwise.lab.reproduction.history import newest

    given = [name for name, value in asked.items() if value not in (None, "quick", "cpu")] + ["open"] * open_report
    if given:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise RequestError(f"{flags} goes with a study's name, or with all; normwise reproduce alone lists them")
    every, past = studies(), newest(Path("runs"))
    if json:
        console.print_json([_listed(one, past.get(one.name)) for one in every])
        return
    show_list(every, past)


def _listed(one: Study, past: Past | None) -> dict[str, Any]:
    found = {
        "name": one.name,
        "title": one.title,
        "source": one.source,
        "notes": list(one.notes),
        "claims": [claim.text for claim in one.claims],
        "quick_seconds": one.quick_seconds,
        "full": one.full,
        "data": one.data,
        "alternatives": list(one.alternatives),
    }
    if past is not None:
        found["run"] = {
            "scale": str(past.scale),
            "data": past.data,
            "verdicts": [str(each) for each in past.verdicts],
            "directory": str(past.directory),
        }
    return found


def show_list(every: list[Study], past: dict[str, Past]) -> None:
    """Print a row for each study; in a narrow terminal two lines."""
    verdicts = {one.name: past[one.name].verdict if one.name in past else "" for one in every}
    if shutil.get_terminal_size().columns < WIDE:
        console.print_entries([(one.name, _remark(one, verdicts[one.name]), one.title) for one in every])
    else:
        columns = ["study", "what it shows", "source", "notes", "data", "quick", "full", "verdict"]
        rows = [
            [one.name, one.title, one.source, " ".join(one.notes), one.data, f"{one.quick_seconds} s",
             one.full.rpartition("; ")[2], verdicts[one.name]]
            for one in every
        ]  # fmt: skip
        console.print_table(columns, rows, left=len(columns))
    console.print_text(
        "\nnormwise reproduce NAME runs one, normwise reproduce all every one. The seconds are those of --scale quick "
        "on two cores, full is the time of --scale full; --json has claims, sources and what it runs."
    )


def _remark(one: Study, verdict: str) -> str:
    """The verdict, where it has been run; what it takes; the source and the notes."""
    source = one.source.replace("Ioffe and Szegedy 2015", "paper").partition(";")[0]
    notes = [f"note{'s' * (len(one.notes) > 1)} {' '.join(one.notes)}"]
    takes = ", ".join([f"{one.quick_seconds} s", *([one.data] if one.data else [])])
    from_where = [source, *(notes if one.notes and not source.startswith("note") else [])]
    return "; ".join([*([verdict] if verdict else []), takes, *from_where])


def _one(study: str, asked: dict[str, Any], *, json: bool, open_report: bool) -> None:
    from normwise.lab.reproduction.reproduce import reproduce as run

    with console.stdout_kept(json), console.progress() as on_progress:
        found = run(study, on_progress=on_progress, **asked)
    if json:
        console.print_json(found.as_dict())
    else:
        show(found)
    if open_report:
        webbrowser.open(found.report.resolve().as_uri())
    if found.outcome.failed:
        raise typer.Exit(1)


def show(found: Reproduction) -> None:
    """Print the title, the table, each claim with its verdict, and where the page is."""
    console.print_paragraph(found.study.title, found.study.source, "default")
    if (table := found.table) is not None:
        console.print_table(table.columns, table.rows, left=table.text_columns)
        console.print_text(f"{table.caption}\n")
    for claim, judged in found.claims:
        sign, color = SIGNS[judged.verdict]
        console.print_paragraph(f"{sign} {judged.verdict}: {claim.text}", judged.words, color)
    console.print_text(found.verdict)
    console.print_text(f"Report: {found.report}")


def _all(asked: dict[str, Any], *, json: bool, open_report: bool) -> None:
    from normwise.lab.reproduction.index import reproduce_all

    with console.stdout_kept(json), console.bar() as update:

        def tell(name: str, number: int, count: int, share: float) -> None:
            update(f"{number} of {count}: {name}", number - 1 + share, count)

        found = reproduce_all(on_study=tell, **asked)
    if json:
        console.print_json(found.as_dict())
    else:
        show_all(found)
    if open_report:
        webbrowser.open(found.page.resolve().as_uri())
    if found.failed:
        raise typer.Exit(1)


def show_all(found: All) -> None:
    """Print a row for each study, why some were not run, and where the index page is."""
    from normwise.lab.reproduction.result import counted

    rows = []
    for each in found.ended:
        signs = " ".join(SIGNS[verdict][0] for verdict in each.verdicts)
        rows.append([each.study.name, signs, counted(each.verdicts) if each.verdicts else "not run"])
    console.print_table(["study", "claims", "verdict"], rows, left=3)
    for each in found.failed:
        console.print_text(f"{each.study.name}: {each.reason}")
    console.print_text(f"Index: {found.page}")
