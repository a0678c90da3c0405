"""``normwise bench``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from normwise.cli import console

if TYPE_CHECKING:
    from normwise.bench import Result


def bench(
    shape: Annotated[
        list[str] | None,
        Option(metavar="SHAPE", help="Measure this shape, channels second, instead of the table; repeat for more."),
    ] = None,
    only: Annotated[
        str | None, Option(metavar="TEXT", help="Only cases with this in their names, for example 'bn+relu forward'.")
    ] = None,
    quick: Annotated[bool, Option("--quick", help="A part of the table that takes about a minute.")] = False,
    compiled: Annotated[
        bool, Option("--compile", help="Let torch.compile compete in all cases; it compiles for seconds in each.")
    ] = False,
    impl: Annotated[
        str, Option(metavar="NAME", help="What ours is computed by: auto, cpu, torch or reference.")
    ] = "auto",
    threads: Annotated[
        str | None, Option(metavar="N", help="Threads of torch and of ours. By default torch's.")
    ] = None,
    out: Annotated[Path | None, Option(metavar="PATH", help="Draw the speeds to PATH.png and PATH.svg.")] = None,
    ledger: Annotated[
        bool, Option("--ledger", help="Append rows to benchmarks/results of the checkout, with machine and versions.")
    ] = False,
    json: Annotated[
        bool, Option("--json", help="Print the result as one JSON object; progress goes to stderr.")
    ] = False,
) -> None:
    """Measure the layers against torch's: speed, errors and memory, side by side in one run.

    Each is first checked against float64, and ours gets no speed where it is wrong. The table takes ten minutes.

    Example: normwise bench --shape 32x64x56x56 --only bn+relu
    """
    from normwise import bench as benchmark
    from normwise.bench.timing import busy

    asked = benchmark.request(shapes=shape or (), only=only, quick=quick, compile=compiled, impl=impl, threads=threads)
    if ledger:
        benchmark.check_ledger()
    if warning := busy():
        typer.echo(f"warning: {warning}", err=True)
    with console.stdout_kept(json), console.bar() as update:
        result = benchmark.run(asked, lambda status: update(status.now, status.done, status.total))
    if ledger:
        benchmark.write_ledger(result)
    if json:
        console.print_json(result.as_dict())
    else:
        show(result)
    if out is not None:
        _draw(result, out, quiet=json)
    if result.wrong:
        raise typer.Exit(1)


def show(result: Result) -> None:
    """Print the tables, the summary and what to know about them."""
    from normwise.bench import tables

    found = [*tables.case_tables(result.cases), *tables.summary_tables(result.summary)]
    found += [tables.step_table(result.steps)] if result.steps else []
    found += [tables.memory_table(result.memory)] if result.memory else []
    for table in found:
        console.print_text(table.heading)
        console.print_table(table.columns, table.rows)
    notes = [
        *tables.notes(result.cases, result.summary),
        *(f"{s.name}: {note}." for s in result.steps for note in s.notes),
    ]
    for note in notes:
        console.print_text(note)


def _draw(result: Result, out: Path, *, quiet: bool) -> None:
    from normwise.figures import save, speed

    info = speed.info(result.as_dict()["cases"])
    stem = out.stem if out.suffix in (".png", ".svg") else out.name
    paths = save(speed.draw(info), out.parent, stem, speed.describe(info))
    if not quiet:
        console.print_text(f"Picture: {', '.join(map(str, paths))}")
