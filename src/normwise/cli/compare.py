"""``normwise compare``."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from normwise.cli import console

if TYPE_CHECKING:
    from normwise.lab.comparison import Comparison

KEYS = "Settings of every arm that does not set them itself"


def compare(
    context: typer.Context,
    arm: Annotated[
        list[str] | None,
        Option(
            metavar="ARM",
            help="A variant, '\\[name:] key=value, …'; repeat for more. By default plain and bn (norm=batch).",
        ),
    ] = None,
    data: Annotated[
        str,
        Option(
            metavar="DATA",
            help="digits, mnist, fashion-mnist, cifar10, or your make_data as FILE.py:NAME or MODULE:NAME.",
        ),
    ] = "digits",
    data_dir: Annotated[
        Path | None,
        Option(
            metavar="DIR",
            help="Folder with mnist/, fashion-mnist/, cifar10/; else NORMWISE_DATA; else they are downloaded.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        Option(
            metavar="MODEL", help="mlp[:WIDTH,…], cnn[:WIDTH,…], or your make_model as FILE.py:NAME or MODULE:NAME."
        ),
    ] = None,
    steps: Annotated[
        str | None,
        Option(metavar="N", help="Updates per run. By default 10000; 20000 on MNIST, Fashion-MNIST and CIFAR-10."),
    ] = None,
    epochs: Annotated[
        str | None, Option(metavar="N", help="Passes over the training data per run, instead of --steps.")
    ] = None,
    seeds: Annotated[str | None, Option(metavar="N", help="Runs per arm, with seeds 0 to N-1. By default 3.")] = None,
    out: Annotated[
        Path | None, Option(metavar="DIR", help="Directory of the study. By default runs/compare-DATA-MODEL.")
    ] = None,
    eval_every: Annotated[
        str | None, Option(metavar="N", help="Steps between measurements. By default about 45 in all, denser early.")
    ] = None,
    workers: Annotated[
        str | None,
        Option(metavar="N", help="Processes. By default one per core on a CPU, one on a GPU; 0 for none."),
    ] = None,
    device: Annotated[str | None, Option(metavar="DEVICE", help="cpu (default), cuda, cuda:1, …")] = None,
    lr: Annotated[
        str | None,
        Option(
            metavar="RATE[,…]",
            rich_help_panel=KEYS,
            help="Learning rate (0.2 for sgd); of several, each arm's best is chosen on validation data.",
        ),
    ] = None,
    norm: Annotated[
        str | None, Option(metavar="NORM", rich_help_panel=KEYS, help="none, batch, layer or group:GROUPS.")
    ] = None,
    place: Annotated[
        str | None, Option(metavar="PLACE", rich_help_panel=KEYS, help="Normalize before or after the activation.")
    ] = None,
    activation: Annotated[
        str | None, Option(metavar="NAME", rich_help_panel=KEYS, help="sigmoid, relu, tanh, leaky_relu:0.1, …")
    ] = None,
    init: Annotated[
        str | None, Option(metavar="INIT", rich_help_panel=KEYS, help="default (torch's), xavier, he or normal:STD.")
    ] = None,
    schedule: Annotated[
        str | None,
        Option(metavar="SCHEDULE", rich_help_panel=KEYS, help="constant, step:EVERY[:FACTOR] or exponential:FACTOR."),
    ] = None,
    optimizer: Annotated[
        str | None, Option(metavar="NAME", rich_help_panel=KEYS, help="sgd, momentum, adagrad or adam.")
    ] = None,
    batch_size: Annotated[str | None, Option(metavar="N", rich_help_panel=KEYS, help="Examples per step (60).")] = None,
    dropout: Annotated[
        str | None, Option(metavar="P", rich_help_panel=KEYS, help="Share of hidden activations dropped.")
    ] = None,
    weight_decay: Annotated[
        str | None, Option(metavar="λ", rich_help_panel=KEYS, help="Weight of the penalty ½·λ·‖w‖².")
    ] = None,
    inputs: Annotated[
        str | None,
        Option(metavar="SCALING", rich_help_panel=KEYS, help="raw, minmax or standard; your own data are left raw."),
    ] = None,
    json: Annotated[
        bool, Option("--json", help="Print the result as one JSON object; progress goes to stderr.")
    ] = False,
    open_report: Annotated[bool, Option("--open", help="Open the report in a browser.")] = False,
) -> None:
    """Train a network with and without batch normalization, side by side, and show what it did.

    Example: normwise compare --data digits --arm plain --arm bn --arm "he: activation=relu, init=he"
    """
    from normwise.lab.compare import compare as run

    options: dict[str, Any] = {
        name: value for name, value in context.params.items() if name not in ("arm", "data", "json", "open_report")
    }
    with console.stdout_kept(json), console.progress() as on_progress:
        result = run(tuple(arm or ("plain", "bn")), data, on_progress=on_progress, **options)
    if json:
        console.print_json(result.as_dict())
    else:
        show(result)
    if open_report:
        webbrowser.open(result.report.resolve().as_uri())
    if not any(summary.counted for summary in result.arms):
        raise typer.Exit(1)


def show(result: Comparison) -> None:
    """Print the table, the verdict and where the report is."""
    console.print_table(*result.table)
    for note in result.notes:
        console.print_text(note)
    console.print_text(result.verdict)
    console.print_text(f"Report: {result.report}")
