"""``normwise doctor``."""

from __future__ import annotations

import webbrowser
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from normwise.cli import console
from normwise.cli.options import DATA_HELP, with_options

if TYPE_CHECKING:
    from normwise.doctor.diagnosis import Diagnosis

FOUND = 3
"""The exit code where something is wrong with the network."""

COLORS = {"info": "dim", "warning": "yellow", "critical": "red"}
"""Of a finding's heading, by its severity."""

HELPS = {
    "steps": "Updates per run. By default 500.",
    "seeds": "Runs of each treatment, with seeds 0 to N-1. By default 3.",
    "out": "Directory of the study. By default runs/doctor-DATA-MODEL[-TARGET][-TASK][-LOSS][-METRIC].",
}


@with_options("Settings of the training that is diagnosed", several=False, without=("baseline",), helps=HELPS)
def doctor(
    *,
    data: Annotated[str, Option(metavar="DATA", help=DATA_HELP)] = "digits",
    weights: Annotated[
        str | None,
        Option(
            metavar="FILE", help="Trained weights, .safetensors or .pt: examine this network instead of training one."
        ),
    ] = None,
    no_treat: Annotated[bool, Option("--no-treat", metavar="", help="Say what is wrong, and try no remedy.")] = False,
    budget: Annotated[
        str | None, Option(metavar="TIME", help="At most about so long, as 90s, 10m or 1h, by trying fewer remedies.")
    ] = None,
    ignore: Annotated[
        list[str] | None, Option(metavar="RULE", help="Leave a rule out, by its id or name; repeat for more.")
    ] = None,
    json: Annotated[
        bool, Option("--json", metavar="", help="Print the result as one JSON object; progress goes to stderr.")
    ] = False,
    open_report: Annotated[bool, Option("--open", metavar="", help="Open the report in a browser.")] = False,
    **options: Any,
) -> None:
    """Say why a network does not train, try the remedies, and measure which one helps.

    Exit code 0: nothing is wrong; 3: something is.

    Example: normwise doctor --data digits --model mlp:100x20 --activation sigmoid
    """
    from normwise.doctor import diagnose

    own: dict[str, Any] = {"weights": weights, "treat": not no_treat, "ignore": tuple(ignore or ()), "budget": budget}
    given = {"model": "mlp", **{name: value for name, value in options.items() if value is not None}}
    with console.stdout_kept(json), console.progress() as on_progress:
        found = diagnose(data, on_progress=on_progress, on_note=console.note, **own, **given)
    if json:
        console.print_json(found.as_dict())
    else:
        show(found)
    if open_report and found.report is not None:
        webbrowser.open(found.report.resolve().as_uri())
    if not found.healthy:
        raise typer.Exit(FOUND)


def show(found: Diagnosis) -> None:
    """Print the verdict, what to change, the treatments, the findings and where the report is."""
    from normwise.doctor import tables

    console.print_text(found.verdict)
    if found.recommendation is not None and not found.healthy:
        console.print_code(f"\nTo do: {found.recommendation.change}")
    if found.treatments:
        console.print_table(*tables.in_terminal(found.treatments, found.metric))
    else:
        console.print_text("")
    for finding in found.findings:
        console.print_paragraph(finding.heading, finding.words, COLORS[finding.severity])
    for note in found.notes:
        console.print_text(f"{note}\n")
    console.print_text(f"Report: {found.report}")
