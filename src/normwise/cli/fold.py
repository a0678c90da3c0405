"""``normwise fold``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from normwise.cli import console

if TYPE_CHECKING:
    from normwise.lab.deploy import Deployed


def fold(
    checkpoint: Annotated[
        Path, Argument(metavar="CHECKPOINT", help="A run that compare has left: its folder, or the checkpoint in it.")
    ],
    out: Annotated[
        Path,
        Option("-o", "--out", metavar="PATH", help="The file: model.onnx for onnxruntime, model.pt2 for torch.export."),
    ],
    data_dir: Annotated[
        Path | None, Option(metavar="DIR", help="Folder with the data that the run was trained on; else NORMWISE_DATA.")
    ] = None,
    json: Annotated[bool, Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Write a trained network for inference, its batch normalizations folded into the linear maps next to them.

    The file is run once and compared with the network before it takes its name.

    Example: normwise fold runs/compare-digits-mlp/bn-0-0aa5f1e4da5c -o model.onnx
    """
    from normwise.lab.deploy import deploy

    with console.stdout_kept(json):
        result = deploy(checkpoint, out, data_dir=data_dir)
    if json:
        console.print_json(result.as_dict())
    else:
        show(result)


def show(result: Deployed) -> None:
    """Print what became of each normalization, and what was written."""
    from normwise.surgery import Change

    if result.changes:
        console.print_table(Change._fields, [tuple(change) for change in result.changes])
    verdict = f"{result.folded} of {len(result.changes)} normalizations folded. " if result.changes else ""
    console.print_text(f"{verdict}Its outputs differ by {result.difference:.1g} of the largest.")
    if result.settings.inputs == "binary":
        console.print_text("It takes inputs as in training: 1 above the middle of the range, else 0; --json has shift.")
    elif result.settings.inputs not in (None, "raw"):
        console.print_text(
            f"It takes inputs scaled as in training ({result.settings.inputs}); --json has shift and factor."
        )
    console.print_text(f"Network: {result.path}")
